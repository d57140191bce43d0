"""Compiled inner loops of the continuum. Imported only where numba is known to be there.

Real spherical harmonics are ordered by l; within l: m = 0, cosines m = 1..l, sines m = 1..l.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

from xcnet.operators.near_region.radial import DECAY, WIDE
from xcnet.operators.points import Array

FAST = {"contract", "reassoc", "nnan", "ninf", "nsz", "arcp"}


def recursion(order: int) -> Array:
    """Coefficients (2, order + 1, order + 1) of the normalised Legendre functions' recursion.

    Q_lm = a_lm (z Q_(l-1)m - b_lm Q_(l-2)m); a_mm is the starting value Q_mm.
    """
    a, b = np.zeros((2, order + 1, order + 1))
    a[0, 0] = 0.5 / math.sqrt(math.pi)
    for m in range(1, order + 1):
        a[m, m] = a[m - 1, m - 1] * math.sqrt((2 * m + 1) / (2 * m) * (2 if m == 1 else 1))
    for degree in range(1, order + 1):
        squares = np.arange(degree) ** 2
        last = (degree - 1) ** 2
        a[degree, :degree] = np.sqrt((4 * degree**2 - 1) / (degree**2 - squares))
        b[degree, :degree] = np.sqrt((last - squares) / (4 * last - 1))
    return np.stack([a, b])


@numba.njit(nogil=True, fastmath=FAST)
def _harmonics(x: float, y: float, z: float, ab: Array, order: int, result: Array) -> None:
    """Harmonics of a unit vector up to l = order."""
    cosine, sine = 1.0, 0.0  # of m phi, times sin(theta)^m
    for m in range(order + 1):
        last, q = 0.0, ab[0, m, m]
        for degree in range(m, order + 1):
            if degree > m:
                last, q = q, ab[0, degree, m] * (z * q - ab[1, degree, m] * last)
            base = degree * degree + m
            result[base] = q * cosine
            if m > 0:
                result[base + degree] = q * sine
        cosine, sine = x * cosine - y * sine, x * sine + y * cosine


@numba.njit(nogil=True, fastmath=FAST)
def _hermite(radii: Array, r: float) -> Any:
    """Interval k of r and the weights of value k, k + 1 and slope k, k + 1."""
    k = max(int(np.searchsorted(radii[:-1], r)) - 1, 0)
    h = radii[k + 1] - radii[k]
    t = (r - radii[k]) / h
    s = 1.0 - t
    decay = DECAY / max(h / WIDE, 1.0)
    left, right = math.exp(-decay * h * t), math.exp(decay * h * s)
    d0, d1 = h * t * s * s * left, -h * t * t * s * right
    v0, v1 = s * s * (1 + 2 * t) * left + decay * d0, t * t * (3 - 2 * t) * right + decay * d1
    return k, v0, v1, d0, d1


@numba.njit(nogil=True, fastmath=FAST, cache=True)
def analyse(
    vectors: Array, shell: Array, values: Array, ab: Array, first: int, end: int, result: Array
) -> None:
    """Add values (P,) times harmonics of points first..end to their shells' row of (K, lm)."""
    order = ab.shape[1] - 1
    y = np.empty((order + 1) ** 2)
    for i in range(first, end):
        _direction(vectors, i, ab, y)
        row = result[shell[i]]
        value = values[i]
        for j in range(len(y)):
            row[j] += value * y[j]


@numba.njit(nogil=True, fastmath=FAST, cache=True)
def synthesise(
    vectors: Array, shell: Array, table: Array, ab: Array, first: int, end: int, result: Array
) -> None:
    """Transpose of `analyse`: result (P,) of the table (K, lm)."""
    order = ab.shape[1] - 1
    y = np.empty((order + 1) ** 2)
    for i in range(first, end):
        _direction(vectors, i, ab, y)
        row = table[shell[i]]
        total = 0.0
        for j in range(len(y)):
            total += row[j] * y[j]
        result[i] += total


@numba.njit(nogil=True, fastmath=FAST)
def _direction(vectors: Array, i: int, ab: Array, y: Array) -> None:
    x0, x1, x2 = vectors[i, 0], vectors[i, 1], vectors[i, 2]
    r = math.sqrt(x0 * x0 + x1 * x1 + x2 * x2)
    if r > 0.0:
        _harmonics(x0 / r, x1 / r, x2 / r, ab, ab.shape[1] - 1, y)
    else:
        _harmonics(0.0, 0.0, 1.0, ab, ab.shape[1] - 1, y)


@numba.njit(nogil=True, fastmath=FAST, cache=True)
def closest(
    coords: Array, parent: Array, radius: Array, centres: Array, neighbours: Array, distances: Array
) -> Array:
    """Distance (P,) of each point from the atom closest to it."""
    result = radius.copy()
    for i in range(len(coords)):
        own = parent[i]
        for which in range(1, len(centres)):
            if distances[own, which] >= radius[i] + result[i]:
                break
            atom = neighbours[own, which]
            x0 = coords[i, 0] - centres[atom, 0]
            x1 = coords[i, 1] - centres[atom, 1]
            x2 = coords[i, 2] - centres[atom, 2]
            result[i] = min(result[i], math.sqrt(x0 * x0 + x1 * x1 + x2 * x2))
    return result


@numba.njit(nogil=True, fastmath=FAST, cache=True)
def gather(
    coords: Array,
    parent: Array,
    radius: Array,
    closest: Array,
    centres: Array,
    neighbours: Array,
    distances: Array,
    shell_start: Array,
    radii: Array,
    limits: Array,
    table: Array,
    ab: Array,
    first: int,
    end: int,
    result: Array,
) -> None:
    """Add to points first..end the fields of all other atoms within reach.

    limits (3,): how much farther than the closest atom others are left out, how much farther they
    are taken up to a lower order, and this order; table (K, 2, lm): values and slopes on each
    shell; result (P,).
    """
    order = ab.shape[1] - 1
    reach, far, far_order = limits[0], limits[1], min(order, int(limits[2]))
    y = np.empty((order + 1) ** 2)
    for i in range(first, end):
        own = parent[i]
        total = 0.0
        for which in range(len(centres)):
            if distances[own, which] >= radius[i] + closest[i] + reach:
                break
            atom = neighbours[own, which]
            begin, stop = shell_start[atom], shell_start[atom + 1]
            if atom == own or stop - begin < 2:
                continue
            x0 = coords[i, 0] - centres[atom, 0]
            x1 = coords[i, 1] - centres[atom, 1]
            x2 = coords[i, 2] - centres[atom, 2]
            r = math.sqrt(x0 * x0 + x1 * x1 + x2 * x2)
            if r >= min(closest[i] + reach, radii[stop - 1]):
                continue
            scale = 1.0 / max(r, 1e-300)
            used = order if r < closest[i] + far else far_order
            size = (used + 1) ** 2
            _harmonics(x0 * scale, x1 * scale, x2 * scale, ab, used, y)
            k, v0, v1, d0, d1 = _hermite(radii[begin:stop], r)
            value0, slope0 = table[begin + k, 0], table[begin + k, 1]
            value1, slope1 = table[begin + k + 1, 0], table[begin + k + 1, 1]
            for j in range(size):
                total += y[j] * (v0 * value0[j] + v1 * value1[j] + d0 * slope0[j] + d1 * slope1[j])
        result[i] += total


@numba.njit(nogil=True, fastmath=FAST, cache=True)
def scatter(
    coords: Array,
    radius: Array,
    closest: Array,
    point_start: Array,
    centres: Array,
    neighbours: Array,
    distances: Array,
    shell_start: Array,
    radii: Array,
    limits: Array,
    values: Array,
    ab: Array,
    atom: int,
    table: Array,
) -> None:
    """Transpose of `gather` for the table of one atom."""
    order = ab.shape[1] - 1
    reach, far, far_order = limits[0], limits[1], min(order, int(limits[2]))
    y = np.empty((order + 1) ** 2)
    begin, stop = shell_start[atom], shell_start[atom + 1]
    if stop - begin < 2:
        return
    for which in range(len(centres)):
        other = neighbours[atom, which]
        if other == atom:
            continue
        distance = distances[atom, which]
        begin_point, end_point = point_start[other], point_start[other + 1]
        # Points are sorted by their radius, which is never less than the closest distance.
        inner = np.searchsorted(radius[begin_point:end_point], 0.5 * (distance - reach))
        for i in range(begin_point + inner, end_point):
            if distance >= radius[i] + closest[i] + reach:
                continue
            x0 = coords[i, 0] - centres[atom, 0]
            x1 = coords[i, 1] - centres[atom, 1]
            x2 = coords[i, 2] - centres[atom, 2]
            r = math.sqrt(x0 * x0 + x1 * x1 + x2 * x2)
            if r >= min(closest[i] + reach, radii[stop - 1]):
                continue
            scale = 1.0 / max(r, 1e-300)
            used = order if r < closest[i] + far else far_order
            size = (used + 1) ** 2
            _harmonics(x0 * scale, x1 * scale, x2 * scale, ab, used, y)
            k, v0, v1, d0, d1 = _hermite(radii[begin:stop], r)
            _add_scaled(table[begin + k, 0], v0 * values[i], y[:size])
            _add_scaled(table[begin + k, 1], d0 * values[i], y[:size])
            _add_scaled(table[begin + k + 1, 0], v1 * values[i], y[:size])
            _add_scaled(table[begin + k + 1, 1], d1 * values[i], y[:size])


@numba.njit(nogil=True, fastmath=FAST)
def _add_scaled(row: Array, factor: float, y: Array) -> None:
    for j in range(len(y)):
        row[j] += factor * y[j]
