"""Shell structure of atomic grids: points on complete spheres around their parent atoms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xcnet.errors import InputError, MissingInputError
from xcnet.operators.points import Array, Points

Indices = npt.NDArray[np.int64]

#: Highest degree that Lebedev's quadrature with a number of points integrates exactly.
#: V. I. Lebedev, D. N. Laikov, Doklady Mathematics 59, 477 (1999).
DEGREES = {
    **{6: 3, 14: 5, 26: 7, 38: 9, 50: 11, 74: 13, 86: 15, 110: 17, 146: 19, 170: 21, 194: 23},
    **{230: 25, 266: 27, 302: 29, 350: 31, 434: 35, 590: 41, 770: 47, 974: 53, 1202: 59},
    **{1454: 65, 1730: 71, 2030: 77, 2354: 83, 2702: 89, 3074: 95, 3470: 101, 3890: 107},
    **{4334: 113, 4802: 119, 5294: 125, 5810: 131},
}
#: Two points are on one shell if their radii differ less, relative and in bohr.
SAME_RADIUS = (1e-6, 1e-10)
#: Radii are rounded to this (bohr) and volumes to these digits: equal atoms share one table.
ROUNDED_RADIUS, DIGITS = 1e-9, 10


@dataclass(frozen=True, eq=False)
class Shells:
    """Points sorted by parent, then by radius.

    Attributes
    ----------
    centres : (A, 3) float64
        Atoms, bohr.
    parent : (P,) int
        Atom of each sorted point.
    order : (P,) int
        Grid points of some parent, in the sorted order.
    point_start : (A + 1,) int
        First sorted point of each atom.
    shell : (P,) int
        Shell of each sorted point, numbered over all atoms.
    shell_start : (A + 1,) int
        First shell of each atom.
    radii, volumes : (K,) float64
        Radius (bohr) and 4 pi r^2 dr (bohr^3) of each shell.
    degree : (K,) int
        Highest degree that the shell's points integrate exactly.
    """

    centres: Array
    parent: Indices
    order: Indices
    point_start: Indices
    shell: Indices
    shell_start: Indices
    radii: Array
    volumes: Array
    degree: Indices


def find_shells(points: Points) -> Shells:
    """Shells of a molecular grid.

    Raises
    ------
    MissingInputError
        The atoms are not given.
    InputError
        A shell is incomplete: points were removed, as density pruning does.
    """
    atoms = points.atoms
    if atoms is None:
        raise MissingInputError(
            "the continuum near_region needs to know which atom each point belongs to: give "
            "xcnet.grid.Grid the centres, parents and volumes of the points",
            argument="parents",
        )
    order = np.flatnonzero(atoms.parents >= 0)
    radius = np.linalg.norm(points.coords[order] - atoms.centres[atoms.parents[order]], axis=1)
    sorting = np.lexsort((radius, atoms.parents[order]))
    order, radius = order[sorting], radius[sorting]
    parent = atoms.parents[order]
    relative, absolute = SAME_RADIUS
    new = np.ones(len(order), bool)
    new[1:] = (np.diff(parent) > 0) | (np.diff(radius) > relative * radius[:-1] + absolute)
    shell = np.cumsum(new) - 1
    first = np.flatnonzero(new)
    counts = np.diff(first, append=len(order))
    centre_range = np.arange(len(atoms.centres) + 1)
    _check_complete(points, atoms.centres, order, first, counts, parent)
    return Shells(
        atoms.centres,
        parent,
        order,
        np.searchsorted(parent, centre_range),
        shell,
        np.searchsorted(parent[first], centre_range),
        np.maximum(np.round(radius[first] / ROUNDED_RADIUS), 1.0) * ROUNDED_RADIUS,
        _rounded(np.add.reduceat(atoms.volumes[order], first) if len(first) else np.zeros(0)),
        np.array([DEGREES[int(count)] for count in counts], dtype=np.int64),
    )


def _rounded(values: Array) -> Array:
    with np.errstate(divide="ignore"):
        exponent = np.floor(np.log10(np.abs(values)))
    scale = 10.0 ** (DIGITS - 1 - np.where(np.isfinite(exponent), exponent, 0.0))
    rounded: Array = np.round(values * scale) / scale
    return rounded


def _check_complete(
    points: Points, centres: Array, order: Indices, first: Indices, counts: Indices, parent: Indices
) -> None:
    """A complete shell has a known number of points, and their mean is the centre."""
    if not len(first):
        return
    offset = points.coords[order] - centres[parent]
    size = np.abs(offset).max(axis=1)[first]
    centred = (
        np.abs(np.add.reduceat(offset, first, axis=0)).max(axis=1) <= 1e-8 * (size + 1) * counts
    )
    complete = np.isin(counts, list(DEGREES)) & centred
    if not complete.all():
        bad = int(np.argmin(complete))
        raise InputError(
            f"the shell of radius {np.linalg.norm(offset[first[bad]]):.4g} bohr around centre "
            f"{parent[first[bad]]} has {counts[bad]} points, not a complete Lebedev sphere: the "
            "continuum near_region needs whole shells. Switch off the removal of points with "
            "little density (PySCF: small_rho_cutoff = 0).",
            argument="coords",
            given=int(counts[bad]),
        )
