"""Functionals of Psi4 with nonlocal parts: what xcnet evaluates, and what is left to Psi4.

Psi4's compiled core evaluates functionals block by block, which nonlocal ones cannot be. They are
taken out of the dictionary that a functional is built from; the rest, with the exact exchange, is
built by Psi4, and the taken parts are remembered with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from psi4.driver.procrouting.dft import dft_builder

import xcnet
from xcnet import expression, registry
from xcnet.adapters.psi4 import registration
from xcnet.errors import InputError, UnknownFunctionalError, UnsupportedError
from xcnet.expression import ExchangeFractions
from xcnet.operators import compiled
from xcnet.registry import Entry

#: With nothing left to evaluate, Psi4 has to know that it is no Hartree-Fock calculation.
_NOTHING = {"LDA_X": {"alpha": 0.0}}
_KEYWORDS = {"alpha", "use_libxc"}


@dataclass(frozen=True)
class Parts:
    """The nonlocal functionals in one of Psi4's, with their weights."""

    terms: tuple[tuple[float, Entry], ...]

    @property
    def text(self) -> str:
        """The terms as an expression."""
        named = [(weight, (*entry.aliases, entry.name)[0]) for weight, entry in self.terms]
        return " + ".join(name if weight == 1.0 else f"{weight}*{name}" for weight, name in named)


#: By what Psi4's compiled object keeps of its definition: its name and its description.
_known: dict[tuple[str, str], Parts] = {}


def parts_of(superfunctional: Any) -> Parts | None:
    """Nonlocal parts of a ``psi4.core.SuperFunctional``; None if it has none."""
    return _known.get((superfunctional.name(), superfunctional.description()))


def building(original: Callable[..., Any]) -> Callable[..., Any]:
    """``build_superfunctional_from_dictionary`` for dictionaries with nonlocal parts as well."""

    @wraps(original)
    def build(definition: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        terms = _terms(definition)
        if not terms:
            return original(definition, *args, **kwargs)
        compiled.require()
        expression.refuse_twice(str(definition.get("name")), registration.weighted(definition))
        dft_builder.check_consistency(definition)
        parts = Parts(tuple(terms))
        # Psi4 takes the name of a registered functional for nothing but the registered dictionary.
        rest = _rest(definition) | {"name": f"rest of {definition['name']}"}
        built = original(rest, *args, **kwargs)
        if "citation" not in definition:
            local = "" if rest["x_functionals"] == _NOTHING else built[0].citation()
            built[0].set_citation(_citation(parts) + local)
        _label(built[0], definition, parts)
        return built

    return build


def _terms(definition: dict[str, Any]) -> list[tuple[float, Entry]]:
    terms = []
    for kind in ("xc_functionals", "x_functionals", "c_functionals"):
        for key, options in definition.get(kind, {}).items():
            entry = _nonlocal(key)
            if entry is None:
                continue
            unknown = set(options) - _KEYWORDS
            if unknown:
                raise UnsupportedError(
                    f"{definition['name']}: a nonlocal functional has no {sorted(unknown)[0]!r}, "
                    f"only 'alpha', its weight ({key} in {kind})",
                    functional=entry.name,
                )
            terms.append((float(options.get("alpha", 1.0)), entry))
    return terms


def _nonlocal(key: str) -> Entry | None:
    try:
        entry = registry.find(key)
    except UnknownFunctionalError:
        return None  # Psi4 has an error of its own for it
    return entry if is_nonlocal(entry) else None


def is_nonlocal(entry: Entry) -> bool:
    """Whether a functional needs the density on the whole grid at once."""
    return entry.spec is not None and entry.spec.is_nonlocal


def _rest(definition: dict[str, Any]) -> dict[str, Any]:
    """What Psi4 builds: local parts and exact exchange."""
    rest = {key: value for key, value in definition.items() if key != "xc_functionals"}
    whole = definition.get("xc_functionals", {})
    if len(whole) > 1:
        raise InputError(
            f"{definition['name']}: 'xc_functionals' holds one functional; give the parts of a "
            "mixture in 'x_functionals' and 'c_functionals', with their weights 'alpha'",
            argument="xc_functionals",
        )
    for kind in ("x_functionals", "c_functionals"):
        options = definition.get(kind, {})
        rest[kind] = {key: value for key, value in options.items() if _nonlocal(key) is None}
    if not rest["x_functionals"] and not rest["c_functionals"]:
        rest["x_functionals"] = dict(_NOTHING)
    exchange = definition.get("x_hf", {})
    sources = [*whole, exchange.get("use_libxc", "")]
    sources += [k for k, v in definition.get("x_functionals", {}).items() if v.get("use_libxc")]
    for entry in filter(None, map(_nonlocal, filter(None, sources))):
        rest["x_hf"] = _psi4_exchange(expression.exact_exchange(entry))
    return rest


def _psi4_exchange(exchange: ExchangeFractions) -> dict[str, float]:
    """Psi4 adds ``beta`` at long range, libxc (and xcnet) at short range."""
    return {
        "alpha": exchange.alpha + exchange.beta,
        "beta": -exchange.beta,
        "omega": exchange.omega,
    }


def _label(superfunctional: Any, definition: dict[str, Any], parts: Parts) -> None:
    """Name and description as of the whole; and the memory of its nonlocal parts."""
    name = definition["name"].upper()
    description = definition.get("description", f"    {definition['name']}\n")
    description += f"    Nonlocal: {parts.text}, evaluated by xcnet {xcnet.__version__}\n"
    superfunctional.set_name(name)
    superfunctional.set_description(description)
    _known[name, description] = parts


def _citation(parts: Parts) -> str:
    """Citations of the nonlocal parts, as Psi4 prints them."""
    texts = [" ".join(c.text.split()) for _, entry in parts.terms for c in entry.citations]
    return "".join(f"    {text}\n" for text in dict.fromkeys(texts))
