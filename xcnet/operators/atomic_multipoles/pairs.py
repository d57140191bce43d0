"""Pairs of points and atoms: sums over either, and derivatives by the vectors between them."""

from __future__ import annotations

import numpy as np

from xcnet.operators.atomic_multipoles import functions
from xcnet.operators.atomic_multipoles.functions import COLUMNS
from xcnet.operators.points import Array

#: Keeps the shares finite where no atom is near; part of the published form.
SOFT = 0.1


class Pairs:
    """All pairs of some points (P,) and the atoms (A,) near them.

    Parameters
    ----------
    coords : (P, 3)
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
        vectors = coords - centres[:, None]
        self._distance = np.sqrt(np.einsum("apx,apx->ap", vectors, vectors))
        # A point may lie on an atom, where all functions and slopes but those of l = 0 vanish.
        self._inverse = np.zeros_like(self._distance)
        np.divide(1.0, self._distance, out=self._inverse, where=self._distance > 0.0)
        self._unit = vectors * self._inverse[..., None]
        self._harmonics = functions.harmonics(self._unit)
        self._radial = functions.radial(self._distance, widths, cutoff)
        near = functions.nearness(self._distance, cutoff)
        self._divisor = near.sum(axis=0) + SOFT
        self._shares = near / self._divisor

    def gather(self, values: Array) -> Array:
        """sum_p phi_v Y_lm x (A, 16, 16) of x (4, P, 16), for each l."""
        parts = [
            self._harmonics[..., columns].transpose(0, 2, 1) @ (self._radial * own)
            for columns, own in zip(COLUMNS, values, strict=True)
        ]
        return np.concatenate(parts, axis=1)

    def gather_shares(self, values: Array) -> Array:
        """sum_p q phi_v Y_lm x (A, 16, 16) of x (P, 16)."""
        weighted = self._radial * self._shares[..., None] * values
        return np.asarray(self._harmonics.transpose(0, 2, 1) @ weighted)

    def spread(self, multipoles: Array) -> Array:
        """sum_a phi_v sum_m Y_lm M (4, P, 16) of multipoles M (A, 16, 16), for each l."""
        fields = [self._harmonics[..., c] @ multipoles[:, c] for c in COLUMNS]
        return np.array([np.einsum("apv,apv->pv", self._radial, field) for field in fields])

    def spread_shares(self, multipoles: Array) -> Array:
        """sum_a q phi_v sum_lm Y_lm M (P, 16) of multipoles M (A, 16, 16)."""
        fields = self._radial * (self._harmonics @ multipoles)
        return np.asarray(np.einsum("ap,apv->pv", self._shares, fields))

    def slopes(self, down: Array, back: Array, up: Array, into: Array) -> Array:
        """Derivatives (A, P, 3) of G . D + H . C by the vectors from atom to point.

        G = `gather` of down (4, P, 16), H = `gather_shares` of up (P, 16), and D = back and
        C = into are multipoles (A, 16, 16) that stay what they are.
        """
        shared = self._shares[..., None] * up
        spread = self._harmonics @ into
        along = shared * spread
        around = (self._radial * shared) @ into.transpose(0, 2, 1)
        for columns, own in zip(COLUMNS, down, strict=True):
            matrix = back[:, columns]
            along += own * (self._harmonics[..., columns] @ matrix)
            around[..., columns] += (self._radial * own) @ matrix.transpose(0, 2, 1)
        by_distance = functions.radial_slopes(self._distance, self._widths, self._cutoff)
        outward = np.einsum("apv,apv->ap", by_distance, along)
        outward += self._by_nearness(np.einsum("apv,apv,pv->ap", self._radial, spread, up))
        tangent = np.einsum("apk,apkx->apx", around, functions.harmonic_slopes(self._unit))
        tangent -= np.einsum("apx,apx->ap", tangent, self._unit)[..., None] * self._unit
        return self._unit * outward[..., None] + tangent * self._inverse[..., None]

    def _by_nearness(self, values: Array) -> Array:
        """Derivatives (A, P) of sum_a q x by the distances, of x (A, P)."""
        mean = np.einsum("ap,ap->p", self._shares, values)
        slopes = functions.nearness_slopes(self._distance, self._cutoff)
        return np.asarray(slopes * (values - mean) / self._divisor)
