"""Validated integration points: coordinates, weights, and the atoms they belong to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xcnet.errors import ArgumentTypeError, InputError

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Atoms:
    """How a molecular grid is made of atomic grids.

    Attributes
    ----------
    centres : (A, 3) float64
        Nuclei, and other centres of grids, in bohr.
    parents : (N,) int
        Centre whose grid each point belongs to; -1 for a point of none, of zero weight.
    volumes : (N,) float64
        Weights before the partition among the atoms, bohr^3: 4 pi r^2 dr times the angular weight.
    numbers : (A,) float64 or None
        Atomic numbers of the centres, 0 for ghosts; None where they are not known.
    """

    centres: Array
    parents: npt.NDArray[np.int64]
    volumes: Array
    numbers: Array | None = None


@dataclass(frozen=True, eq=False)
class Points:
    """Integration points (N, 3) and weights (N,), in bohr and bohr^3, and their atoms if known."""

    coords: Array
    weights: Array
    atoms: Atoms | None = None


def read_points(
    coords: Any,
    weights: Any,
    centres: Any = None,
    parents: Any = None,
    volumes: Any = None,
    numbers: Any = None,
) -> Points:
    """Check the points of a grid; any order, weights of any sign.

    Parameters
    ----------
    coords : (N, 3) array
        Bohr.
    weights : (N,) array
        bohr^3; negative ones occur and are welcome.
    centres, parents, volumes : array, optional
        See `Atoms`; all three or none.
    numbers : array, optional
        See `Atoms`; only with the other three.

    Raises
    ------
    InputError, ArgumentTypeError
        Naming the array.
    """
    coords = _array("coords", coords)
    if coords.ndim != 2 or coords.shape[1] != 3:
        raise _shape_error("coords", "(N, 3)", coords.shape)
    points = len(coords)
    checked = _array("weights", weights, (points,))
    present = [value is not None for value in (centres, parents, volumes)]
    if not any(present) and numbers is None:
        return Points(coords, checked)
    if not all(present):
        raise InputError(
            "centres, parents and volumes of the points belong together (and atomic numbers to "
            "them): give all or none",
            argument="centres",
        )
    return Points(coords, checked, _atoms(centres, parents, volumes, numbers, checked))


def _atoms(centres: Any, parents: Any, volumes: Any, numbers: Any, weights: Array) -> Atoms:
    centres = _array("centres", centres)
    if centres.ndim != 2 or centres.shape[1] != 3:
        raise _shape_error("centres", "(A, 3)", centres.shape)
    owner = _array("parents", parents, weights.shape).astype(np.int64)
    if len(owner) and (owner.min() < -1 or owner.max() >= len(centres)):
        raise InputError(
            f"parents: centres are numbered from 0 to {len(centres) - 1} (-1: of no centre), "
            f"found {owner.min()} to {owner.max()}",
            argument="parents",
        )
    if weights[owner < 0].any():
        raise InputError("a point of no centre (parent -1) has a weight", argument="parents")
    if numbers is not None:
        numbers = _array("numbers", numbers, (len(centres),))
    return Atoms(centres, owner, _array("volumes", volumes, weights.shape), numbers)


def read_values(name: str, values: Any, points: int, width: int) -> Array:
    """Finite float64 values (N, width) of N points; (N,) will do for one."""
    flat = width == 1 and np.ndim(values) == 1
    array = _array(name, values, (points,) if flat else (points, width))
    return array.reshape(points, width)


def _array(name: str, value: Any, shape: tuple[int, ...] | None = None) -> Array:
    try:
        raw = np.asarray(value)
        if raw.dtype.kind not in "fiub":
            raise TypeError(f"values of type {raw.dtype}")
        array = np.ascontiguousarray(raw, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ArgumentTypeError(
            f"{name} is not an array of real numbers: {error}", argument=name
        ) from error
    if shape is not None and array.shape != shape:
        raise _shape_error(name, str(shape), array.shape)
    finite = np.isfinite(array)
    if not finite.all():
        first = int(np.argmin(finite.reshape(len(array), -1).all(axis=1)))
        raise InputError(
            f"{name} has {int((~finite).sum())} values that are NaN or infinite, the first at "
            f"point {first}",
            argument=name,
            point=first,
        )
    return array


def _shape_error(name: str, expected: str, given: tuple[int, ...]) -> InputError:
    return InputError(
        f"{name} has the shape {given}, expected {expected}",
        argument=name,
        expected=expected,
        given=given,
    )
