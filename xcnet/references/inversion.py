"""Kohn-Sham orbitals that have a given density.

Q. Zhao, R. C. Morrison, R. G. Parr, Phys. Rev. A 50, 2138 (1994), doi:10.1103/PhysRevA.50.2138:
noninteracting electrons in the potential of the nuclei, the Hartree potential of the reference
density less its self-interaction (Fermi-Amaldi), and strength x Hartree potential of the
difference of the densities, which takes the density to the reference as the strength grows.
Here each spin has a difference and a self-interaction of its own, so that the spins are separate
problems; each is solved by Newton steps with the whole Hessian, as it gets stiff.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xcnet.errors import ConvergenceError

Array = npt.NDArray[np.float64]
STRENGTHS = tuple(4.0**k for k in range(7))
LARGEST_GRADIENT = 1e-8  # Hartree, of the energy to an orbital rotation
MAX_STEPS = 100


@dataclass(frozen=True)
class Inversion:
    """Kohn-Sham orbitals of one spin.

    Parameters
    ----------
    orbitals : (n, n) array
        Atomic orbital by orbital, the occupied ones first.
    energies : (n,) array
        Hartree, up to the strength's constant.
    occupied : int
        Electrons of this spin.
    error : float
        Hartree energy of the difference of the densities, Hartree.
    """

    orbitals: Array
    energies: Array
    occupied: int
    error: float

    @property
    def density_matrix(self) -> Array:
        """Density matrix of the occupied orbitals, (n, n)."""
        filled = self.orbitals[:, : self.occupied]
        return filled @ filled.T


class Inverter:
    """The problem of one molecule: its reference density, integrals and fixed potential.

    Parameters
    ----------
    molecule
        PySCF's molecule in the basis of the density matrix.
    reference : (2, n, n) array
        Density matrices, alpha and beta.
    """

    def __init__(self, molecule: Any, reference: Array) -> None:
        self.reference, self.electrons = reference, molecule.nelec
        self.repulsion = molecule.intor("int2e", aosym="s8")
        self.overlap = molecule.intor_symmetric("int1e_ovlp")
        self.kinetic = molecule.intor_symmetric("int1e_kin")
        bare = self.kinetic + molecule.intor_symmetric("int1e_nuc")
        hartree = np.stack([self.coulomb(matrix) for matrix in reference])
        self.fixed = [
            bare + hartree.sum(axis=0) - own / max(count, 1)
            for own, count in zip(hartree, self.electrons, strict=True)
        ]

    def coulomb(self, matrix: Array) -> Array:
        """Hartree potential of a density matrix."""
        from pyscf.scf import hf

        return hf.dot_eri_dm(self.repulsion, matrix, hermi=1, with_k=False)[0]

    def solve(self, spin: int, strengths: Iterable[float] = STRENGTHS) -> Inversion:
        """Orbitals of a spin with the last of growing strengths, each from those before.

        Raises
        ------
        ConvergenceError
            The orbitals of a strength do not converge.
        """
        orbitals = self._natural(spin)
        for strength in strengths:
            orbitals = self._converge(spin, strength, orbitals)
        return self._result(spin, strength, orbitals)

    def complete(self, spin: int, occupied: Array, strength: float) -> Inversion:
        """All orbitals from the occupied ones (n, electrons) that `solve` found."""
        in_order, _ = np.linalg.qr(self._root() @ occupied, mode="complete")
        return self._result(spin, strength, np.linalg.solve(self._root(), in_order))

    def fock(self, spin: int, strength: float, matrix: Array) -> Array:
        """One-electron Hamiltonian (n, n) that a density matrix feels."""
        return self.fixed[spin] + strength * self.coulomb(matrix - self.reference[spin])

    def energy(self, spin: int, strength: float, matrix: Array) -> float:
        """What the orbitals minimize, Hartree."""
        return float((self.fixed[spin] * matrix).sum()) + strength * self.error(spin, matrix)

    def error(self, spin: int, matrix: Array) -> float:
        """Hartree energy of the difference of the densities."""
        difference = matrix - self.reference[spin]
        return 0.5 * float((difference * self.coulomb(difference)).sum())

    def _natural(self, spin: int) -> Array:
        """Natural orbitals of the reference density, the most occupied first."""
        root = self._root()
        _, vectors = np.linalg.eigh(root @ self.reference[spin] @ root)
        return np.linalg.solve(root, vectors[:, ::-1])

    def _root(self) -> Array:
        values, vectors = np.linalg.eigh(self.overlap)
        return (vectors * np.sqrt(values)) @ vectors.T

    def _converge(self, spin: int, strength: float, orbitals: Array) -> Array:
        count = self.electrons[spin]
        for _ in range(MAX_STEPS):
            matrix = orbitals[:, :count] @ orbitals[:, :count].T
            fock = self.fock(spin, strength, matrix)
            orbitals, energies = _canonical(orbitals, count, fock)
            gradient = orbitals[:, :count].T @ fock @ orbitals[:, count:]
            if np.abs(gradient).max(initial=0.0) < LARGEST_GRADIENT:
                return orbitals
            step = self._newton_step(strength, orbitals, energies, gradient)
            orbitals = self._descend(spin, strength, orbitals, step)
        raise ConvergenceError(f"no Kohn-Sham orbitals of spin {spin} with strength {strength:g}")

    def _newton_step(
        self, strength: float, orbitals: Array, energies: Array, gradient: Array
    ) -> Array:
        """Rotation (occupied, empty) that would take the gradient to zero."""
        from pyscf import ao2mo

        count = len(gradient)
        filled, empty = orbitals[:, :count], orbitals[:, count:]
        gaps = energies[None, count:] - energies[:count, None]
        # Where an empty orbital lies below an occupied one, the Hessian need not be positive.
        gaps = gaps + max(0.0, 0.1 - gaps.min())
        hessian = 2.0 * strength * ao2mo.general(
            self.repulsion, (filled, empty, filled, empty), compact=False
        )  # fmt: skip
        hessian[np.diag_indices_from(hessian)] += gaps.ravel()
        return -np.linalg.solve(hessian, gradient.ravel()).reshape(gradient.shape)

    def _descend(self, spin: int, strength: float, orbitals: Array, step: Array) -> Array:
        """Rotate the orbitals by the step, or by so much of it that the energy falls."""
        count = len(step)

        def value(tried: Array) -> float:
            return self.energy(spin, strength, tried[:, :count] @ tried[:, :count].T)

        before = value(orbitals)
        for scale in 0.5 ** np.arange(12):
            mixed = np.vstack([np.eye(count), scale * step.T])
            rotation, _ = np.linalg.qr(mixed, mode="complete")
            if value(tried := orbitals @ rotation) < before + 1e-12 * abs(before):
                return tried
        return tried

    def _result(self, spin: int, strength: float, orbitals: Array) -> Inversion:
        count = self.electrons[spin]
        matrix = orbitals[:, :count] @ orbitals[:, :count].T
        orbitals, energies = _canonical(orbitals, count, self.fock(spin, strength, matrix))
        return Inversion(orbitals, energies, count, self.error(spin, matrix))


def _canonical(orbitals: Array, count: int, fock: Array) -> tuple[Array, Array]:
    """Orbitals that diagonalize the occupied and the empty block, and their energies."""
    turned, energies = [], []
    for block in (orbitals[:, :count], orbitals[:, count:]):
        values, vectors = np.linalg.eigh(block.T @ fock @ block)
        turned.append(block @ vectors)
        energies.append(values)
    return np.hstack(turned), np.concatenate(energies)
