"""A calculation that fails leaves Psi4 as it was: timers, options and scratch files.

What is raised in the middle of one, an error of ours or the user's interrupt, leaves timers on, of
which the next calculation of the process dies; options as the driver changed them, so that the next
one has another basis set; and scratch files of that basis set.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from psi4 import core
from psi4.driver import driver, p4util

from xcnet.adapters._patch import Maker, Patches

#: Functions of Psi4's driver that calculate, under all the names that they have.
_CALCULATE = ("energy", "gradient", "properties", "optimize", "hessian", "frequency")

_timers: list[str] = []
_options: list[Any] = []


def put(patches: Patches) -> None:
    """Keep account of timers and options, and clear up after a failure."""
    state = p4util.OptionsState
    patches.put(core, "timer_on", _noting(_timers.append))
    patches.put(core, "timer_off", _noting(_forget_timer))
    patches.put(core.HF, "compute_energy", _closing_timers)
    patches.put(state, "__init__", _noting(lambda self, *_: _options.append(self)))
    patches.put(state, "restore", _noting(_forget_options))
    for name in _CALCULATE:
        patches.put_everywhere("psi4", getattr(driver, name), _recovering)


def _noting(note: Callable[..., Any]) -> Maker:
    def make(original: Any) -> Callable[..., Any]:
        @wraps(original)
        def noted(*args: Any) -> Any:
            result = original(*args)
            note(*args)
            return result

        return noted

    return make


def _forget_timer(name: str) -> None:
    if name in _timers:
        _timers.remove(name)


def _forget_options(state: Any) -> None:
    _options[:] = [option for option in _options if option is not state]


def _closing_timers(compute: Any) -> Callable[..., Any]:
    @wraps(compute)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        outer = len(_timers)
        try:
            return compute(*args, **kwargs)
        except BaseException:
            for name in reversed(_timers[outer:]):
                core.timer_off(name)
            raise

    return guarded


def _recovering(calculate: Any) -> Callable[..., Any]:
    @wraps(calculate)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        outer = len(_options)
        try:
            return calculate(*args, **kwargs)
        except BaseException:
            for state in reversed(_options[outer:]):
                state.restore()
            core.clean()
            raise
        finally:
            del _options[outer:]

    return guarded
