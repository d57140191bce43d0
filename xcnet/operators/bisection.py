"""Points in compact groups: a balanced k-d tree, as the order of its leaves."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xcnet.operators.points import Array

Indices = npt.NDArray[np.int64]


def starts(points: int, largest: int) -> Indices:
    """First point of each of 2^k groups of about equal size, at most `largest`, and the end."""
    leaves = 1 << max(0, (max(points, 1) - 1) // largest).bit_length()
    return np.arange(leaves + 1) * points // leaves


def order(coords: Array, start: Indices) -> Indices:
    """Order of points (N, 3) in which the groups that begin at `start` are compact.

    Parameters
    ----------
    coords : (N, 3)
        Places.
    start : (2^k + 1,)
        First point of each group, and the end.
    """
    leaves = len(start) - 1
    result = np.arange(len(coords))
    step = leaves
    while step > 1:
        for leaf in range(0, leaves, step):
            first, middle = start[leaf], start[leaf + step // 2]
            part = result[first : start[leaf + step]]
            inside = coords[part]
            axis = np.argmax(np.ptp(inside, axis=0))
            result[first : first + len(part)] = part[
                np.argpartition(inside[:, axis], middle - first)
            ]
        step //= 2
    return result
