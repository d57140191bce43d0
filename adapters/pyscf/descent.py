"""Least energy along rotations of the orbitals, at fixed occupation: help that needs no response.

Where a potential changes steeply with the density, as that of a functional that reads the logarithm
of a spin's density where that spin is nearly absent, neither iterations nor steps with the response
at one point end, since the response is another one a small step away. The energy is a smooth
function of the rotations all the same, and falls in each step of a quasi-Newton search with a line
search, which therefore ends where its slopes vanish.

Source: T. Van Voorhis, M. Head-Gordon, Mol. Phys. 100, 1713 (2002),
doi:10.1080/00268970110103642.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from pyscf import lib
from pyscf.scf import hf

from xcnet.adapters.pyscf.layout import Array

CYCLES = 100
#: Steps and slopes that are remembered.
MEMORY = 20
LARGEST_STEP = 0.3  # radian: norm of all rotations
#: Of the diagonal of the Hessian that the search begins with, Hartree.
LEAST_CURVATURE = 0.2
#: Part of the fall that the slope promises which a step must reach, and how often it is shortened.
ENOUGH, TRIES = 1e-4, 12
#: Fall of the energy in Hartree that may be rounding, and how many such steps end the search.
ROUNDING, STALLED = 1e-10, 10


@dataclass(frozen=True)
class Determinant:
    """Orbitals with their energy, Hartree, its slopes by rotations, and the Fock matrix."""

    orbitals: Any
    energy: float
    slopes: Array
    fock: Any


class Surface:
    """Energy of a mean-field object as a function of its orbitals.

    Parameters
    ----------
    mf
        RKS, UKS or ROKS object.
    occupations
        PySCF's ``mo_occ``.
    """

    def __init__(self, mf: Any, occupations: Any) -> None:
        self._mf, self._occupations = mf, occupations
        self._core, self._overlap = mf.get_hcore(), mf.get_ovlp()

    def at(self, orbitals: Any) -> Determinant:
        """Energy and slopes of orbitals."""
        mf = self._mf
        density = mf.make_rdm1(orbitals, self._occupations)
        potential = mf.get_veff(mf.mol, density)
        fock = mf.get_fock(self._core, self._overlap, potential, density)
        # PySCF's is half of the derivative.
        slopes = 2.0 * mf.get_grad(orbitals, self._occupations, fock)
        return Determinant(orbitals, mf.energy_tot(density, self._core, potential), slopes, fock)

    def turned(self, point: Determinant, step: Array) -> Determinant:
        """What a step of rotations leads to: by the Cayley transform, orthogonal."""
        orbitals, pairs = point.orbitals, self._pairs()
        turn = np.zeros(pairs.shape)
        turn[pairs] = step
        half, one = 0.5 * (turn - turn.swapaxes(-1, -2)), np.eye(turn.shape[-1])
        turned = orbitals @ np.linalg.solve(one - half, one + half)
        if hasattr(orbitals, "orbsym"):  # with point-group symmetry
            turned = lib.tag_array(turned, orbsym=orbitals.orbsym)
        return self.at(turned)

    def _pairs(self) -> Any:
        """Empty and filled orbitals, or less and more filled ones, that a rotation mixes."""
        occupations = np.asarray(self._occupations)
        if occupations.ndim == 1:
            return hf.uniq_var_indices(occupations)
        return (occupations == 0)[:, :, None] & (occupations > 0)[:, None]

    def curvatures(self, point: Determinant) -> Array:
        """Diagonal of the Hessian by differences of orbital energies, positive."""
        occupations = np.asarray(self._occupations)
        if occupations.ndim == 2:
            spins = zip(point.fock, point.orbitals, occupations > 0, strict=True)
            gaps = np.stack([_gaps(*spin) for spin in spins])
        else:
            focks = [getattr(point.fock, name, point.fock) for name in ("focka", "fockb")]
            filled = occupations > 0, occupations > 1
            both = zip(focks, filled, strict=True)
            gaps = np.sum([_gaps(fock, point.orbitals, own) for fock, own in both], axis=0)
        return 2.0 * np.maximum(gaps[self._pairs()], LEAST_CURVATURE)


def _gaps(fock: Any, orbitals: Any, filled: Any) -> Array:
    """Differences (n, n) of the energies of empty and filled orbitals of a spin, else zero."""
    energies = np.einsum("pi,pq,qi->i", orbitals, fock, orbitals, optimize=True)
    return np.where(~filled[:, None] & filled, energies[:, None] - energies, 0.0)


def descend(surface: Surface, orbitals: Any, ended: Callable[[Determinant, float], bool]) -> bool:
    """Search for the least energy from these orbitals.

    ``ended`` is called with each new point and the change of the energy to it, and says whether the
    search is over. Returns whether it was, and not given up.
    """
    point = surface.at(orbitals)
    inverse = _Inverse(surface.curvatures(point))
    idle = 0
    for _ in range(CYCLES):
        found = _lower(surface, point, inverse.times(point.slopes))
        if found is None:
            return False
        step, new = found
        inverse.learn(step, new.slopes - point.slopes)
        change, point = new.energy - point.energy, new
        if ended(point, change):
            return True
        idle = idle + 1 if change > -ROUNDING else 0
        if idle == STALLED:
            return False
    return False


def _lower(surface: Surface, point: Determinant, newton: Array) -> tuple[Array, Determinant] | None:
    """A step along -newton and a point of lower energy; None without any."""
    step = -newton * min(1.0, LARGEST_STEP / max(float(np.linalg.norm(newton)), 1e-300))
    for _ in range(TRIES):
        slope = float(point.slopes @ step)
        new = surface.turned(point, step)
        if new.energy <= point.energy + ENOUGH * slope + ROUNDING:
            return step, new
        # The parabola through both energies and the slope.
        least = -0.5 * slope / (new.energy - point.energy - slope)
        step = step * min(max(least, 0.1), 0.5)
    return None


class _Inverse:
    """Inverse Hessian by the BFGS formula with limited memory."""

    def __init__(self, curvatures: Array) -> None:
        self._curvatures = curvatures
        self._scale = 1.0
        self._known: list[tuple[Array, Array, float]] = []

    def learn(self, step: Array, change: Array) -> None:
        """Remember a step and the change of the slopes, where the curvature is positive."""
        product = float(step @ change)
        if product > 1e-12 * float(step @ step):
            self._known = [*self._known, (step, change, product)][-MEMORY:]
            self._scale = product / float(change @ (change / self._curvatures))

    def times(self, slopes: Array) -> Array:
        """The inverse times slopes."""
        result, parts = slopes.copy(), []
        for step, change, product in reversed(self._known):
            parts.append(float(step @ result) / product)
            result -= parts[-1] * change
        result *= self._scale / self._curvatures
        for (step, change, product), part in zip(self._known, reversed(parts), strict=True):
            result += (part - float(change @ result) / product) * step
        return result
