"""The registry's functionals in the tables of Psi4's driver.

Psi4's driver finds a functional by name in `dft_builder.functionals` and what to do with it in
`procedures`; both are plain dictionaries that many modules hold, so they are changed in place.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from psi4.driver.procrouting.dft import dft_builder
from psi4.driver.procrouting.proc_table import procedures

from xcnet import catalogue, dispersion, registry
from xcnet.dispersion import Correction
from xcnet.errors import UnknownFunctionalError, UnsupportedError, XCNetError
from xcnet.operators import OrbitalField
from xcnet.registry import Entry

#: Psi4's keyword of the part that a functional of this kind is.
_PARTS = {"exchange": "x_functionals", "correlation": "c_functionals"}
#: A functional of Psi4's own whose procedures ours get. Not its Hessian, which newer versions
#: have: frequencies of ours are finite differences of gradients.
_LIKE = "pbe"
_PROCEDURES = ("energy", "gradient", "properties")

_refused: dict[str, XCNetError] = {}
_ours: list[tuple[dict[str, Any], str]] = []
_corrections: dict[str, Correction] = {}


def clear() -> None:
    """Take out all functionals that were entered."""
    for table, name in _ours:
        del table[name]
    for memory in (_ours, _refused, _corrections):
        memory.clear()


def register() -> None:
    """Enter all functionals of the registry in place of those entered before."""
    clear()
    for entry in registry.entries():
        if entry.spec is not None:
            _register(entry)
    for name, error in _unusable():
        _refuse(name, error)


def refusal(name: str) -> XCNetError | None:
    """Why a functional that the registry knows cannot be used here; None if it can."""
    return _refused.get(name.lower())


def correction(name: Any) -> Correction | None:
    """Dispersion correction of a name with a suffix, such as ``my-functional-d4``; None if none."""
    return _corrections.get(name.lower()) if isinstance(name, str) else None


def parts_of(definition: Any) -> list[Entry]:
    """Our functionals among the parts of a functional's dictionary."""
    return [entry for _, entry in weighted(definition) if entry.spec is not None]


def weighted(definition: Any) -> list[tuple[float, Entry]]:
    """Functionals of a dictionary that the registry knows, with their weights."""
    terms = []
    for kind in ("xc_functionals", "x_functionals", "c_functionals"):
        for key, options in definition.get(kind, {}).items():
            with contextlib.suppress(UnknownFunctionalError):  # Psi4 has an error of its own for it
                terms.append((float(options.get("alpha", 1.0)), registry.find(key)))
    return terms


def neural(names: list[str]) -> list[Entry]:
    """Entries of those names (with ``XC_`` or a suffix or without) that are not libxc's own."""
    entries = []
    for name in names:
        base = dispersion.split(name)[0] if name.lower() in _corrections else name
        with contextlib.suppress(UnknownFunctionalError):  # Psi4 has an error of its own for it
            entries.append(registry.find(base))
    return [entry for entry in entries if entry.spec is not None]


def problem(entry: Entry) -> XCNetError | None:
    """Why Psi4 cannot hold a functional, whole or as a part; None if it can."""
    assert entry.spec is not None
    if "lapl" in entry.spec.inputs:
        reason = "needs the Laplacian of the density, which Psi4 does not compute"
    elif any(isinstance(kind, OrbitalField) for kind in entry.spec.descriptors.values()):
        reason = "reads a descriptor of the density matrix, which this adapter does not give"
    elif entry.kind == "kinetic":
        reason = "is a functional of the kinetic energy, not of exchange and correlation"
    else:
        return None
    return UnsupportedError(
        f"{entry.name} {reason}. Use a semilocal functional, such as NN-metaGGA.",
        functional=entry.name,
    )


def _register(entry: Entry) -> None:
    error = problem(entry)
    definition = _definition(entry)
    _register_names(spellings(entry), definition, error)
    assert entry.spec is not None
    method = entry.spec.dispersion["method"] if entry.spec.dispersion else ""
    if method not in dispersion.LABELS:
        return
    title = f"{definition['name']}-{method}"
    names = {f"{name}-{method.lower()}" for name in spellings(entry)}
    try:
        found = Correction(method, dispersion.parameters(title, entry.spec, method))
    except UnsupportedError as unusable:
        error = error or unusable
    else:
        _corrections.update(dict.fromkeys(names, found))
    _register_names(names, {**definition, "name": title, "alias": []}, error)


def _register_names(names: set[str], definition: dict[str, Any], error: XCNetError | None) -> None:
    """Enter a definition under its names, or what is wrong with it."""
    for name in names:
        if error is not None:
            _refuse(name, error)
        elif _enter(dft_builder.functionals, name, definition):
            for kind, prefix in (*((kind, "") for kind in _PROCEDURES), ("energy", "td-")):
                procedure = procedures[kind].get(prefix + _LIKE)
                if procedure is not None:  # excitations by name came with version 1.4
                    _enter(procedures[kind], prefix + name, procedure)


def spellings(entry: Entry) -> set[str]:
    """Keys of a functional: its name and aliases in lower case, with dashes or underscores."""
    names = {name.lower() for name in (entry.name, *entry.aliases)}
    return names | {n.replace("_", "-") for n in names} | {n.replace("-", "_") for n in names}


def _definition(entry: Entry) -> dict[str, Any]:
    """Psi4's dictionary of a functional."""
    spec = entry.spec
    assert spec is not None
    title = (*entry.aliases, entry.name)[0]
    result: dict[str, Any] = {
        "name": title,
        "alias": list(entry.aliases),
        "citation": "".join(f"    {' '.join(c.text.split())}\n" for c in spec.citations),
        "description": f"    {title}: {' '.join(spec.description.split())}\n",
    }
    key = entry.name.upper()
    if entry.kind not in _PARTS:
        return {**result, "xc_functionals": {key: {}}}
    part = {key: {"use_libxc": True} if spec.exact_exchange.is_hybrid else {}}
    return {**result, "x_functionals": {}, "c_functionals": {}, _PARTS[entry.kind]: part}


def _unusable() -> Iterator[tuple[str, XCNetError]]:
    """Names that the registry knows without having a functional for them, and why."""
    for error in registry.broken():
        yield Path(str(error.context.get("file", ""))).parent.name.lower(), error
    for name in catalogue.functionals():
        try:
            registry.find(name)
        except UnknownFunctionalError as error:
            yield name.lower(), error


def _refuse(name: str, error: XCNetError) -> None:
    """Give a name a procedure that raises, before anything is computed."""

    def refuse(*_: Any, **__: Any) -> None:
        raise error

    _refused[name] = error
    for kind in _PROCEDURES:
        _enter(procedures[kind], name, refuse)


def _enter(table: dict[str, Any], name: str, value: dict[str, Any] | Callable[..., Any]) -> bool:
    """Put a name into one of Psi4's tables unless Psi4 has it already."""
    if name in table:
        return False
    table[name] = value
    _ours.append((table, name))
    return True
