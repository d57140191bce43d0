"""Functions of the vector from an atom to a point, and their derivatives.

Functions come first in arrays, then atoms (A,) and points (P,), which numpy's loops run along.
Harmonics are Racah's: sum_m Y_lm^2 = 1 on the unit sphere. Order: l after l, 1, 3, 5 and 7 of them.
"""

from __future__ import annotations

from math import pi, sqrt

import numpy as np

from xcnet.operators.points import Array

#: Radial functions, which are as many as channels; angular momenta l = 0 to 3.
CHANNELS, DEGREES = 16, 4
#: Rows of each angular momentum.
ROWS = tuple(slice(degree**2, (degree + 1) ** 2) for degree in range(DEGREES))

_A, _B, _C, _D = sqrt(3.0), sqrt(15.0), sqrt(3.0 / 8.0), sqrt(5.0 / 8.0)


def harmonics(unit: Array) -> Array:
    """Y_lm (16, A, P) of unit vectors (3, A, P)."""
    x, y, z = unit
    xx, yy, zz = unit * unit
    xy, difference, five = x * y, 0.5 * (xx - yy), _C * (5.0 * zz - 1.0)
    rows = (
        *(1.0, x, y, z),
        *(_A * xy, _A * y * z, 1.5 * zz - 0.5, _A * x * z, _A * difference),
        *(_D * y * (3.0 * xx - yy), _B * xy * z, y * five, z * (2.5 * zz - 1.5)),
        *(x * five, _B * z * difference, _D * x * (xx - 3.0 * yy)),
    )
    result = np.empty((len(rows), *x.shape))
    for own, row in zip(result, rows, strict=True):
        own[...] = row
    return result


def harmonic_slopes(unit: Array) -> Array:
    """Derivatives (16, 3, A, P) of `harmonics` as polynomials of x, y and z.

    Their part along the unit vector means nothing: it depends on how the polynomials are written.
    """
    x, y, z = unit
    zero, one = 0.0, 1.0
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
    result = np.empty((len(rows), *unit.shape))
    for own, row in zip(result, rows, strict=True):
        for along, value in zip(own, row, strict=True):
            along[...] = value
    return result


def radial(distance: Array, widths: Array, cutoff: float) -> Array:
    """phi_v (16, A, P) at distances (A, P), bohr^-3."""
    square = distance * distance
    result = _gaussians(square, widths)
    result *= square * _fade(distance / cutoff)
    return result


def radial_slopes(distance: Array, widths: Array, cutoff: float) -> Array:
    """Derivatives of `radial` by the distance, bohr^-4."""
    r, q = distance, np.minimum(distance / cutoff, 1.0)
    inside = 2.0 * r * (1.0 - r * r / (2.0 * _column(widths) ** 2)) * _fade(q)
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
    """Normalized Gaussians (16, A, P) of squared distances, over the distance's mean square."""
    t = 2.0 * _column(widths) ** 2
    result = square * (-1.0 / t)
    np.exp(result, out=result)
    result *= 2.0 / (3.0 * t * (pi * t) ** 1.5)
    return np.asarray(result)


def _column(widths: Array) -> Array:
    return widths[:, None, None]


def _fade(q: Array) -> Array:
    """Polynomial from 1 at 0 to 0 at 1 and beyond, with two derivatives zero at the end."""
    q = np.minimum(q, 1.0)
    u, fourth = q - 1.0, (q * q) ** 2
    return np.asarray(np.maximum(1.0 - fourth * fourth * (u * (36.0 * u - 8.0) + 1.0), 0.0))
