"""Descriptors made of the density matrix: the host's orbitals in, Fock matrices out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from xcnet.operators.base import Array, Descriptor


class Orbitals(Protocol):
    """A host's atomic orbitals at the points of its grid."""

    @property
    def coords(self) -> Array:
        """Points (N, 3), bohr."""

    def blocks(self) -> Iterator[tuple[slice, Array]]:
        """All points in groups of what fits into memory, and the orbitals (P, nao) there."""

    def coulomb(self, part: slice, omega: float) -> Array:
        """Potentials (P, nao, nao) of products of orbitals at the points of one group.

        Those of b(r') d(r') at r by the kernel erf(omega R) / R, R the distance of r and r', and by
        1 / R for omega = 0.
        """

    def pair_potentials(self, part: slice, omega: float, matrix: Array) -> Array:
        """A_d = sum_b (chi D)_b V_bd (P, nao), of these potentials V and a symmetric matrix D."""


@dataclass(frozen=True)
class OrbitalField(Descriptor):
    """A descriptor that the host computes from the density matrix of each spin.

    `change` and `fock_change` are exact for fields of up to second order in the density matrix.
    """

    spin_resolved = True

    def values(self, orbitals: Orbitals, matrix: Array) -> Array:
        """U (N, width) of one spin's density matrix (nao, nao)."""
        raise NotImplementedError

    def fock(self, orbitals: Orbitals, matrix: Array, slopes: Array) -> Array:
        """Derivative (nao, nao), symmetric, of sum_ik slopes_ik U_ik by the density matrix."""
        raise NotImplementedError

    def change(self, orbitals: Orbitals, matrix: Array, change: Array) -> Array:
        """Change of `values` (N, width) to first order in a change of the density matrix."""
        scale = _scale(matrix, change)
        up, down = (self.values(orbitals, matrix + s * scale * change) for s in (1.0, -1.0))
        return (up - down) / (2.0 * scale)

    def fock_change(self, orbitals: Orbitals, matrix: Array, change: Array, slopes: Array) -> Array:
        """Change of `fock` (nao, nao) with the density matrix, at fixed slopes."""
        scale = _scale(matrix, change)
        up, down = (self.fock(orbitals, matrix + s * scale * change, slopes) for s in (1.0, -1.0))
        return (up - down) / (2.0 * scale)


def _scale(matrix: Array, change: Array) -> float:
    """Length of a step that loses no digits."""
    size = float(np.linalg.norm(change))
    return max(float(np.linalg.norm(matrix)), 1.0) / size if size else 1.0


@dataclass(frozen=True, eq=False)
class DensityMatrices:
    """Density matrices of a calculation, with the orbitals that they belong to.

    Attributes
    ----------
    orbitals : Orbitals
        The host's.
    matrices : (s, nao, nao)
        Of all electrons of closed shells (s = 1), or of each spin.
    """

    orbitals: Orbitals
    matrices: Array

    def values(self, field: OrbitalField) -> Array:
        """Values (N, s width): spin by spin, or the sum of the two spins of closed shells."""
        parts = [field.values(self.orbitals, matrix) for matrix in self._spins]
        return self._joined(parts)

    def change(self, field: OrbitalField, change: Array) -> Array:
        """Change of `values` to first order with the matrices (s, nao, nao)."""
        pairs = zip(self._spins, self._share * change, strict=True)
        return self._joined([field.change(self.orbitals, *pair) for pair in pairs])

    def fock(self, field: OrbitalField, slopes: Array) -> Array:
        """Derivatives (s, nao, nao) of sum_ik slopes_ik U_ik by the matrices."""
        parts = zip(self._spins, self._split(slopes), strict=True)
        return np.array([field.fock(self.orbitals, *part) for part in parts])

    def fock_change(self, field: OrbitalField, change: Array, slopes: Array) -> Array:
        """Change of `fock` with the matrices, at fixed slopes."""
        parts = zip(self._spins, self._share * change, self._split(slopes), strict=True)
        return np.array([field.fock_change(self.orbitals, *part) for part in parts])

    @property
    def _share(self) -> float:
        return 1.0 / (3 - len(self.matrices))

    @property
    def _spins(self) -> Array:
        """Matrices of one spin each."""
        return self._share * self.matrices

    def _joined(self, parts: list[Array]) -> Array:
        return np.hstack(parts) / self._share

    def _split(self, slopes: Array) -> list[Array]:
        return np.split(slopes, len(self.matrices), axis=1)
