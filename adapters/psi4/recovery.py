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

from xcnet.adapters.psi4 import everywhere

#: Functions of Psi4's driver that calculate, under all the names that they have.
_CALCULATE = ("energy", "gradient", "properties", "optimize", "hessian", "frequency")

_timers: list[str] = []
_options: list[Any] = []


def install() -> None:
    """Keep account of timers and options, and clear up after a failure."""
    core.timer_on = _noting(core.timer_on, _timers.append)
    core.timer_off = _noting(core.timer_off, _forget_timer)
    core.HF.compute_energy = _closing_timers(core.HF.compute_energy)
    state = p4util.OptionsState
    state.__init__ = _noting(state.__init__, lambda self, *_: _options.append(self))
    state.restore = _noting(state.restore, _forget_options)
    calculations = (getattr(driver, name) for name in _CALCULATE)
    everywhere.replace({each: _recovering(each) for each in calculations})


def _noting(original: Any, note: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def noted(*args: Any) -> Any:
        result = original(*args)
        note(*args)
        return result

    return noted


def _forget_timer(name: str) -> None:
    if name in _timers:
        _timers.remove(name)


def _forget_options(state: Any) -> None:
    _options[:] = [each for each in _options if each is not state]


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
