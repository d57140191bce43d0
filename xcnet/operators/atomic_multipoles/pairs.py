"""Pairs of points and atoms: sums over either, and derivatives by the vectors between them.

Arrays have the points last, as those of `functions`.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from xcnet.operators.atomic_multipoles import functions
from xcnet.operators.atomic_multipoles.functions import ROWS
from xcnet.operators.points import Array

#: Keeps the shares finite where no atom is near; part of the published form.
SOFT = 0.1
#: Least distance that is divided by, bohr.
TINY = 1e-100


class Pairs:
    """All pairs of some points (P,) and the atoms (A,) near them.

    Parameters
    ----------
    coords : (3, P)
        Points, bohr.
    centres : (A, 3)
        Atoms, bohr: all that any of the points is within the cut-off of.
    widths : (16,)
        Of the radial functions, bohr.
    cutoff : float
        bohr.
    """

    def __init__(self, coords: Array, centres: Array, widths: Array, cutoff: float) -> None:
        self._widths, self._cutoff = widths, cutoff
        vectors = coords[:, None] - centres.T[:, :, None]
        self._distance = np.sqrt(np.einsum("xap,xap->ap", vectors, vectors))
        # A point may lie on an atom, where all that is multiplied by the inverse vanishes.
        self._inverse = 1.0 / np.maximum(self._distance, TINY)
        self._unit = vectors * self._inverse
        self._harmonics = functions.harmonics(self._unit)
        self._radial = functions.radial(self._distance, widths, cutoff)

    @cached_property
    def _near(self) -> Array:
        return functions.nearness(self._distance, self._cutoff)

    @cached_property
    def _divisor(self) -> Array:
        return np.asarray(self._near.sum(axis=0) + SOFT)

    @cached_property
    def _shares(self) -> Array:
        """Of the atoms (A, P)."""
        return np.asarray(self._near / self._divisor)

    def gather(self, values: Array) -> Array:
        """sum_p phi_v Y_lm x (A, 16, 16) of x (4, 16, P), for each l."""
        parts = [
            _sums(self._harmonics[rows], self._radial * own[:, None])
            for rows, own in zip(ROWS, values, strict=True)
        ]
        return np.concatenate(parts, axis=1)

    def gather_shares(self, values: Array) -> Array:
        """sum_p q phi_v Y_lm x (A, 16, 16) of x (16, P)."""
        return _sums(self._harmonics, self._radial * (self._shares * values[:, None]))

    def spread(self, multipoles: Array) -> Array:
        """sum_a phi_v sum_m Y_lm M (4, 16, P) of multipoles M (A, 16, 16), for each l."""
        fields = [_fields(multipoles[:, rows], self._harmonics[rows]) for rows in ROWS]
        return np.array([np.einsum("vap,vap->vp", self._radial, field) for field in fields])

    def spread_shares(self, multipoles: Array) -> Array:
        """sum_a q phi_v sum_lm Y_lm M (16, P) of multipoles M (A, 16, 16)."""
        fields = _fields(multipoles, self._harmonics)
        return np.asarray(np.einsum("ap,vap,vap->vp", self._shares, self._radial, fields))

    def slopes(self, down: Array, back: Array, up: Array, into: Array) -> Array:
        """Derivatives (3, A, P) of G . D + H . C by the vectors from atom to point.

        G = `gather` of down (4, 16, P), H = `gather_shares` of up (16, P), and D = back and
        C = into are multipoles (A, 16, 16) that stay what they are.
        """
        shared = self._shares * up[:, None]
        spread = _fields(into, self._harmonics)
        along = shared * spread
        around = _fields(into.transpose(0, 2, 1), self._radial * shared)
        for rows, own in zip(ROWS, down[:, :, None], strict=True):
            matrix = back[:, rows]
            along += own * _fields(matrix, self._harmonics[rows])
            around[rows] += _fields(matrix.transpose(0, 2, 1), self._radial * own)
        by_distance = functions.radial_slopes(self._distance, self._widths, self._cutoff)
        outward = np.einsum("vap,vap->ap", by_distance, along)
        outward += self._by_nearness(np.einsum("vap,vap,vp->ap", self._radial, spread, up))
        tangent = np.einsum("kap,kxap->xap", around, functions.harmonic_slopes(self._unit))
        tangent -= np.einsum("xap,xap->ap", tangent, self._unit) * self._unit
        return self._unit * outward + tangent * self._inverse

    def _by_nearness(self, values: Array) -> Array:
        """Derivatives (A, P) of sum_a q x by the distances, of x (A, P)."""
        mean = np.einsum("ap,ap->p", self._shares, values)
        slopes = functions.nearness_slopes(self._distance, self._cutoff)
        return np.asarray(slopes * (values - mean) / self._divisor)


def _sums(first: Array, second: Array) -> Array:
    """Sums over the points (A, k, l) of products of (k, A, P) and (l, A, P)."""
    return np.asarray(first.transpose(1, 0, 2) @ second.transpose(1, 2, 0))


def _fields(matrices: Array, functions_: Array) -> Array:
    """Combinations (l, A, P) of functions (k, A, P) by matrices (A, k, l)."""
    result = np.empty((matrices.shape[2], *functions_.shape[1:]))
    out = result.transpose(1, 0, 2)
    np.matmul(matrices.transpose(0, 2, 1), functions_.transpose(1, 0, 2), out=out)
    return result
