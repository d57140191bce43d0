"""What pylibxc's users can ask a functional: names, numbers, flags, citations, exact exchange."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xcnet import expression, libxc, variables
from xcnet.errors import FunctionalKindError
from xcnet.expression import ExchangeFractions, Expression
from xcnet.operators import Descriptor
from xcnet.spec import Citation
from xcnet.terms import LibxcTerm, NeuralTerm, open_term

SPINS = {"unpolarized": variables.UNPOLARIZED, "polarized": variables.POLARIZED}
_HYBRID_FAMILIES = (
    variables.FAMILY_HYB_LDA,
    variables.FAMILY_HYB_GGA,
    variables.FAMILY_HYB_MGGA,
)
_FAMILY_NAMES = {number: name for name, number in variables.FAMILIES.items()}
_ALL_VARIABLES = variables.family_variables("mgga", laplacian=True)
_RANGE_SEPARATED = (
    variables.FLAG_HYB_CAM
    | variables.FLAG_HYB_CAMY
    | variables.FLAG_HYB_LC
    | variables.FLAG_HYB_LCY
)


class Facts:
    """The facts of an expression's functional, for one spin.

    Adapters ask the public properties; attributes with a leading underscore are those that
    pylibxc's users read.
    """

    _have_exc: bool
    _have_vxc: bool
    _have_fxc: bool
    _have_kxc: bool
    _have_lxc: bool

    def __init__(self, parsed: Expression, spin: int) -> None:
        self._spin = spin
        self._expression = parsed
        self._terms: list[tuple[float, NeuralTerm | LibxcTerm]] = [
            (t.weight, open_term(t.entry, spin)) for t in parsed.terms
        ]
        #: Entry of one functional as it is; None for a mixture.
        self._single = parsed.terms[0].entry if _is_single(parsed) else None
        term = self._terms[0][1] if self._single else None
        self._libxc = term.libxc if isinstance(term, LibxcTerm) else None
        self._set_facts()

    def _set_facts(self) -> None:
        """Facts that pylibxc's users read as attributes."""
        parts = [t.entry for t in self._expression.terms]
        exchange = self._expression.exact_exchange
        self._xc_func_name = self._single.name if self._single else self._expression.text.strip()
        self._number = self._single.id if self._single else -1
        self._kind = variables.KINDS[_common_kind([e.kind for e in parts])]
        self._name = self._libxc.description if self._libxc else self._title()
        self._family = variables.FAMILIES[_family(self._expression)]
        if self._libxc:
            self._family = self._libxc.family
        self._flags = self._combined_flags(exchange)
        for order, flag in zip(variables.ORDERS, variables.FLAG_HAVE, strict=True):
            setattr(self, f"_have_{order}", bool(self._flags & flag))
        self._needs_laplacian = bool(self._flags & variables.FLAG_NEEDS_LAPLACIAN)
        self._needs_tau = bool(self._flags & variables.FLAG_NEEDS_TAU)
        self._have_cam = bool(self._flags & _RANGE_SEPARATED)
        self._cam_omega, self._cam_alpha, self._cam_beta = (
            exchange.omega if self._have_cam else 0.0,
            exchange.alpha if self._family in _HYBRID_FAMILIES else 0.0,
            exchange.beta if self._have_cam else 0.0,
        )
        self._have_vv10 = self._expression.vv10 is not None
        self._nlc_b, self._nlc_C = self._expression.vv10 or (0.0, 0.0)
        self._stable = bool(self._flags & variables.FLAG_STABLE)
        self._dev = bool(self._flags & variables.FLAG_DEVELOPMENT)
        self._inputs = _union([t.variables for _, t in self._terms])
        self._label_variables = self._variables_of_labels()
        self.xc_func_sizes = self._sizes()
        self.xc_func_size_names = sorted(self.xc_func_sizes)

    @property
    def spin(self) -> int:
        """Spins that the arrays hold, 1 (unpolarized) or 2."""
        return self._spin

    @property
    def inputs(self) -> tuple[str, ...]:
        """Variables that it reads, such as ``rho``, and its descriptors."""
        return self._inputs

    @property
    def orders(self) -> tuple[str, ...]:
        """Derivative orders that it has, of ``exc``, ``vxc``, ``fxc``, ``kxc`` and ``lxc``."""
        return tuple(name for name in variables.ORDERS if getattr(self, f"_have_{name}"))

    @property
    def highest_order(self) -> int:
        """Highest derivative order that it has; the energy is 0, the potential 1."""
        return variables.ORDERS.index(self.orders[-1])

    @property
    def exact_exchange(self) -> ExchangeFractions:
        """Exact exchange that belongs to it, which its host adds."""
        return self._expression.exact_exchange

    @property
    def descriptors(self) -> dict[str, Descriptor]:
        """Nonlocal descriptors that its parts read, by label; of the first part that reads it."""
        by_label: dict[str, Descriptor] = {}
        for _, term in reversed(self._terms):
            by_label |= term.descriptors
        return by_label

    def _title(self) -> str:
        return self._single.description if self._single else self._expression.text.strip()

    def _combined_flags(self, exchange: ExchangeFractions) -> int:
        """Flags of the whole: a derivative is there if all parts have it."""
        everything = [term.flags for _, term in self._terms]
        have = sum(variables.FLAG_HAVE)
        common = have if everything else 3
        for bits in everything:
            common &= bits
        union = 0
        for bits in everything:
            union |= bits & ~have
        if len(everything) > 1 or not self._libxc:
            cam = variables.FLAG_HYB_CAM | variables.FLAG_HYB_LC
            union = (union & ~cam) | (variables.FLAG_HYB_CAM if exchange.beta else 0)
        return common | union

    def _variables_of_labels(self) -> tuple[str, ...]:
        # A meta-GGA has all of tau's labels, even the rare one that depends on the Laplacian only.
        own = variables.family_variables(_FAMILY_NAMES[self._family], self._needs_laplacian)
        return (*own, *self.descriptors)

    def _sizes(self) -> dict[str, int]:
        """Widths of all inputs and labels; 0 for what the family does not have."""
        base = variables.base_family(_FAMILY_NAMES[self._family])
        known = _ALL_VARIABLES if base == "mgga" else variables.FAMILY_VARIABLES[base]
        own = {*known, *variables.requested_labels(known, [True] * 5)}
        return {
            name: variables.width(name, self._spin) if name in own else 0
            for name in (*_ALL_VARIABLES, *variables.requested_labels(_ALL_VARIABLES, [True] * 5))
        }

    def describe(self) -> str:
        """Several lines that say what the functional is."""
        kinds = {number: name for name, number in variables.KINDS.items()}
        families = {number: name for name, number in variables.FAMILIES.items()}
        spins = {number: name for name, number in SPINS.items()}
        have = self.orders
        rows = {
            "Functional ID": self._number,
            "Functional Name": self._xc_func_name,
            "Attributes": self._name,
            "Kind": kinds[self._kind],
            "Family": families[self._family],
            "Spin": spins[self._spin],
            "Derivatives": " ".join(have),
            "Citations": "",
        }
        lines = [f"{key + ':':<17} {value}".rstrip() for key, value in rows.items()]
        return "\n".join([*lines, *(f"   {text}" for text in self.get_references())])

    def get_number(self) -> int:
        """Id; -1 for a mixture."""
        return self._number

    def get_kind(self) -> int:
        """libxc's kind: exchange 0, correlation 1, both 2, kinetic 3."""
        return self._kind

    def get_name(self) -> str:
        """Return the descriptive name."""
        return self._name

    def get_family(self) -> int:
        """libxc's family number."""
        return self._family

    def get_flags(self) -> int:
        """libxc's flag bits."""
        return self._flags

    @property
    def citations(self) -> tuple[Citation, ...]:
        """References of all parts."""
        cited = [c for t in self._expression.terms for c in t.entry.citations]
        return tuple(dict.fromkeys(cited))

    def get_references(self) -> list[str]:
        """Texts of the references; get_bibtex, get_doi and get_key are parallel to it."""
        return [c.text for c in self.citations]

    def get_bibtex(self) -> list[str]:
        """BibTeX entries."""
        return [c.bibtex for c in self.citations]

    def get_doi(self) -> list[str]:
        """Document object identifiers."""
        return [c.doi for c in self.citations]

    def get_key(self) -> list[str]:
        """BibTeX keys."""
        return [c.key for c in self.citations]

    # -- exact exchange, VV10, parts -----------------------------------------------------------

    def get_hyb_exx_coef(self) -> float:
        """Fraction of exact exchange of a global hybrid (FunctionalKindError for others)."""
        if self._family not in _HYBRID_FAMILIES:
            raise self._wrong_kind("is not a hybrid: it has no exact exchange")
        if self._have_cam:
            raise self._wrong_kind("is range separated: ask get_cam_coef")
        return self._cam_alpha

    def get_cam_coef(self) -> tuple[float, float, float]:
        """Range separation (omega, alpha, beta), omega in 1/bohr."""
        if not self._have_cam:
            raise self._wrong_kind("is not range separated")
        return self._cam_omega, self._cam_alpha, self._cam_beta

    def get_vv10_coef(self) -> tuple[float, float]:
        """Parameters (b, C) of the VV10 nonlocal correlation."""
        if not self._have_vv10:
            raise self._wrong_kind("has no VV10 part")
        return self._nlc_b, self._nlc_C

    def aux_funcs(self, return_ids: bool = False) -> list[tuple[Any, float]] | None:
        """(name or id, weight) of the functionals that this one mixes; None if it mixes none."""
        if self._libxc:
            names = libxc.library().numbers
            parts = [(i if return_ids else names[i], w) for i, w in self._libxc.aux_funcs()]
        elif self._single:
            parts = []
        else:
            terms = self._expression.terms
            parts = [(t.entry.id if return_ids else t.entry.name, t.weight) for t in terms]
        return parts or None

    def _wrong_kind(self, why: str) -> FunctionalKindError:
        return FunctionalKindError(f"{self._xc_func_name} {why}", functional=self._xc_func_name)


def _is_single(parsed: Expression) -> bool:
    """True for one functional as it is: no weight, no exact exchange beyond its own."""
    return (
        len(parsed.terms) == 1
        and parsed.terms[0].weight == 1.0
        and parsed.exact_exchange == expression.exact_exchange(parsed.terms[0].entry)
    )


def _common_kind(kinds: Sequence[str]) -> str:
    return kinds[0] if len(set(kinds)) == 1 else "exchange-correlation"


def _family(parsed: Expression) -> str:
    """Highest family of the parts, hybrid when exact exchange remains."""
    bases = [variables.base_family(t.entry.family) for t in parsed.terms] or ["lda"]
    base = max(bases, key=list(variables.FAMILY_VARIABLES).index)
    exchange = parsed.exact_exchange
    return f"hyb_{base}" if exchange.alpha or exchange.beta else base


def _union(groups: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Variables of all parts in libxc's order, rho always."""
    present = dict.fromkeys(["rho", *(name for group in groups for name in group)])
    others = [name for name in present if name not in variables.COMPONENTS]
    return (*(name for name in variables.COMPONENTS if name in present), *others)
