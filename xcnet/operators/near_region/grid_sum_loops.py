"""Compiled inner loops of the grid sum. Imported only where numba is known to be there."""

from __future__ import annotations

import math

import numba
import numpy as np

from xcnet.operators.points import Array

# Everything but the assumption that sums may be reordered into NaN or infinity: inputs are finite.
FAST = {"contract", "reassoc", "nnan", "ninf", "nsz", "arcp"}
DEPTH = 64


@numba.njit(inline="always", fastmath=FAST)
def exponential(x: float) -> float:
    """exp(-x) for 0 <= x <= 36 to 1e-14 relative, in plain arithmetic so that loops vectorise.

    exp(-x) = exp(-x/64)^64: a Taylor polynomial around the middle of the range, six squarings.
    """
    y = 0.28125 - x * 0.015625
    p = 1.89103235226523e-08
    p = p * y + 2.080135587491753e-07
    p = p * y + 2.0801355874917533e-06
    p = p * y + 1.8721220287425778e-05
    p = p * y + 0.00014976976229940622
    p = p * y + 0.0010483883360958436
    p = p * y + 0.006290330016575061
    p = p * y + 0.03145165008287531
    p = p * y + 0.12580660033150123
    p = p * y + 0.3774198009945037
    p = p * y + 0.7548396019890073
    p = p * y + 0.7548396019890073
    p *= p
    p *= p
    p *= p
    p *= p
    p *= p
    return p * p


@numba.njit(nogil=True, fastmath=FAST, cache=True)
def add_pairs(
    coords: Array,
    sources: Array,
    start: Array,
    low: Array,
    high: Array,
    sigma: float,
    longest: float,
    part: int,
    parts: int,
    result: Array,
) -> None:
    """Add the pairs of every ``parts``-th leaf with itself and the leaves after it.

    coords (3, N), sources and result (N,) in the order of the leaves; low, high (2 leaves, 3)
    boxes in heap order; pairs with d/sigma >= longest are left out.
    """
    leaves = len(start) - 1
    reach2 = (sigma * longest) ** 2
    stack = np.empty(DEPTH, np.int64)
    for leaf in range(part, leaves, parts):
        top = 1
        stack[0] = 1
        while top > 0:
            top -= 1
            node = stack[top]
            if _distance2(low, high, node, leaves + leaf) >= reach2:
                continue
            if node < leaves:
                stack[top] = 2 * node
                stack[top + 1] = 2 * node + 1
                top += 2
            elif node - leaves >= leaf:
                _add_leaves(
                    coords, sources, start, low, high, sigma, longest, leaf, node - leaves, result
                )


@numba.njit(inline="always")
def _distance2(low: Array, high: Array, one: int, other: int) -> float:
    """Square of the distance between two boxes."""
    total = 0.0
    for axis in range(3):
        gap = max(low[one, axis] - high[other, axis], low[other, axis] - high[one, axis])
        if gap > 0.0:
            total += gap * gap
    return total


@numba.njit(nogil=True, fastmath=FAST)
def _add_leaves(
    coords: Array,
    sources: Array,
    start: Array,
    low: Array,
    high: Array,
    sigma: float,
    longest: float,
    leaf: int,
    other: int,
    result: Array,
) -> None:
    """Add the pairs of two leaves, both ways."""
    inverse = 1.0 / sigma
    reach2 = (sigma * longest) ** 2
    box = len(start) - 1 + other
    first, end = start[other], start[other + 1]
    for i in range(start[leaf], start[leaf + 1]):
        x, y, z = coords[0, i], coords[1, i], coords[2, i]
        gap2 = (
            max(low[box, 0] - x, x - high[box, 0], 0.0) ** 2
            + max(low[box, 1] - y, y - high[box, 1], 0.0) ** 2
            + max(low[box, 2] - z, z - high[box, 2], 0.0) ** 2
        )
        if gap2 >= reach2:
            continue
        # Within a leaf each point collects from all, itself included, and gives nothing back.
        own = 0.0 if leaf == other else sources[i]
        result[i] += _add_row(
            coords[0, first:end],
            coords[1, first:end],
            coords[2, first:end],
            sources[first:end],
            result[first:end],
            x,
            y,
            z,
            own,
            inverse,
            longest,
        )


@numba.njit(nogil=True, fastmath=FAST)
def _add_row(
    xs: Array,
    ys: Array,
    zs: Array,
    sources: Array,
    result: Array,
    x: float,
    y: float,
    z: float,
    own: float,
    inverse: float,
    longest: float,
) -> float:
    """Pairs of one point with a row of others; returns what the point gets."""
    total = 0.0
    for j in range(len(xs)):
        dx = xs[j] - x
        dy = ys[j] - y
        dz = zs[j] - z
        t = math.sqrt(dx * dx + dy * dy + dz * dz) * inverse
        kernel = exponential(t) if t < longest else 0.0
        total += kernel * sources[j]
        result[j] += kernel * own
    return total
