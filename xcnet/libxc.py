"""The only binding of libxc (versions 5, 6 and 7, whichever is installed).

libxc ends the whole process when it is asked for a derivative that it does not have, so
everything is checked before it is called. It is never told to change a functional that may be
in use: settings make a new handle, and an evaluation keeps the one that it started with.

Source: S. Lehtola et al., SoftwareX 7, 1 (2018), doi:10.1016/j.softx.2017.11.002.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from ctypes import byref, c_double, c_int
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import variables
from ._libxc_library import (
    ENVIRONMENT_VARIABLE,
    Handle,
    Library,
    RawCitation,
    decode,
    family_from_id,
    library,
    names,
    reference,
    version,
    version_string,
)
from ._libxc_signatures import ALL_INPUTS, ALL_OUTPUTS
from .errors import (
    DerivativeError,
    InputError,
    MissingInputError,
    SpinError,
    UnsupportedError,
)

__all__ = [
    "ENVIRONMENT_VARIABLE",
    "Functional",
    "Library",
    "RawCitation",
    "family_from_id",
    "library",
    "names",
    "reference",
    "version",
    "version_string",
]

MAX_REFERENCES = 5
_FAMILY_NAMES = {number: name for name, number in variables.FAMILIES.items()}


class Functional:
    """A functional of libxc: facts, settings and raw evaluation.

    Safe to share between threads and to use after a fork; pickles by name, spin and settings.

    Parameters
    ----------
    name_or_id : str or int
        Name (any case, optional ``XC_``) or number.
    spin : int
        1 unpolarized, 2 polarized.

    Raises
    ------
    UnknownFunctionalError, SpinError, ArgumentTypeError
        The functional or spin does not exist, or the name has a wrong type.
    LibxcNotFoundError
        There is no usable libxc.

    Attributes
    ----------
    number, kind, family, flags : int
        As in libxc, see :mod:`xcnet.variables`. The flag NEEDS_TAU is set also where libxc is
        older than the flag.
    needs_laplacian, needs_tau : bool
        Whether the functional depends on these.
    orders : tuple of bool
        Whether (exc, vxc, fxc, kxc, lxc) are available in this build of libxc.
    family_variables : tuple of str
        Inputs that :meth:`evaluate` needs, in libxc's order.
    name, description : str
        ``gga_x_pbe`` and "Perdew, Burke & Ernzerhof".
    """

    def __init__(self, name_or_id: str | int, spin: int) -> None:
        if spin not in (variables.UNPOLARIZED, variables.POLARIZED):
            raise SpinError(f"spin {spin!r} is neither 1 (unpolarized) nor 2 (polarized)")
        self._library = library()
        self._core = self._library.core
        self.number = self._library.find(name_or_id)
        self.spin = int(spin)
        self.name = self._library.numbers[self.number]
        self._settings: dict[str, Any] = {}
        self._handle = Handle(self._core, self.number, self.spin)
        info = self._handle.info
        self.kind: int = self._core.xc_func_info_get_kind(info)
        self.family: int = self._core.xc_func_info_get_family(info)
        self.description = decode(self._core.xc_func_info_get_name(info))
        self._base = variables.base_family(_FAMILY_NAMES[self.family])
        self._function = getattr(self._core, f"xc_{self._base}")
        flags = self.flags
        self.needs_laplacian = bool(flags & variables.FLAG_NEEDS_LAPLACIAN)
        self.needs_tau = bool(flags & variables.FLAG_NEEDS_TAU)
        self.orders = tuple(bool(flags & flag) for flag in variables.FLAG_HAVE)
        unused = {"lapl": not self.needs_laplacian, "tau": not self.needs_tau}
        self.family_variables = tuple(v for v in ALL_INPUTS[self._base] if not unused.get(v))

    @property
    def flags(self) -> int:
        """Bit mask of what the functional has, as this build of libxc was compiled."""
        handle = self._handle
        flags = int(self._core.xc_func_info_get_flags(handle.info))
        if self._base == "mgga" and not self._library.marks_tau:
            flags |= variables.FLAG_NEEDS_TAU
        return flags

    @cached_property
    def citations(self) -> tuple[RawCitation, ...]:
        """Articles to cite."""
        return tuple(self._read_citations())

    def _read_citations(self) -> Iterator[RawCitation]:
        core, handle = self._core, self._handle
        for position in range(MAX_REFERENCES):
            reference = core.xc_func_info_get_references(handle.info, position)
            if not reference:
                return
            bibtex = decode(core.xc_func_reference_get_bibtex(reference))
            if self._library.has("xc_func_reference_get_key"):
                key = decode(core.xc_func_reference_get_key(reference))
            else:
                match = re.match(r"\s*@\w+\{\s*([^,\s]+)", bibtex)
                key = match.group(1) if match else ""
            ref, doi = core.xc_func_reference_get_ref, core.xc_func_reference_get_doi
            yield RawCitation(decode(ref(reference)), bibtex, decode(doi(reference)), key)

    def cam_coef(self) -> tuple[float, float, float]:
        """Range separation (omega, alpha, beta) as set in libxc, whatever the kind.

        The share of exact exchange is alpha at long and alpha + beta at short range.
        """
        handle, values = self._handle, (c_double(), c_double(), c_double())
        self._core.xc_hyb_cam_coef(handle.pointer, *(byref(value) for value in values))
        omega, alpha, beta = (value.value for value in values)
        return omega, alpha, beta

    def hyb_exx_coef(self) -> float:
        """Share of exact exchange of a global hybrid: alpha of :meth:`cam_coef`."""
        return self.cam_coef()[1]

    def nlc_coef(self) -> tuple[float, float]:
        """Parameters (b, C) of VV10 as set in libxc, whatever the kind."""
        handle, b, c = self._handle, c_double(), c_double()
        self._core.xc_nlc_coef(handle.pointer, byref(b), byref(c))
        return b.value, c.value

    def aux_funcs(self) -> tuple[tuple[int, float], ...]:
        """Return (number, weight) of the functionals that this one mixes."""
        handle = self._handle
        count = self._core.xc_num_aux_funcs(handle.pointer)
        if count == 0:
            return ()
        numbers, weights = (c_int * count)(), (c_double * count)()
        self._core.xc_aux_func_ids(handle.pointer, numbers)
        self._core.xc_aux_func_weights(handle.pointer, weights)
        return tuple(zip(numbers, weights, strict=True))

    # -- external parameters and thresholds --------------------------------------------------

    def _each_ext_param(self, function: str) -> tuple[Any, ...]:
        handle = self._handle
        count = self._core.xc_func_info_get_n_ext_params(handle.info)
        get = getattr(self._core, f"xc_func_info_get_ext_params_{function}")
        return tuple(get(handle.info, position) for position in range(count))

    @property
    def ext_param_names(self) -> tuple[str, ...]:
        """Names of the external parameters; a leading underscore marks internal ones."""
        return tuple(decode(name) for name in self._each_ext_param("name"))

    @property
    def ext_param_descriptions(self) -> tuple[str, ...]:
        """What each external parameter means."""
        return tuple(decode(text) for text in self._each_ext_param("description"))

    @property
    def ext_param_defaults(self) -> tuple[float, ...]:
        """Default value of each external parameter."""
        return self._each_ext_param("default_value")

    @property
    def settings(self) -> Mapping[str, Any]:
        """What was set: ext_params, dens, zeta, sigma, tau (thresholds), fhc.

        libxc has no accessor for the thresholds that it starts with.
        """
        return MappingProxyType(self._settings)

    def set_ext_params(self, values: Sequence[float]) -> None:
        """Set all external parameters, in the order of :attr:`ext_param_names`."""
        numbers = np.asarray(values, dtype=np.float64).ravel()
        count = len(self.ext_param_names)
        if count == 0:
            raise InputError(f"{self.name} has no external parameters", functional=self.name)
        if numbers.size != count or not np.isfinite(numbers).all():
            raise InputError(
                f"{self.name} takes {count} finite external parameters "
                f"({', '.join(self.ext_param_names)}), not {numbers.size}: {numbers.tolist()}",
                functional=self.name,
                expected=count,
                given=numbers.size,
            )
        self._set("ext_params", tuple(numbers.tolist()))

    def set_dens_threshold(self, value: float) -> None:
        """Set the density (bohr^-3) below which everything is zero; 0 leaves it as it is."""
        self._set_threshold("dens", value)

    def set_zeta_threshold(self, value: float) -> None:
        """Set the smallest 1 - |zeta|; 0 leaves it as it is."""
        self._set_threshold("zeta", value)

    def set_sigma_threshold(self, value: float) -> None:
        """Set the smallest density gradient, the root of sigma; 0 leaves it as it is."""
        self._set_threshold("sigma", value)

    def set_tau_threshold(self, value: float) -> None:
        """Set the smallest kinetic energy density; 0 leaves it as it is."""
        self._set_threshold("tau", value)

    def _set_threshold(self, name: str, value: float) -> None:
        if not value >= 0:
            reason = f"{self.name}: the {name} threshold must be 0 or more, not {value}"
            raise InputError(reason, functional=self.name, argument=name, given=value)
        self._set(name, float(value))

    def set_fhc_enforcement(self, on: bool) -> None:
        """Enforce the Fermi hole curvature sigma_ss <= 8 rho_s tau_s, or not (libxc 7)."""
        if not self._library.has("xc_func_set_fhc_enforcement"):
            raise UnsupportedError(
                f"libxc {self._library.version_string} cannot change the Fermi hole curvature "
                "enforcement; libxc 7 can",
                functional=self.name,
            )
        self._set("fhc", bool(on))

    def _set(self, name: str, value: Any) -> None:
        self._configure({**self._settings, name: value})

    def _configure(self, settings: dict[str, Any]) -> None:
        """Replace the handle by one with these settings; running evaluations keep theirs."""
        handle = Handle(self._core, self.number, self.spin)
        for name, value in settings.items():
            if name == "ext_params":
                self._core.xc_func_set_ext_params(handle.pointer, (c_double * len(value))(*value))
            elif name == "fhc":
                self._core.xc_func_set_fhc_enforcement(handle.pointer, value)
            else:
                getattr(self._core, f"xc_func_set_{name}_threshold")(handle.pointer, value)
        self._handle, self._settings = handle, settings

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self.name, self.spin, self._settings)

    def __repr__(self) -> str:
        return f"<libxc {self.name} ({self.number}), spin {self.spin}>"

    # -- evaluation --------------------------------------------------------------------------

    def evaluate(
        self, inputs: Mapping[str, NDArray[np.float64]], outputs: Mapping[str, NDArray[np.float64]]
    ) -> None:
        """Fill the given output arrays.

        Parameters
        ----------
        inputs : Mapping[str, ndarray]
            ``family_variables`` by name, float64, C-contiguous, N x components in libxc's order
            (rho 1|2, sigma 1|3, lapl 1|2, tau 1|2), atomic units. Others are ignored.
        outputs : Mapping[str, ndarray]
            Arrays to fill, float64, C-contiguous, N x width; every label of each order that
            has one. libxc's thresholds and clamping apply.

        Raises
        ------
        MissingInputError, InputError, DerivativeError
            An array is missing or has a wrong type or size, or the derivative is not available.
        """
        points = self._checked_points(inputs, outputs)
        if points == 0 or not outputs:
            return
        needed = self.family_variables
        handle = self._handle
        self._function(
            handle.pointer,
            points,
            *(inputs[v].ctypes.data if v in needed else None for v in ALL_INPUTS[self._base]),
            *(
                outputs[label].ctypes.data if label in outputs else None
                for label in ALL_OUTPUTS[self._base]
            ),
        )

    def _checked_points(
        self, inputs: Mapping[str, NDArray[np.float64]], outputs: Mapping[str, NDArray[np.float64]]
    ) -> int:
        """Count the points after refusing everything that libxc would crash on."""
        for name in self.family_variables:
            if name not in inputs:
                reason = f"{self.name} needs the density variable {name!r}"
                raise MissingInputError(reason, functional=self.name, argument=name)
        points = inputs["rho"].size // variables.width("rho", self.spin)
        for name in self.family_variables:
            self._check_array(name, inputs[name], points)
        known = 0
        for order, have in enumerate(self.orders):
            labels = variables.labels(self.family_variables, order)
            requested = sum(label in outputs for label in labels)
            known += requested
            if requested and not have:
                self._refuse(order)
            if requested not in (0, len(labels)):
                reason = f"{self.name}: give arrays for all of {', '.join(labels)} or for none"
                raise InputError(reason, functional=self.name, expected=labels)
            for label in labels if requested else ():
                self._check_array(label, outputs[label], points, writeable=True)
        if known != len(outputs):
            self._refuse_unknown(outputs)
        return points

    def _check_array(
        self, name: str, array: NDArray[np.float64], points: int, writeable: bool = False
    ) -> None:
        flags, size = array.flags, points * variables.width(name, self.spin)
        fits = array.dtype == np.float64 and flags.c_contiguous and flags.aligned
        if not fits or array.size != size or (writeable and not flags.writeable):
            raise InputError(
                f"{self.name}: {name} must be a C-contiguous{' writeable' if writeable else ''} "
                f"float64 array of {size} elements, not {array.dtype} of shape {array.shape}",
                functional=self.name,
                argument=name,
                expected=size,
                given=array.size,
            )

    def _refuse(self, order: int) -> None:
        available = [name for name, have in zip(variables.ORDERS, self.orders, strict=True) if have]
        raise DerivativeError(
            f"{self.name} has no {variables.ORDERS[order]} in libxc {self._library.version_string} "
            f"at {self._library.path}; available: {', '.join(available)}",
            functional=self.name,
            given=variables.ORDERS[order],
        )

    def _refuse_unknown(self, outputs: Mapping[str, NDArray[np.float64]]) -> None:
        known = set(variables.requested_labels(self.family_variables, (True,) * 5))
        unknown = ", ".join(repr(label) for label in outputs if label not in known)
        raise InputError(f"{self.name} has no output {unknown}", functional=self.name)


def _restore(name: str, spin: int, settings: dict[str, Any]) -> Functional:
    """Rebuild a pickled functional."""
    functional = Functional(name, spin)
    if settings:
        functional._configure(settings)
    return functional
