"""What Psi4 cannot do with a functional, refused before its C++ runs; and errors from inside it.

Psi4's C++ aborts the process or goes on silently where a functional lacks what a method needs,
and the native library cannot raise through it: both are looked after here, around the functions
of Psi4's driver and the methods of its core that such calculations go through.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from psi4 import core
from psi4.driver import driver
from psi4.driver.procrouting import dft, response
from psi4.driver.procrouting.dft import dft_builder
from psi4.driver.procrouting.proc_table import procedures

import xcnet
from xcnet import expression, native, registry, variables
from xcnet.adapters._patch import Maker, Patches
from xcnet.adapters.psi4 import grid_response, nonlocal_parts, registration, versions
from xcnet.errors import UnsupportedError

_FXC = 2
#: Functions of the driver that take composite methods.
_COMPOSITES = ("energy", "gradient", "optimize", "hessian", "frequency")
_PYSCF = "the same functional in PySCF (import xcnet.adapters.pyscf)"
_SOSCF = "SOSCF", "DIIS (set soscf false), with damping_percentage in hard cases"
_LINEAR = "linear response", f"finite differences in a field (perturb_h), or {_PYSCF}"
_TDDFT = "TDDFT and response", f"mf.TDDFT() of {_PYSCF}"
#: Methods of wavefunctions that need second derivatives: what they serve, what to use instead.
_RESPONSE = {
    "HF.soscf_update": _SOSCF,
    "HF.cphf_solve": _LINEAR,
    "HF.cphf_Hx": _LINEAR,
    "HF.twoel_Hx": _TDDFT,
    "RHF.twoel_Hx_full": _TDDFT,
}


def put(patches: Patches) -> None:
    """Have Psi4's functions ask here first."""
    everywhere = partial(patches.put_everywhere, "psi4")
    build = dft_builder.build_superfunctional_from_dictionary
    everywhere(build, _wrapped(_checked_parts))
    everywhere(dft.build_superfunctional, _wrapped(_checked_whole))
    patches.put(core.HF, "compute_E", _wrapped(_checked_after))
    patches.put(core, "scfgrad", _wrapped(_checked_after))
    patches.put(core, "scfgrad", _wrapped(grid_response.responding))
    patches.put(core, "scfhess", _wrapped(_checked_hessian))
    for text, (method, instead) in _RESPONSE.items():
        if versions.find("psi4.core", text) is not None:
            owner, name = text.split(".")
            patches.put(getattr(core, owner), name, _refusing(method, instead))
    if versions.find("psi4.core", "HF.openorbital_scf") is not None:
        patches.put(core.HF, "openorbital_scf", _wrapped(_checked_iterations))
    for name in _COMPOSITES:
        everywhere(getattr(driver, name), _wrapped(_checked_composite))
    for kind, like, guard in (
        ("properties", "scf", _checked_properties),
        ("energy", "td-scf", _checked_excitations),
    ):
        table = procedures[kind]
        if like in table:  # of all methods that share it; versions may lack it
            everywhere(table[like], _wrapped(guard), table)


def _wrapped(guard: Callable[[Any], Callable[..., Any]]) -> Maker:
    return lambda original: wraps(original)(guard(original))


# -- building a functional -----------------------------------------------------------------------


def _checked_parts(build: Any) -> Callable[..., Any]:
    def guarded(definition: Any, *args: Any, **kwargs: Any) -> Any:
        native.take_error()  # of a calculation before this one
        entries = registration.parts_of(definition)
        for entry in entries:
            _check_part(entry)
        expression.refuse_twice(str(definition.get("name")), registration.weighted(definition))
        try:
            built = build(definition, *args, **kwargs)
        except RuntimeError:
            native.check()  # says why, where Psi4 only says that
            raise
        if entries:
            _credit(built[0])
        return built

    return guarded


def _credit(superfunctional: Any) -> None:
    """Have Psi4's output name this package below the functional's own description."""
    description = superfunctional.description().rstrip()
    superfunctional.set_description(f"{description}\n    Evaluated by xcnet {xcnet.__version__}\n")


def _check_part(entry: registry.Entry) -> None:
    """Stop for a functional that Psi4 cannot hold, or whose files were altered."""
    error = registration.problem(entry)
    if error is not None:
        raise error
    assert entry.spec is not None
    for filename in entry.spec.graphs.values():
        entry.spec.read(filename)
    native.prepare(entry.spec)


def _checked_whole(build: Any) -> Callable[..., Any]:
    def guarded(name: Any, *args: Any, **kwargs: Any) -> Any:
        error = registration.refusal(name) if isinstance(name, str) else None
        if error is not None:
            raise error
        built = build(name, *args, **kwargs)
        if core.get_option("SCF", "SOSCF"):
            _require_response(built[0], *_SOSCF)
        return built

    return guarded


# -- second derivatives --------------------------------------------------------------------------


def _refusing(method: str, instead: str) -> Maker:
    def refuse(original: Any) -> Callable[..., Any]:
        @wraps(original)
        def guarded(self: Any, *args: Any, **kwargs: Any) -> Any:
            _require_response(self.functional(), method, instead)
            return original(self, *args, **kwargs)

        return guarded

    return refuse


def _require_response(superfunctional: Any, method: str, instead: str) -> None:
    """Stop if a functional with a part of ours has no second derivatives in Psi4."""
    entries = _entries(superfunctional)
    if nonlocal_parts.parts_of(superfunctional) is None and (
        not entries or (not superfunctional.is_meta() and all(map(_has_fxc, entries)))
    ):
        return
    raise _unsupported(superfunctional.name(), method, instead)


def _checked_hessian(hessian: Any) -> Callable[..., Any]:
    """Refuse analytic second derivatives, of which Psi4 has those of some of its own at most."""

    def guarded(wavefunction: Any, *args: Any, **kwargs: Any) -> Any:
        superfunctional = wavefunction.functional()
        if _entries(superfunctional) or nonlocal_parts.parts_of(superfunctional) is not None:
            raise UnsupportedError(
                f"{superfunctional.name()} has no analytic Hessian in Psi4: use frequency(..., "
                "dertype='gradient'), finite differences of gradients",
                functional=superfunctional.name(),
                method="Hessian",
            )
        return hessian(wavefunction, *args, **kwargs)

    return guarded


def _unsupported(name: str, method: str, instead: str) -> UnsupportedError:
    return UnsupportedError(
        f"{name}: {method} needs second derivatives, which Psi4 has neither for meta-GGAs, nor for "
        f"nonlocal functionals, nor for models without {variables.ORDERS[_FXC]}. Use {instead}.",
        functional=name,
        method=method,
    )


def _entries(superfunctional: Any) -> list[registry.Entry]:
    parts = [*superfunctional.x_functionals(), *superfunctional.c_functionals()]
    return registration.neural([part.name() for part in parts])


def _has_fxc(entry: registry.Entry) -> bool:
    return entry.spec is not None and entry.spec.highest_order >= _FXC


def _checked_properties(run: Any) -> Callable[..., Any]:
    """Refuse response properties before the self-consistent field is spent."""

    def guarded(name: str, **kwargs: Any) -> Any:
        asked = {str(word).upper() for word in kwargs.get("properties", ())}
        if asked & set(response.scf_response.property_dicts):
            _require_response_of(kwargs.get("dft_functional") or name, *_LINEAR)
        return run(name, **kwargs)

    return guarded


def _checked_excitations(run: Any) -> Callable[..., Any]:
    """Refuse ``energy('td-...')``, which newer versions have, in the same way."""

    def guarded(name: str, **kwargs: Any) -> Any:
        functional = kwargs.get("dft_functional") or name.removeprefix("td-")
        _require_response_of(functional, *_TDDFT)
        if isinstance(functional, str) and registration.neural([functional]):
            # Psi4 strips letters t and d from a name that follows "td-".
            return run("td-scf", **{**kwargs, "dft_functional": functional})
        return run(name, **kwargs)

    return guarded


def _require_response_of(functional: Any, method: str, instead: str) -> None:
    if isinstance(functional, str):
        functional = dft_builder.functionals.get(functional.lower())
    if not isinstance(functional, dict):
        return  # a function: looked at when the response is asked for
    entries = registration.parts_of(functional)
    if not all(_has_fxc(entry) and "tau" not in entry.spec.inputs for entry in entries):
        raise _unsupported(functional["name"], method, instead)


# -- other ways of the driver --------------------------------------------------------------------


def _checked_composite(calculate: Any) -> Callable[..., Any]:
    """Refuse composite methods with a functional as an argument, which Psi4 forgets."""

    def guarded(name: Any, *args: Any, **kwargs: Any) -> Any:
        functional = kwargs.get("dft_functional")
        text = name if isinstance(name, str) else getattr(name, "__name__", "")
        composite = text == "cbs" or ("/" in text and ("[" in text or "d:" in text))
        if composite and functional is not None and _is_ours(functional):
            raise UnsupportedError(
                f"{text} with dft_functional: Psi4 forgets the functional in composite methods, "
                "and would compute Hartree-Fock. Calculate with one basis set at a time, and "
                "extrapolate the energies",
                method=text,
            )
        return calculate(name, *args, **kwargs)

    return guarded


def _is_ours(functional: Any) -> bool:
    if isinstance(functional, str):
        return bool(registration.neural([functional]))
    return isinstance(functional, dict) and bool(registration.parts_of(functional))


def _checked_iterations(iterate: Any) -> Callable[..., Any]:
    """Refuse iterations in C++, which would leave out a nonlocal part."""

    def guarded(self: Any, *args: Any, **kwargs: Any) -> Any:
        if nonlocal_parts.parts_of(self.functional()) is not None:
            raise UnsupportedError(
                f"{self.functional().name()}: iterations in C++ leave out the nonlocal part; "
                "let Psi4 iterate itself (set orbital_optimizer_package internal)",
                functional=self.functional().name(),
            )
        return iterate(self, *args, **kwargs)

    return guarded


# -- errors from inside the native library -------------------------------------------------------


def _checked_after(function: Any) -> Callable[..., Any]:
    def guarded(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        native.check()
        return result

    return guarded
