"""Density arrays: validated input in libxc's layout, thresholds, closed-shell folding.

Inside, every variable is a float64 array (N, k), k the number of components of the spin.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from xcnet import operators, variables
from xcnet.errors import ArgumentTypeError, InputError, MissingInputError
from xcnet.spec import Thresholds

Array = npt.NDArray[np.float64]

#: The clamp of spin densities never goes below this, whatever threshold a caller sets.
SMALLEST_DENSITY = 1e-25
#: Of the mean: opposite gradients leave this much, so that rounding makes no |grad n|^2 negative.
LEAST_REMAINDER = 2.0**-50


def read_inputs(
    arrays: Mapping[str, Any], needed: Sequence[str], spin: int, functional: str
) -> dict[str, Array]:
    """Check the density variables that a functional needs.

    Parameters
    ----------
    arrays : mapping
        Of any shape in libxc's layout, point-major; the number of points is
        ``rho.size / (1 or 2)``. Atomic units; ``sigma`` in order (aa, ab, bb), tau with 1/2.
    needed : sequence of str
        Labels that the functional needs; others are ignored.
    spin : int
        1 unpolarized, 2 polarized.
    functional : str
        Its name, for errors.

    Returns
    -------
    dict
        C-contiguous float64 arrays (N, k). The caller's arrays are never changed; they are
        not copied where they have this form already.

    Raises
    ------
    MissingInputError, InputError, ArgumentTypeError
        Naming the label.
    """
    points = -1
    result = {}
    for label in needed:
        if arrays.get(label) is None:
            hint = f"; it needs {', '.join(needed)}" if len(needed) > 1 else ""
            hint += _rows_hint(arrays.get("rho"), label, needed)
            raise MissingInputError(
                f"{functional}: the input lacks {label!r}{hint}",
                functional=functional,
                argument=label,
                expected=tuple(needed),
            )
        array = _float_array(arrays[label], label, functional)
        width = variables.width(label, spin)
        if points < 0:
            points = _number_of_points(array, width, functional)
        if array.size != points * width:
            other = variables.POLARIZED if spin == variables.UNPOLARIZED else variables.UNPOLARIZED
            hint = _spin_hint(arrays, needed, other)
            raise InputError(
                f"{functional}: {label!r} has {array.size} elements, expected {points * width} "
                f"({points} points of {width} component{'s' * (width > 1)}){hint}",
                functional=functional,
                argument=label,
                expected=points * width,
                given=array.size,
            )
        _check_order(arrays[label], label, width, functional)
        _check_finite(array, label, width, functional)
        result[label] = array.reshape(points, width)
    return result


def all_finite(array: Array) -> bool:
    """Whether no number is NaN or infinite."""
    # A sum of squares shows it in one pass, unless it overflows itself.
    flat = array.reshape(-1)
    return math.isfinite(flat.dot(flat)) or bool(np.isfinite(array).all())


def _rows_hint(rho: Any, label: str, needed: Sequence[str]) -> str:
    """What to write where rho is PySCF's array of a density and its derivatives."""
    shape = np.shape(rho) if isinstance(rho, np.ndarray) else ()
    if label != "sigma" or len(shape) < 2 or shape[-2] not in (4, 5, 6):
        return ""
    tau = ", tau=rho[-1]" if "tau" in needed else ""
    return (
        f". 'rho' of shape {shape} looks like PySCF's rows of one spin, density, gradient and "
        f"tau: give rho=rho[0], sigma=(rho[1:4] ** 2).sum(axis=0){tau}"
    )


def _spin_hint(arrays: Mapping[str, Any], needed: Sequence[str], other: int) -> str:
    """A word where all sizes would fit with the other spin treatment."""
    sizes = [
        np.size(arrays[name]) / variables.width(name, other) for name in needed if name in arrays
    ]
    if len(sizes) < len(needed) or len(set(sizes)) > 1:
        return ""
    word = {variables.UNPOLARIZED: "unpolarized", variables.POLARIZED: "polarized"}[other]
    return f". All sizes fit spin={word!r}"


def _float_array(value: Any, label: str, functional: str) -> Array:
    if type(value) is np.ndarray and value.dtype == np.float64 and value.flags.carray:
        return value
    try:
        raw = np.asarray(value)
        if raw.dtype.kind not in "fiub":
            raise TypeError(f"values of type {raw.dtype}")
        if np.any(getattr(value, "mask", False)):
            raise TypeError("some of its values are masked")
        return np.require(raw, np.float64, ["C_CONTIGUOUS", "ALIGNED"])
    except (TypeError, ValueError) as error:
        raise ArgumentTypeError(
            f"{functional}: {label!r} is not an array of real numbers: {error}",
            functional=functional,
            argument=label,
        ) from error


def _number_of_points(rho: Array, width: int, functional: str) -> int:
    if rho.size % width:
        raise InputError(
            f"{functional}: 'rho' has {rho.size} elements, not a multiple of {width} "
            "(spin up and down at each point)",
            functional=functional,
            argument="rho",
            given=rho.size,
        )
    return rho.size // width


def _check_order(value: Any, label: str, width: int, functional: str) -> None:
    """Refuse components first, as PySCF has them, where the shape leaves no doubt."""
    shape = np.shape(value)
    if len(shape) > 1 and width > 1 and shape[0] == width != shape[-1]:
        raise InputError(
            f"{functional}: {label!r} of shape {shape} has its {width} components first, as in "
            f"PySCF. Here they come last, as in libxc: give an array (N, {width}), "
            f"np.stack([...], axis=-1) of the components or {label}.T of a matrix",
            functional=functional,
            argument=label,
            expected=f"(N, {width})",
            given=shape,
        )


def _check_finite(array: Array, label: str, width: int, functional: str) -> None:
    if all_finite(array):
        return
    finite = np.isfinite(array)
    first = int(np.argmin(finite.ravel()))
    raise InputError(
        f"{functional}: {label!r} has {int((~finite).sum())} values that are NaN or infinite, "
        f"the first at point {first // width}",
        functional=functional,
        argument=label,
        point=first // width,
    )


def spin_resolved(inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Closed-shell variables (N, 1), descriptors (N, c), as spin-resolved components (N, k)."""
    result = {}
    for label, array in inputs.items():
        unpolarized, polarized = variables.sizes(label)
        share = array * variables.closed_shell_share(label)
        copies = polarized // unpolarized
        result[label] = np.tile(share, (1, copies)) if copies > 1 else share
    return result


def fold(label: str, values: Array) -> Array:
    """Contract a polarized output (N, k) at a closed-shell density to the unpolarized one.

    That is (N, 1), for derivatives by descriptors (N, c).
    """
    weights = np.array(variables.fold_weights(label), like=values)
    folded: Array = values @ weights.T
    return folded


def clamp(
    inputs: Mapping[str, Array], thresholds: Thresholds, enforce_fhc: bool
) -> tuple[dict[str, Array], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Clamp spin-resolved variables as libxc does.

    Returns
    -------
    inputs : dict
        New arrays: rho_s >= threshold, sigma_ss >= sigma_threshold^2, |sigma_ab| <= (sigma_aa +
        sigma_bb)/2, tau_s >= tau_threshold, and with ``enforce_fhc`` sigma_ss <= 8 rho_s tau_s.
    empty : (N,) bool
        Points whose total density is below the threshold: every output there is exactly zero.
    absent : (N, 2) bool
        Spin channels that were lifted to the floor.
    """
    rho = inputs["rho"]
    total = rho[:, 0] + rho[:, 1]
    empty = _is_empty(total, thresholds)
    floor = max(thresholds.density, SMALLEST_DENSITY)
    floors = np.maximum(0.5 * thresholds.zeta * total, floor)[:, None]
    absent = rho <= floors
    clamped = dict(inputs)
    rho = clamped["rho"] = np.maximum(rho, floors)
    if "tau" in inputs:
        clamped["tau"] = np.maximum(inputs["tau"], thresholds.tau)
    if "sigma" in inputs:
        tau = clamped["tau"] if enforce_fhc and "tau" in inputs else None
        clamped["sigma"] = _clamp_sigma(inputs["sigma"], thresholds.sigma**2, rho, tau)
    _clip_descriptors(clamped)
    return clamped, empty, absent


def clamp_closed_shell(
    inputs: Mapping[str, Array], thresholds: Thresholds, enforce_fhc: bool
) -> tuple[dict[str, Array], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Clamp the totals (N, 1) of closed shells as `clamp` does their two spins.

    Returns
    -------
    inputs : dict
        New arrays.
    empty : (N,) bool
        As of `clamp`.
    floored : (N,) bool
        Points where spin densities or gradients lie at their floor: sigma_ab has none, so that
        no totals stand for the clamped spins there.
    """
    total = inputs["rho"]
    empty = _is_empty(total[:, 0], thresholds)
    floor = 2.0 * max(thresholds.density, SMALLEST_DENSITY)
    floored = total <= floor
    clamped = dict(inputs)
    rho = clamped["rho"] = np.maximum(total, floor)
    if "tau" in inputs:
        clamped["tau"] = np.maximum(inputs["tau"], 2.0 * thresholds.tau)
    if "sigma" in inputs:
        least = 4.0 * thresholds.sigma**2
        floored |= inputs["sigma"] < least
        sigma = clamped["sigma"] = np.maximum(inputs["sigma"], least)
        if enforce_fhc and "tau" in inputs:
            clamped["sigma"] = np.minimum(sigma, 8.0 * rho * clamped["tau"])
    _clip_descriptors(clamped)
    return clamped, empty, floored[:, 0]


def _is_empty(total: Array, thresholds: Thresholds) -> npt.NDArray[np.bool_]:
    empty: npt.NDArray[np.bool_] = ~((total >= thresholds.density) & (total > 0.0))
    return empty


def _clip_descriptors(inputs: dict[str, Array]) -> None:
    """Clip the quadrature's noise of descriptors that have a floor."""
    for label in inputs.keys() & operators.known().keys():
        floor = operators.known()[label].floor
        if floor is not None:
            inputs[label] = np.maximum(inputs[label], floor)


def _clamp_sigma(sigma: Array, floor: float, rho: Array, tau: Array | None) -> Array:
    same_spin = np.maximum(sigma[:, ::2], floor)
    if tau is not None:
        same_spin = np.minimum(same_spin, 8.0 * rho * tau)
    mean = 0.5 * (same_spin[:, 0] + same_spin[:, 1])
    result = np.empty_like(sigma)
    result[:, ::2] = same_spin
    result[:, 1] = np.minimum(np.maximum(sigma[:, 1], (LEAST_REMAINDER - 1.0) * mean), mean)
    return result
