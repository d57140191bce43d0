"""The descriptor as an integral, independent of the grid it is computed on.

The density is parted among the atoms (`partition.factors`), as in A. D. Becke's and R. M.
Dickson's way to solve Poisson's equation (J. Chem. Phys. 89, 2993 (1988), doi:10.1063/1.455005).
Each part is expanded in real spherical harmonics around its atom, `radial.tables` applies the
exact kernel to each radial function, and the result is summed at the points of all atoms: Hermite
interpolation between the shells. Each step is a linear map whose transpose is coded beside it.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from xcnet import threads
from xcnet.operators import compiled
from xcnet.operators.near_region import partition, radial
from xcnet.operators.near_region.shells import find_shells
from xcnet.operators.points import Array, Points

#: Highest angular momentum: the default, and the one for reference values.
ORDER, HIGH_ORDER = 12, 20
#: Harmonics fade out around some degree, over some width: relative to the degree that a shell's
#: points integrate exactly, and to the number of degrees that are used. What points cannot tell
#: apart, or a sharp end, would spread from a nucleus over its whole sphere, where there may be a
#: millionth of the density; smooth ends keep errors in their place (measured).
RESOLVED, USED = (0.55, 0.1), (1.0, 0.1)
#: An atom's part is left out at points that are farther from it, by REACH, than from the closest
#: atom, and taken up to two thirds of the order at those that are by FAR (measured).
REACH, FAR = 4.0, 3.0  # bohr
CHUNK = 2048


class Continuum:
    """The continuum descriptor on one molecular grid.

    Parameters
    ----------
    points : Points
        With atoms: complete shells around each.
    sigma : float
        Width in bohr.
    order : int
        Highest angular momentum of each atom's part.

    Raises
    ------
    MissingInputError, InputError
        The points lack atoms, or a shell is incomplete.
    """

    def __init__(self, points: Points, sigma: float, order: int = ORDER) -> None:
        self._loops = compiled.loops("near_region.multipole_loops")
        self._shells = shells = find_shells(points)
        self._coords = np.ascontiguousarray(points.coords[shells.order])
        self._vectors = self._coords - shells.centres[shells.parent]
        self._radius = np.linalg.norm(self._vectors, axis=1)
        between = np.linalg.norm(shells.centres[:, None] - shells.centres, axis=2)
        self._neighbours = np.argsort(between, axis=1, kind="stable")
        self._distances = np.take_along_axis(between, self._neighbours, axis=1)
        self._coefficients = self._loops.recursion(order)
        degree = np.arange(order + 1)
        kept = _fade(degree / shells.degree[:, None], *RESOLVED)
        kept *= _fade(degree / (order + 1), *USED)
        self._resolved = np.repeat(kept, 2 * degree + 1, axis=1)
        self._tables = [
            radial.tables(
                shells.radii[part].tobytes(), shells.volumes[part].tobytes(), sigma, order
            )
            for part in self._parts()
        ]
        self._points = len(points.weights)
        self._factors = partition.factors(points, self._neighbours, self._distances)[shells.order]
        self._closest = self._loops.closest(
            self._coords,
            shells.parent,
            self._radius,
            shells.centres,
            self._neighbours,
            self._distances,
        )
        self._limits = np.array([REACH, FAR, 2 * order // 3])

    def apply(self, charges: Array) -> Array:
        """R (N,) of the charges w n (N,), in electrons."""
        moments = self._moments(charges[self._shells.order] * self._factors)
        table = np.empty((len(moments), 2, moments.shape[1]))
        for part, matrices in zip(self._parts(), self._tables, strict=True):
            shells = part.stop - part.start
            for degree, columns in enumerate(self._columns()):
                fields = matrices[degree] @ moments[part, columns]
                table[part, 0, columns] = fields[:shells]
                table[part, 1, columns] = fields[shells:]
        sums = np.zeros(len(self._coords))
        own = np.ascontiguousarray(table[:, 0])

        def work(points: slice) -> None:
            self._synthesise(own, points, sums)
            self._loops.gather(
                self._coords,
                self._shells.parent,
                self._radius,
                self._closest,
                self._shells.centres,
                self._neighbours,
                self._distances,
                self._shells.shell_start,
                self._shells.radii,
                self._limits,
                table,
                self._coefficients,
                points.start,
                points.stop,
                sums,
            )

        threads.for_each_chunk(len(sums), CHUNK, work)
        return self._unsorted(sums)

    def transpose(self, slopes: Array) -> Array:
        """S^T x (N,) of x (N,)."""
        values = np.ascontiguousarray(slopes[self._shells.order])
        table = np.zeros((len(self._resolved), 2, self._resolved.shape[1]))
        own = np.zeros_like(self._resolved)

        def work(atom: slice) -> None:
            self._analyse(values, atom.start, own)
            self._loops.scatter(
                self._coords,
                self._radius,
                self._closest,
                self._shells.point_start,
                self._shells.centres,
                self._neighbours,
                self._distances,
                self._shells.shell_start,
                self._shells.radii,
                self._limits,
                values,
                self._coefficients,
                atom.start,
                table,
            )

        threads.for_each_chunk(len(self._shells.centres), 1, work)
        table[:, 0] += own
        moments = np.empty_like(self._resolved)
        for part, matrices in zip(self._parts(), self._tables, strict=True):
            for degree, columns in enumerate(self._columns()):
                both = np.concatenate([table[part, 0, columns], table[part, 1, columns]])
                moments[part, columns] = matrices[degree].T @ both
        moments *= self._resolved
        sums = np.zeros(len(self._coords))
        threads.for_each_chunk(len(sums), CHUNK, lambda p: self._synthesise(moments, p, sums))
        return self._unsorted(sums * self._factors)

    def _moments(self, charges: Array) -> Array:
        """Charges of the shells (K, lm): sum of charge times harmonic over the points."""
        moments = np.zeros_like(self._resolved)
        threads.for_each_chunk(
            len(self._shells.centres), 1, lambda atom: self._analyse(charges, atom.start, moments)
        )
        moments *= self._resolved
        return moments

    def _analyse(self, values: Array, atom: int, result: Array) -> None:
        start = self._shells.point_start
        self._loops.analyse(
            self._vectors,
            self._shells.shell,
            values,
            self._coefficients,
            start[atom],
            start[atom + 1],
            result,
        )

    def _synthesise(self, table: Array, points: slice, result: Array) -> None:
        self._loops.synthesise(
            self._vectors,
            self._shells.shell,
            table,
            self._coefficients,
            points.start,
            points.stop,
            result,
        )

    def _parts(self) -> list[slice]:
        """Shells of each atom."""
        start = self._shells.shell_start
        return [slice(int(a), int(b)) for a, b in pairwise(start)]

    def _columns(self) -> list[slice]:
        """Columns of each angular momentum."""
        orders = self._coefficients.shape[1]
        return [slice(degree**2, (degree + 1) ** 2) for degree in range(orders)]

    def _unsorted(self, values: Array) -> Array:
        result = np.zeros(self._points)
        result[self._shells.order] = values
        return result


def _fade(degree: Array, centre: float, width: float) -> Array:
    """From 1 at low to 0 at high degrees, smoothly."""
    erfc = np.vectorize(math.erfc, otypes=[float])
    result: Array = 0.5 * erfc((degree - centre) / width)
    return result
