"""Compiled inner loops of the partition. Imported only where numba is known to be there."""

from __future__ import annotations

import math

import numba
import numpy as np

from xcnet.operators import cells
from xcnet.operators.points import Array

#: Longest distance, bohr, over which the density goes over from one atom to another; it makes
#: cells finite (as H. Laqua, J. Kussmann, C. Ochsenfeld, J. Chem. Phys. 149, 204111 (2018)).
RANGE = 6.0
#: Hydrogen's cell: shift of Becke's coordinate against atoms up to neon and heavier, and weight.
SHIFT, SHIFT_HEAVY, LIGHT = 0.28, 0.36, 0.6
#: Added to r in 1/r, bohr.
CORE = 0.05
#: Cells are zero below this part of the closest atom's.
TINY = 1e-12

_shifted = numba.njit(inline="always")(cells.shifted)
_steeper = numba.njit(inline="always")(cells.steeper)


@numba.njit(nogil=True, cache=True)
def shares(
    coords: Array,
    parent: Array,
    centres: Array,
    rows: Array,
    neighbours: Array,
    distances: Array,
    first: int,
    end: int,
    result: Array,
) -> None:
    """Share of each of the points first..end that belongs to its parent atom: result (N,).

    rows (A,): 0 for hydrogen and ghosts, 1 up to neon, 2 for heavier atoms.
    """
    atoms = np.empty(len(centres), np.int64)
    radii = np.empty(len(centres))
    for i in range(first, end):
        own = parent[i]
        if own < 0:
            continue
        count, near, mine, total, largest = 0, 0, 0.0, 0.0, 0.0
        for which in range(len(centres)):
            atom = neighbours[own, which]
            # No atom beyond has a cell here, or limits one that is here; the first is the parent.
            if which > 0 and distances[own, which] > 2.0 * (radii[0] + RANGE):
                break
            atoms[count], radii[count] = atom, _distance(coords, i, centres, atom)
            if radii[count] < radii[near]:
                near = count
            count += 1
        closest = radii[near]
        # The closest atom ends most of the cells: it comes first.
        atoms[0], atoms[near] = atoms[near], atoms[0]
        radii[0], radii[near] = radii[near], radii[0]
        for place in range(count):
            if radii[place] < closest + RANGE:
                cell = _cell(place, count, atoms, radii, centres, rows, TINY * largest)
                if place == 0:
                    largest = cell
                total += cell
                if atoms[place] == own:
                    mine = cell
        result[i] = mine / total


@numba.njit(nogil=True)
def _cell(
    place: int, count: int, atoms: Array, radii: Array, centres: Array, rows: Array, smallest: float
) -> float:
    """Cell function of an atom, before all are divided by their sum."""
    row = rows[atoms[place]]
    cell = (LIGHT if row == 0 else 1.0) / (radii[place] + CORE)
    for other in range(count):
        difference = radii[place] - radii[other]
        if other == place or difference <= -RANGE:
            continue
        apart = min(_distance(centres, atoms[place], centres, atoms[other]), RANGE)
        mu = max(-1.0, min(1.0, difference / max(apart, 1e-10)))
        row_other = rows[atoms[other]]
        if (row == 0) != (row_other == 0):
            shift = SHIFT_HEAVY if max(row, row_other) == 2 else SHIFT
            mu = _shifted(mu, shift if row == 0 else -shift)
        # Between the large cores of two heavy atoms the steeper step is the smoother one.
        for _ in range(3 if min(row, row_other) == 2 else 2):
            mu = _steeper(mu)
        cell *= 0.5 * (1.0 - mu)
        if cell < smallest:
            return 0.0
    return cell


@numba.njit(nogil=True, inline="always")
def _distance(points: Array, i: int, others: Array, j: int) -> float:
    x = points[i, 0] - others[j, 0]
    y = points[i, 1] - others[j, 1]
    z = points[i, 2] - others[j, 2]
    return math.sqrt(x * x + y * y + z * z)
