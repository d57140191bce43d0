"""Functions of the vector from an atom to a point, and their derivatives.

Harmonics are Racah's: sum_m Y_lm^2 = 1 on the unit sphere. Order: l after l, 1, 3, 5 and 7 of them.
"""

from __future__ import annotations

from math import pi, sqrt

import numpy as np

from xcnet.operators.points import Array

#: Radial functions, which are as many as channels; angular momenta l = 0 to 3.
CHANNELS, DEGREES = 16, 4
#: Columns of each angular momentum.
COLUMNS = tuple(slice(degree**2, (degree + 1) ** 2) for degree in range(DEGREES))

_A, _B, _C, _D = sqrt(3.0), sqrt(15.0), sqrt(3.0 / 8.0), sqrt(5.0 / 8.0)


def harmonics(unit: Array) -> Array:
    """Y_lm (..., 16) of unit vectors (..., 3); each lies in one piece."""
    x, y, z = np.ascontiguousarray(np.moveaxis(unit, -1, 0))
    result = np.empty((16, *unit.shape[:-1]))
    columns = (
        *(np.ones_like(x), x, y, z),
        *(_A * x * y, _A * y * z, 1.5 * z * z - 0.5, _A * x * z, 0.5 * _A * (x * x - y * y)),
        *(_D * y * (3.0 * x * x - y * y), _B * x * y * z, _C * y * (5.0 * z * z - 1.0)),
        0.5 * z * (5.0 * z * z - 3.0),
        *(_C * x * (5.0 * z * z - 1.0), 0.5 * _B * z * (x * x - y * y)),
        _D * x * (x * x - 3.0 * y * y),
    )
    for i, column in enumerate(columns):
        result[i] = column
    return np.moveaxis(result, 0, -1)


def harmonic_slopes(unit: Array) -> Array:
    """Derivatives (..., 16, 3) of `harmonics` as polynomials of x, y and z.

    Their part along the unit vector means nothing: it depends on how the polynomials are written.
    """
    x, y, z = np.moveaxis(unit, -1, 0)
    zero, one = np.zeros_like(x), np.ones_like(x)
    rows = (
        *((zero, zero, zero), (one, zero, zero), (zero, one, zero), (zero, zero, one)),
        *((_A * y, _A * x, zero), (zero, _A * z, _A * y), (zero, zero, 3.0 * z)),
        *((_A * z, zero, _A * x), (_A * x, -_A * y, zero)),
        (6.0 * _D * x * y, 3.0 * _D * (x * x - y * y), zero),
        (_B * y * z, _B * x * z, _B * x * y),
        (zero, _C * (5.0 * z * z - 1.0), 10.0 * _C * y * z),
        (zero, zero, 7.5 * z * z - 1.5),
        (_C * (5.0 * z * z - 1.0), zero, 10.0 * _C * x * z),
        (_B * x * z, -_B * y * z, 0.5 * _B * (x * x - y * y)),
        (3.0 * _D * (x * x - y * y), -6.0 * _D * x * y, zero),
    )
    result = np.empty((*unit.shape[:-1], 16, 3))
    for i, row in enumerate(rows):
        for axis, column in enumerate(row):
            result[..., i, axis] = column
    return result


def radial(distance: Array, widths: Array, cutoff: float) -> Array:
    """phi_v (..., 16) at distances (...), bohr^-3."""
    square = distance[..., None] ** 2
    return _gaussians(square, widths) * square * _fade(distance / cutoff)[..., None]


def radial_slopes(distance: Array, widths: Array, cutoff: float) -> Array:
    """Derivatives of `radial` by the distance, bohr^-4."""
    r = distance[..., None]
    q = np.minimum(r / cutoff, 1.0)
    inside = 2.0 * r * (1.0 - r * r / (2.0 * widths**2)) * _fade(q)
    inside -= r * r * 360.0 * q**7 * (q - 1.0) ** 2 / cutoff
    return np.asarray(_gaussians(r * r, widths) * inside)


def nearness(distance: Array, cutoff: float) -> Array:
    """f (...) of an atom, from 1 on it to 0 at the cut-off."""
    q = np.minimum(distance / cutoff, 1.0)
    return np.where(q < 0.5, 1.0 - 2.0 * q * q, 2.0 * (1.0 - q) ** 2)


def nearness_slopes(distance: Array, cutoff: float) -> Array:
    """Derivative of `nearness` by the distance, 1/bohr."""
    q = np.minimum(distance / cutoff, 1.0)
    return np.where(q < 0.5, -4.0 * q, -4.0 * (1.0 - q)) / cutoff


def _gaussians(square: Array, widths: Array) -> Array:
    """Normalized Gaussians of squared distances, over the mean square of the distance."""
    t = 2.0 * widths**2
    return np.asarray(np.exp(-square / t) * (2.0 / (3.0 * t * (pi * t) ** 1.5)))


def _fade(q: Array) -> Array:
    """Polynomial from 1 at 0 to 0 at 1 and beyond, with two derivatives zero at the end."""
    q = np.minimum(q, 1.0)
    u = q - 1.0
    return np.asarray(np.maximum(1.0 - 0.5 * q**8 * (72.0 * u * u - 16.0 * u + 2.0), 0.0))
