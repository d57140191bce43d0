"""Functionals with libxc's interface: neural ones, libxc's own, and mixtures of both.

`LibXCFunctional` keeps the contract of pylibxc, so that a program written for it runs unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from xcnet import density, engine, expression, registry, variables
from xcnet.density import Array
from xcnet.errors import (
    ArgumentTypeError,
    DerivativeError,
    FunctionalKindError,
    InputError,
    MissingInputError,
    SpinError,
)
from xcnet.expression import ExactExchange, Expression
from xcnet.spec import Citation
from xcnet.terms import LibxcTerm, open_term

_SPINS = {"unpolarized": variables.UNPOLARIZED, "polarized": variables.POLARIZED}
_HYBRID_FAMILIES = (
    variables.FAMILY_HYB_LDA,
    variables.FAMILY_HYB_GGA,
    variables.FAMILY_HYB_MGGA,
)
_ALL_VARIABLES = variables.family_variables("mgga", laplacian=True)


def functional(name: str | int, spin: str | int = "unpolarized") -> LibXCFunctional:
    """Functional of a name, alias, id or expression such as ``"0.75*NN-metaGGA + 0.25*HF"``.

    Parameters
    ----------
    name : str or int
        See ``xcnet list``.
    spin : {"unpolarized", "polarized", 1, 2}
        Whether the density arrays hold one or two spins.

    Raises
    ------
    UnknownFunctionalError, ExpressionError, SpinError, ModelError
    """
    return LibXCFunctional(name, spin)


class LibXCFunctional:
    """A functional with pylibxc's interface.

    Parameters
    ----------
    func_name : str or int
        Name (any case, ``XC_`` optional), alias, id, or expression.
    spin : {"unpolarized", "polarized", 1, 2}
        Spin treatment of all arrays.
    """

    def __init__(self, func_name: str | int, spin: str | int) -> None:
        self._arguments = (_checked_name(func_name), _spin_number(spin))
        self._settings: list[tuple[str, Any]] = []
        self._spin = self._arguments[1]
        self._expression = expression.parse(str(self._arguments[0]))
        self._terms = [(t.weight, open_term(t.entry, self._spin)) for t in self._expression.terms]
        single = self._terms[0][1] if _is_single(self._expression) else None
        self._libxc = single.libxc if isinstance(single, LibxcTerm) else None
        self._set_facts()

    def _set_facts(self) -> None:
        """Facts that pylibxc's users read as attributes."""
        parts = [t.entry for t in self._expression.terms]
        exchange = self._expression.exact_exchange
        single = parts[0] if _is_single(self._expression) else None
        self._xc_func_name = single.name if single else self._expression.text.strip()
        self._number = single.id if single else -1
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
        self._have_cam = bool(self._flags & (variables.FLAG_HYB_CAM | variables.FLAG_HYB_CAMY))
        self._have_cam |= bool(self._flags & (variables.FLAG_HYB_LC | variables.FLAG_HYB_LCY))
        self._cam_omega, self._cam_alpha, self._cam_beta = (
            (exchange.omega, exchange.alpha, exchange.beta) if self._have_cam else (0.0, 0.0, 0.0)
        )
        self._have_vv10 = self._expression.vv10 is not None
        self._nlc_b, self._nlc_C = self._expression.vv10 or (0.0, 0.0)
        self._stable = bool(self._flags & variables.FLAG_STABLE)
        self._dev = bool(self._flags & variables.FLAG_DEVELOPMENT)
        self._inputs = _union([t.variables for _, t in self._terms])
        self._label_variables = self._variables_of_labels()
        self.xc_func_sizes = {
            name: variables.width(name, self._spin)
            for name in (
                *_ALL_VARIABLES,
                *variables.requested_labels(_ALL_VARIABLES, [True] * 5),
            )
        }
        self.xc_func_size_names = list(self.xc_func_sizes)

    def _title(self) -> str:
        first = self._expression.terms[0].entry if _is_single(self._expression) else None
        return first.description if first else self._expression.text.strip()

    def _combined_flags(self, exchange: ExactExchange) -> int:
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
        family = next(k for k, v in variables.FAMILIES.items() if v == self._family)
        own = variables.family_variables(family, self._needs_laplacian)
        return (*own, *(v for v in self._inputs if v in variables.DESCRIPTORS))

    def __repr__(self) -> str:
        return f"<xcnet.functional.LibXCFunctional ({self.get_name()}) object at {hex(id(self))}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self._arguments, self._settings)

    # -- facts ---------------------------------------------------------------------------------

    def describe(self) -> str:
        """Several lines that say what the functional is."""
        kinds = {number: name for name, number in variables.KINDS.items()}
        families = {number: name for name, number in variables.FAMILIES.items()}
        spins = {number: name for name, number in _SPINS.items()}
        have = [name for name in variables.ORDERS if getattr(self, f"_have_{name}")]
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
        found = [c for t in self._expression.terms for c in t.entry.citations]
        return tuple(dict.fromkeys(found))

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
        """Fraction of exact exchange (FunctionalKindError where there is none)."""
        if self._family not in _HYBRID_FAMILIES:
            raise self._wrong_kind("is not a hybrid: it has no exact exchange")
        return self._expression.exact_exchange.alpha

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

    def aux_funcs(self, return_ids: bool = False) -> dict[Any, float]:
        """Functionals that this one mixes: name (or id) -> weight."""
        if self._libxc:
            pairs = [(registry.find(number), w) for number, w in self._libxc.aux_funcs()]
        else:
            pairs = [(t.entry, t.weight) for t in self._expression.terms]
            pairs = [] if _is_single(self._expression) else pairs
        if not pairs:
            raise self._wrong_kind("does not mix other functionals")
        return {entry.id if return_ids else entry.name: weight for entry, weight in pairs}

    def _wrong_kind(self, why: str) -> FunctionalKindError:
        return FunctionalKindError(f"{self._xc_func_name} {why}", functional=self._xc_func_name)

    # -- external parameters and thresholds ----------------------------------------------------

    def get_ext_param_names(self) -> list[str]:
        """Names of libxc's external parameters; neural functionals and mixtures have none."""
        return list(self._libxc.ext_param_names) if self._libxc else []

    def get_ext_param_descriptions(self) -> list[str]:
        """Descriptions of the external parameters."""
        return list(self._libxc.ext_param_descriptions) if self._libxc else []

    def get_ext_param_default_values(self) -> list[float]:
        """Default values of the external parameters."""
        return list(self._libxc.ext_param_defaults) if self._libxc else []

    def set_ext_params(self, ext_params: Sequence[float]) -> None:
        """Set all external parameters of one of libxc's functionals."""
        if self._libxc is None:
            raise self._wrong_kind("has no external parameters")
        self._libxc.set_ext_params(ext_params)
        self._settings.append(("set_ext_params", [float(x) for x in ext_params]))

    def set_dens_threshold(self, dens_threshold: float) -> None:
        """Set the total density (bohr^-3) below which every output is exactly zero."""
        self._set_threshold("density", "set_dens_threshold", dens_threshold)

    def set_zeta_threshold(self, zeta_threshold: float) -> None:
        """Set the floor of 1 - abs(zeta)."""
        self._set_threshold("zeta", "set_zeta_threshold", zeta_threshold)

    def set_sigma_threshold(self, sigma_threshold: float) -> None:
        """Set the floor of the gradient's norm (bohr^-4)."""
        self._set_threshold("sigma", "set_sigma_threshold", sigma_threshold)

    def set_tau_threshold(self, tau_threshold: float) -> None:
        """Set the floor of the kinetic energy density (Hartree bohr^-3)."""
        self._set_threshold("tau", "set_tau_threshold", tau_threshold)

    def _set_threshold(self, variable: str, method: str, value: float) -> None:
        for _, term in self._terms:
            term.set_threshold(variable, value)
        self._settings.append((method, value))

    def set_fhc_enforcement(self, on: bool) -> None:
        """Clamp sigma_ss <= 8 rho_s tau_s (Fermi hole curvature), or not."""
        for _, term in self._terms:
            term.set_fhc_enforcement(on)
        self._settings.append(("set_fhc_enforcement", on))

    # -- evaluation ----------------------------------------------------------------------------

    def compute(
        self,
        inp: Mapping[str, Any] | npt.ArrayLike,
        output: Any = None,
        do_exc: Any = True,
        do_vxc: bool = True,
        do_fxc: bool = False,
        do_kxc: bool = False,
        do_lxc: bool = False,
        *,
        lapl: npt.ArrayLike | None = None,
    ) -> dict[str, Array]:
        """Evaluate the functional.

        Called as pylibxc's ``compute(inp, output, do_exc, ...)`` or as
        ``compute(rho, sigma, tau, lapl=..., do_fxc=...)``.

        Parameters
        ----------
        inp : mapping or array
            ``rho``, ``sigma``, ``lapl``, ``tau`` (those the family needs), or rho alone. Any
            shape; N points of 1 (unpolarized) or 2, 3, 2, 2 (polarized) components, point-major,
            sigma in order (aa, ab, bb), tau = 1/2 sum |grad phi|^2; Hartree atomic units.
        output : mapping, optional
            float64 arrays to fill in place, by label. In the second form: sigma.
        do_exc, do_vxc, do_fxc, do_kxc, do_lxc : bool
            Derivative orders wanted. In the second form the third argument is tau.

        Returns
        -------
        dict
            Label -> (N, width) float64: ``zk`` the energy per particle, others the derivatives
            of n*zk, components in libxc's order. Where the total density is below the threshold
            every value is exactly zero.

        Raises
        ------
        MissingInputError, InputError, ArgumentTypeError
            A label is missing, of the wrong size, or NaN.
        DerivativeError
            The functional lacks an order.
        """
        given, output, do_exc = _arguments(inp, output, do_exc, lapl)
        flags = [bool(f) for f in (do_exc, do_vxc, do_fxc, do_kxc, do_lxc)]
        self._check_orders(flags)
        self._check_descriptors(given)
        inputs = density.read_inputs(given, self._inputs, self._spin, self._xc_func_name)
        points = len(inputs["rho"])
        labels = tuple(variables.requested_labels(self._label_variables, flags))
        result = {label: self._buffer(output, label, points) for label in labels}
        views = {label: array.reshape(points, -1) for label, array in result.items()}
        if points and labels:
            engine.for_each_chunk(points, engine.CHUNK, lambda p: self._add(inputs, views, p))
        return result

    def _add(self, inputs: Mapping[str, Array], views: Mapping[str, Array], part: slice) -> None:
        """Add all terms of one chunk of points to the outputs."""
        chunk = {name: array[part] for name, array in inputs.items()}
        for weight, term in self._terms:
            for label, value in term.evaluate(chunk, views.keys()).items():
                views[label][part] += value if weight == 1.0 else weight * value

    def _check_orders(self, flags: Sequence[bool]) -> None:
        for order, wanted in zip(variables.ORDERS, flags, strict=True):
            if wanted and not getattr(self, f"_have_{order}"):
                have = [o for o in variables.ORDERS if getattr(self, f"_have_{o}")]
                raise DerivativeError(
                    f"{self._xc_func_name} does not have {order}; it has {', '.join(have)}",
                    functional=self._xc_func_name,
                    expected=have,
                    given=order,
                )

    def _check_descriptors(self, given: Mapping[str, Any]) -> None:
        for label in self._inputs:
            if label in variables.DESCRIPTORS and given.get(label) is None:
                raise MissingInputError(
                    f"{self._xc_func_name} is nonlocal: it needs {label!r}, a descriptor of the "
                    "density on the whole grid, which this version does not compute yet. With the "
                    "descriptor in the input, the pointwise derivatives are available.",
                    functional=self._xc_func_name,
                    argument=label,
                )

    def _buffer(self, output: MutableMapping[str, Any] | None, label: str, points: int) -> Array:
        """Zeroed output array: the caller's own if there is one."""
        width = variables.width(label, self._spin)
        array = None if output is None else output.get(label)
        if array is None:
            return np.zeros((points, width))
        problem = _buffer_problem(array, points * width)
        if problem:
            raise InputError(
                f"{self._xc_func_name}: the output array {label!r} {problem}",
                functional=self._xc_func_name,
                argument=label,
                expected=points * width,
            )
        result: Array = array
        result[...] = 0.0
        return result


def _restore(
    cls: type[LibXCFunctional], arguments: tuple[Any, Any], settings: list[tuple[str, Any]]
) -> LibXCFunctional:
    restored = cls(*arguments)
    for method, value in settings:
        getattr(restored, method)(value)
    return restored


def _checked_name(func_name: Any) -> str | int:
    if isinstance(func_name, str):
        return func_name
    if isinstance(func_name, (int, np.integer)) and not isinstance(func_name, bool):
        return int(func_name)
    raise ArgumentTypeError(
        f"a functional is named by a string or an id, not by {type(func_name).__name__}",
        argument="func_name",
        given=func_name,
    )


def _spin_number(spin: Any) -> int:
    number = _SPINS.get(spin.lower()) if isinstance(spin, str) else spin
    if number not in (variables.UNPOLARIZED, variables.POLARIZED):
        raise SpinError(
            f"spin must be 'unpolarized', 'polarized', 1 or 2, not {spin!r}",
            argument="spin",
            given=spin,
        )
    return int(number)


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
    present = {"rho", *(name for group in groups for name in group)}
    return tuple(name for name in variables.COMPONENTS if name in present)


def _arguments(
    inp: Any, output: Any, do_exc: Any, lapl: Any
) -> tuple[Mapping[str, Any], MutableMapping[str, Any] | None, bool]:
    """Tell the two call forms apart: arrays in the second and third place mean sigma and tau."""
    if isinstance(inp, Mapping):
        return inp, output, do_exc
    given = {"rho": inp, "lapl": lapl}
    if output is not None and not isinstance(output, Mapping):
        given["sigma"], output = output, None
    if do_exc is not None and not isinstance(do_exc, (bool, np.bool_, int)):
        given["tau"], do_exc = do_exc, True
    return given, output, True if do_exc is None else bool(do_exc)


def _buffer_problem(array: Any, size: int) -> str | None:
    if not isinstance(array, np.ndarray) or array.dtype != np.float64:
        return "is not a numpy array of float64"
    if array.size != size:
        return f"has {array.size} elements, expected {size}"
    if not (array.flags.c_contiguous and array.flags.writeable):
        return "is not a writeable C-contiguous array"
    return None
