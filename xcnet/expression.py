"""Composite functionals: ``"0.75*NN-metaGGA + 0.25*HF"`` as weighted terms and exact exchange.

Grammar: terms joined by ``+`` or ``-``, each ``[number*]NAME`` with NAME a registered functional,
``HF``, ``LR_HF(omega)`` or ``SR_HF(omega)``. Names may contain dashes (``M06-L``): the longest
registered name wins, and a minus sign needs a space before it.
Exact exchange is kept in libxc's CAM form, alpha for all distances and beta for the short range:
alpha + beta erfc(omega r), see doi:10.1016/j.softx.2017.11.002.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from xcnet import libxc, registry
from xcnet.errors import ExpressionError
from xcnet.registry import Entry
from xcnet.spec import FunctionalSpec

_PLUS = re.compile(r"(?<![0-9][eE])\+")  # not the plus sign of 1e+2
_TERM = re.compile(
    r"^\s*(?P<sign>[+-]?)\s*"
    r"(?:(?P<weight>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)\s*\*\s*)?"
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9_-]*|[A-Za-z][A-Za-z0-9_-]*\.[0-9]+)\s*"
    r"(?:\(\s*(?P<omega>[0-9]+\.?[0-9]*|\.[0-9]+)\s*\))?\s*"
    r"(?:\*\s*(?P<after>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?))?\s*$"
)
_EXACT_EXCHANGE = ("HF", "SR_HF", "LR_HF")
_WHOLE = "exchange-correlation"
_ROUNDING = 1e-6  # of weights that add up to one


@dataclass(frozen=True)
class Term:
    """One functional and its weight."""

    weight: float
    entry: Entry


@dataclass(frozen=True)
class ExchangeFractions:
    """Fraction of exact exchange at all distances (alpha) and extra short-range part (beta).

    ``omega`` (1/bohr) separates the ranges; 0 for a global hybrid.
    """

    alpha: float = 0.0
    beta: float = 0.0
    omega: float = 0.0

    def scaled(self, weight: float) -> ExchangeFractions:
        """The same exchange, ``weight`` times."""
        return ExchangeFractions(self.alpha * weight, self.beta * weight, self.omega)

    def plus(self, other: ExchangeFractions) -> ExchangeFractions:
        """Sum of two; two different range separations cannot be added."""
        omegas = {x.omega for x in (self, other) if x.beta}
        if len(omegas) > 1:
            raise ExpressionError(
                f"two different range separations, omega = {' and '.join(map(str, omegas))} "
                "1/bohr, cannot be mixed",
                given=sorted(omegas),
            )
        return ExchangeFractions(
            self.alpha + other.alpha, self.beta + other.beta, omegas.pop() if omegas else 0.0
        )


@dataclass(frozen=True)
class Expression:
    """Weighted terms, the exact exchange of the whole, and VV10's (b, C) if a term brings it."""

    text: str
    terms: tuple[Term, ...]
    exact_exchange: ExchangeFractions = ExchangeFractions()
    vv10: tuple[float, float] | None = None


def parse(text: str) -> Expression:
    """Read an expression; the exact exchange of hybrid terms is included, scaled.

    Raises
    ------
    ExpressionError
        The text cannot be read.
    UnknownFunctionalError
        A name is not registered.
    """
    single = _single(text)
    pieces = [(1.0, single)] if single else _pieces(text)
    weights: dict[Entry, float] = {}
    exchange = ExchangeFractions()
    nonlocal_parts: list[tuple[float, float, float]] = []
    for weight, item in pieces:
        if isinstance(item, ExchangeFractions):
            exchange = exchange.plus(item.scaled(weight))
            continue
        for entry in _parts(item):
            weights[entry] = weights.get(entry, 0.0) + weight
            exchange = exchange.plus(exact_exchange(entry).scaled(weight))
            nonlocal_parts += [(weight, *vv10) for vv10 in _vv10(entry)]
    if nonlocal_parts and (len(nonlocal_parts) > 1 or nonlocal_parts[0][0] != 1.0):
        raise ExpressionError(
            f"{text!r}: a functional with VV10 correlation cannot be scaled or added to another "
            "one with VV10",
            given=text,
        )
    refuse_twice(text, ((weight, entry) for entry, weight in weights.items()))
    terms = tuple(Term(weight, entry) for entry, weight in weights.items())
    return Expression(text, terms, exchange, nonlocal_parts[0][1:] if nonlocal_parts else None)


def of(spec: FunctionalSpec) -> Expression:
    """Expression of one functional folder, whether it is registered or not."""
    entry = registry.entry_of(spec, "folder")
    return Expression(spec.name, (Term(1.0, entry),), exact_exchange(entry))


def refuse_twice(text: str, terms: Iterable[tuple[float, Entry]]) -> None:
    """Refuse mixtures that hold more than one whole correlation energy.

    Who writes a neural functional of exchange and correlation beside another correlation mostly
    takes it for an exchange functional.

    Raises
    ------
    ExpressionError
    """
    holders = [(weight, entry) for weight, entry in terms if "correlation" in entry.kind]
    whole = [e.called for _, e in holders if e.spec is not None and e.kind == _WHOLE]
    count = sum(weight for weight, _ in holders)
    if whole and count > 1.0 + _ROUNDING:
        raise ExpressionError(
            f"{text!r} counts correlation {count:g} times, because {whole[0]} is exchange and "
            f"correlation together. Write {whole[0]!r} alone, or weights that add up to one, such "
            f"as '0.5*{whole[0]} + 0.5*PBE'.",
            functional=whole[0],
            given=text,
        )


def after_comma(text: str, entry: Entry) -> ExpressionError:
    """Error for a functional that holds exchange in the place of a correlation functional."""
    what = "exchange and correlation together" if entry.kind == _WHOLE else "an exchange functional"
    before, _, after = text.partition(",")
    written = before.strip() if before.strip().lower() == after.strip().lower() else entry.called
    return ExpressionError(
        f"{text!r}: after the comma stands correlation, and {entry.called} is {what}. Write "
        f"{written!r} without the comma{'' if entry.kind == _WHOLE else ', or before it'}.",
        functional=entry.called,
        given=text,
    )


def _single(text: str) -> Entry | None:
    """Entry of a text that is one bare name; a name may hold dashes, so this is tried first."""
    if re.search(r"[*()+,\s]|^-", text.strip()) or text.strip().upper() in _EXACT_EXCHANGE:
        return None
    return registry.find(text)


def _pieces(text: str) -> list[tuple[float, Entry | ExchangeFractions]]:
    if "," in text:
        return [(1.0, _twice_the_same(text))]
    # A minus sign that subtracts becomes "+-", so that one split serves both.
    chunks = _PLUS.split(re.sub(r"(?<=[\w)])\s+-\s*(?=[\w.])", " +-", text))
    return [_term(chunk, text) for chunk in chunks]


def _twice_the_same(text: str) -> Entry:
    """Functional whose name stands on both sides of a comma, as in PySCF's "SCAN,SCAN"."""
    names = [name.strip() for name in text.split(",")]
    sides = [registry.find(name) for name in names if re.fullmatch(r"[\w.-]+", name)]
    if len(sides) == len(names) == 2 and sides[0] == sides[1] and sides[0].kind == _WHOLE:
        return sides[0]
    if sides and len(sides) == len(names) and sides[-1].spec and sides[-1].kind != "correlation":
        raise after_comma(text, sides[-1])
    if len(names) == 2 and names[0].lower() == names[1].lower():
        raise ExpressionError(f"{text!r}: write {names[0]!r} without the comma", given=text)
    raise ExpressionError(
        f"{text!r}: a comma separates functionals; join the parts of one with '+'", given=text
    )


def _term(chunk: str, text: str) -> tuple[float, Entry | ExchangeFractions]:
    match = _TERM.match(chunk)
    if match is None or (match["weight"] and match["after"]):
        raise ExpressionError(
            f"{text!r}: cannot read the term {chunk.strip()!r}; write terms as number*NAME, "
            "joined by + or - with a space before the minus sign",
            given=chunk,
        )
    weight = float(match["weight"] or match["after"] or 1.0)
    weight = -weight if match["sign"] == "-" else weight
    name = match["name"]
    if name.upper().replace("-", "_") in _EXACT_EXCHANGE:
        return weight, _hartree_fock(name.upper().replace("-", "_"), match["omega"], text)
    if match["omega"]:
        raise ExpressionError(
            f"{text!r}: only SR_HF and LR_HF take a parameter, not {name!r}", given=chunk
        )
    return weight, registry.find(name)


def _hartree_fock(name: str, omega: str | None, text: str) -> ExchangeFractions:
    if name == "HF":
        if omega is not None:
            raise ExpressionError(f"{text!r}: HF takes no parameter", given=text)
        return ExchangeFractions(alpha=1.0)
    if omega is None or float(omega) <= 0.0:
        raise ExpressionError(
            f"{text!r}: {name} needs its range, e.g. {name}(0.3) with omega in 1/bohr", given=text
        )
    if name == "SR_HF":
        return ExchangeFractions(beta=1.0, omega=float(omega))
    return ExchangeFractions(alpha=1.0, beta=-1.0, omega=float(omega))


def _parts(entry: Entry) -> list[Entry]:
    return [registry.find(part) for part in entry.parts] if entry.composite else [entry]


def exact_exchange(entry: Entry) -> ExchangeFractions:
    """Exact exchange that belongs to a functional."""
    if entry.spec is not None:
        own = entry.spec.exact_exchange
        return ExchangeFractions(own.coefficient + own.alpha, own.beta, own.omega)
    functional = libxc.Functional(entry.id, 1)
    if not entry.family.startswith("hyb_"):
        return ExchangeFractions()
    omega, alpha, beta = functional.cam_coef()
    return ExchangeFractions(alpha, beta, omega if beta else 0.0)


def _vv10(entry: Entry) -> list[tuple[float, float]]:
    if entry.spec is not None:
        return []
    b, c = libxc.Functional(entry.id, 1).nlc_coef()
    return [(b, c)] if b or c else []
