"""The published descriptor: a sum over the molecular grid, cut off where the kernel is small.

R_i = sum_j w_j n_j exp(-d_ij/sigma) over all j, i included, with exp(-d_ij/sigma) > cutoff.
Pairs are found on the fly in a balanced k-d tree: its leaves adapt to grids that are a thousand
times denser at the nuclei than between them. Nothing is stored for a pair.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from xcnet import threads
from xcnet.errors import InputError
from xcnet.operators import bisection, compiled
from xcnet.operators.points import Array

#: Points of a block, and blocks that a leaf has at least. A block is what the compiled loop takes
#: at a stride (four vectors of eight): no loop has a remainder. Larger leaves waste more pairs
#: beyond the cut-off, smaller ones more time between loops; 128 to 256 points measured best.
BLOCK, LEAF = 32, 4
#: Interleaved groups of leaves with a sum of their own: results do not depend on the threads.
PARTS = 8
#: Largest d/sigma that the compiled exponential is made for.
LONGEST = 36.0


class GridSum:
    """The grid sum on one set of points; the matrix is symmetric, so it is its own transpose.

    Parameters
    ----------
    coords : (N, 3) float64
        Points in bohr.
    sigma : float
        Width in bohr.
    cutoff : float
        Pairs with exp(-d/sigma) below it are left out.
    """

    def __init__(self, coords: Array, sigma: float, cutoff: float) -> None:
        if not math.exp(-LONGEST) <= cutoff < 1.0:
            raise InputError(
                f"near_region: the cut-off must lie between {math.exp(-LONGEST):.0e} and 1, "
                f"not {cutoff}",
                argument="cutoff",
                given=cutoff,
            )
        self._longest = -math.log(cutoff)
        self._sigma = sigma
        self._loops = compiled.loops("near_region.grid_sum_loops")
        self._start = _starts(len(coords))
        self._order = bisection.order(coords, self._start)
        self._sorted = np.ascontiguousarray(_padded(coords[self._order]).T)
        self._low, self._high = _boxes(self._sorted, self._start)

    def apply(self, charges: Array) -> Array:
        """R (N,) of the charges w n (N,), in electrons."""
        points = len(charges)
        sources = _padded(charges[self._order])
        sources[points:] = 0.0
        sums = np.zeros((PARTS, len(sources)))
        threads.for_each_chunk(PARTS, 1, lambda part: self._add(part.start, sources, sums))
        result = np.empty(points)
        result[self._order] = sums.sum(axis=0)[:points]
        return result

    def transpose(self, slopes: Array) -> Array:
        """S^T x = S x."""
        return self.apply(slopes)

    def _add(self, part: int, sources: Array, sums: Array) -> None:
        self._loops.add_pairs(
            self._sorted,
            sources,
            self._start,
            self._low,
            self._high,
            self._sigma,
            self._longest,
            part,
            PARTS,
            sums[part],
        )


def _padded(values: Array) -> Array:
    """Copy whose length is a multiple of the block; the last value is repeated."""
    extra = -len(values) % BLOCK
    return np.concatenate([values, np.repeat(values[-1:], extra, axis=0)])


def _starts(points: int) -> npt.NDArray[np.int64]:
    """First point of each leaf, a multiple of the block, and the end."""
    blocks = -(-points // BLOCK)
    leaves = 1 << max(0, (blocks // LEAF).bit_length() - 1)
    return np.arange(leaves + 1) * blocks // leaves * BLOCK


def _boxes(coords: Array, start: npt.NDArray[np.int64]) -> tuple[Array, Array]:
    """Bounding boxes (nodes, 3) of a balanced tree in heap order: node k has 2k and 2k + 1."""
    leaves = len(start) - 1
    low, high = np.full((2 * leaves, 3), np.inf), np.full((2 * leaves, 3), -np.inf)
    for leaf in range(leaves):
        inside = coords[:, start[leaf] : start[leaf + 1]]
        if inside.size:
            low[leaves + leaf], high[leaves + leaf] = inside.min(axis=1), inside.max(axis=1)
    for node in range(leaves - 1, 0, -1):
        low[node] = np.minimum(low[2 * node], low[2 * node + 1])
        high[node] = np.maximum(high[2 * node], high[2 * node + 1])
    return low, high
