"""The map on one set of points: compact blocks of them, each with the atoms that are near it.

Nothing is kept for a pair of point and atom: blocks share the multipoles of the atoms only.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from xcnet import threads
from xcnet.operators import bisection
from xcnet.operators.atomic_multipoles.functions import CHANNELS, ROWS
from xcnet.operators.atomic_multipoles.pairs import Pairs
from xcnet.operators.base import Motion, exact_motion
from xcnet.operators.bisection import Indices
from xcnet.operators.points import Array, Points

#: Points of a block, at most.
BLOCK = 256
#: Groups of blocks with sums of their own: results do not depend on the threads.
GROUPS = 8


class MultipoleMap:
    """S on one set of points, as a `LinearMap`.

    Parameters
    ----------
    points : Points
        Of any order.
    centres : (A, 3)
        Atoms, bohr.
    widths : (16,)
        Of the radial functions, bohr.
    cutoff : float
        bohr.
    down, up : (4, 16, 16)
        A^l_cv and B^l_cv.
    """

    def __init__(
        self, points: Points, centres: Array, widths: Array, cutoff: float, down: Array, up: Array
    ) -> None:
        self._centres, self._widths, self._cutoff = centres, widths, cutoff
        self._down, self._up = down, up
        start = bisection.starts(len(points.coords), BLOCK)
        self._order = bisection.order(points.coords, start)
        self._weights = points.weights[self._order, None]
        self._coords = np.ascontiguousarray(points.coords[self._order].T)
        self._blocks = [
            (part, self._near(part))
            for part in (slice(*pair) for pair in pairwise(start.tolist()))
            if part.stop > part.start
        ]

    def apply(self, charges: Array) -> Array:
        """U (N, 16) of the charges w p (N, 16)."""
        multipoles = _mixed(self._gathered(charges[self._order]), self._up)
        result = np.empty_like(charges)

        def put(group: int, pairs: Pairs, part: slice, atoms: Indices) -> None:
            result[self._order[part]] = pairs.spread_shares(multipoles[atoms]).T

        self._for_blocks(put)
        return result

    def transpose(self, slopes: Array) -> Array:
        """S^T x (N, 16) of x (N, 16)."""
        multipoles = _mixed(self._gathered_shares(slopes[self._order]), _turned(self._up))
        result = np.empty_like(slopes)

        def put(group: int, pairs: Pairs, part: slice, atoms: Indices) -> None:
            fields = self._down @ pairs.spread(multipoles[atoms])
            result[self._order[part]] = fields.sum(axis=0).T

        self._for_blocks(put)
        return result

    def motion(
        self, channels: Array, slopes: Array, adjoint: Array, gradient: Array | None
    ) -> Motion:
        """See `LinearMap.motion`: exact."""
        charges, weighted = (self._weights * x[self._order] for x in (channels, slopes))
        into = _mixed(self._gathered(charges), self._up)
        back = _mixed(self._gathered_shares(weighted), _turned(self._up))
        by_points = np.empty((len(charges), 3))
        by_atoms = np.zeros((GROUPS, len(self._centres), 3))

        def add(group: int, pairs: Pairs, part: slice, atoms: Indices) -> None:
            down = self._mixed_down(charges[part])
            vectors = pairs.slopes(down, back[atoms], weighted[part].T, into[atoms])
            by_points[self._order[part]] = vectors.sum(axis=1).T
            by_atoms[group, atoms] -= vectors.sum(axis=2).T

        self._for_blocks(add)
        return exact_motion(by_points.T, by_atoms.sum(axis=0), channels, adjoint)

    def _gathered(self, values: Array) -> Array:
        """Multipoles (A, 16, 16) of channels (N, 16), mixed by A for each l."""

        def add(group: int, pairs: Pairs, part: slice, atoms: Indices) -> None:
            sums[group, atoms] += pairs.gather(self._mixed_down(values[part]))

        sums = np.zeros((GROUPS, len(self._centres), CHANNELS, CHANNELS))
        self._for_blocks(add)
        return np.asarray(sums.sum(axis=0))

    def _mixed_down(self, values: Array) -> Array:
        """A^l applied to channels (P, 16), for each l (4, 16, P)."""
        return self._down.transpose(0, 2, 1) @ values.T

    def _gathered_shares(self, values: Array) -> Array:
        """Multipoles (A, 16, 16) of values (N, 16), times the atoms' shares."""

        def add(group: int, pairs: Pairs, part: slice, atoms: Indices) -> None:
            sums[group, atoms] += pairs.gather_shares(np.ascontiguousarray(values[part].T))

        sums = np.zeros((GROUPS, len(self._centres), CHANNELS, CHANNELS))
        self._for_blocks(add)
        return np.asarray(sums.sum(axis=0))

    def _for_blocks(self, work: Callable[[int, Pairs, slice, Indices], None]) -> None:
        """Call ``work`` for each block with its group, pairs, points and atoms."""

        def every(groups: slice) -> None:
            for part, atoms in self._blocks[groups.start :: GROUPS]:
                centres = self._centres[atoms]
                pairs = Pairs(self._coords[:, part], centres, self._widths, self._cutoff)
                work(groups.start, pairs, part, atoms)

        threads.for_each_chunk(GROUPS, 1, every)

    def _near(self, part: slice) -> Indices:
        """Atoms within the cut-off of the box around some points."""
        low, high = self._coords[:, part].min(axis=1), self._coords[:, part].max(axis=1)
        gaps = np.maximum(np.maximum(low - self._centres, self._centres - high), 0.0)
        return np.flatnonzero((gaps**2).sum(axis=1) < self._cutoff**2)


def _mixed(multipoles: Array, matrices: Array) -> Array:
    """n_l^2 C^l B^l (A, 16, 16) of multipoles C and matrices B (4, 16, 16)."""
    parts = [
        multipoles[:, rows] @ matrix / (2.0 * degree + 1.0)
        for degree, (rows, matrix) in enumerate(zip(ROWS, matrices, strict=True))
    ]
    return np.concatenate(parts, axis=1)


def _turned(matrices: Array) -> Array:
    """Transposes of matrices (4, 16, 16)."""
    return np.ascontiguousarray(matrices.transpose(0, 2, 1))
