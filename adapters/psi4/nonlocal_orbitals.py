"""Densities on a grid from Psi4's orbitals, and matrices and forces from potentials on it.

The rows of a density are n, its gradient and tau; those of a potential, the derivatives of the
energy density by them. All matrices are in Psi4's atomic orbitals, densities and potentials
those of one spin.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from psi4 import core

from xcnet.adapters.psi4.nonlocal_grid import MolecularGrid
from xcnet.operators import Array
from xcnet.operators.cells import Indices

#: Psi4's names of the orbitals' values and first derivatives.
FIRST = ("PHI", "PHI_X", "PHI_Y", "PHI_Z")
#: Second derivatives, by pairs of axes.
SECOND = tuple(tuple("PHI_" + "".join(sorted(a + b)) for b in "XYZ") for a in "XYZ")
ROWS = 5  # n, its gradient, tau
#: Eigenvalues of a density matrix that count as zero, relative to the largest.
_EMPTY = 1e-14

Block = tuple[slice, Indices, dict[str, Array]]


class KeptOrbitals:
    """Orbitals of a basis on a molecular grid, kept as far as memory allows.

    Parameters
    ----------
    basis : psi4.core.BasisSet
        Atomic orbitals.
    grid : MolecularGrid
        Points.
    memory : float
        Bytes that kept values may take.
    """

    def __init__(self, basis: Any, grid: MolecularGrid, memory: float) -> None:
        self.grid = grid
        self._basis = basis
        self._memory = memory
        self._kept: dict[int, Array] = {}
        tolerance = core.get_option("SCF", "DFT_BASIS_TOLERANCE")
        self._extents = core.BasisExtents(basis, tolerance)
        self._blocks = [_points(grid, part, self._extents) for part in grid.blocks]
        self._functions = [np.array(b.functions_local_to_global(), int) for b in self._blocks]
        largest = max(part.stop - part.start for part in grid.blocks)
        self._worker = core.BasisFunctions(basis, largest, basis.nbf())

    def densities(self, matrix: Array) -> Array:
        """Rows (5, N) of the density of a density matrix (nao, nao)."""
        values, vectors = np.linalg.eigh(matrix)
        used = np.abs(values) > _EMPTY * np.abs(values).max(initial=0.0)
        values, vectors = values[used], vectors[:, used]
        result = np.zeros((ROWS, len(self.grid.grid)))
        for part, functions, orbitals in self._first():
            natural = orbitals @ vectors[functions]  # (4, P, r)
            weighted = natural * values
            result[:4, part] = np.einsum("pi,xpi->xp", weighted[0], natural)
            result[4, part] = 0.5 * np.einsum("xpi,xpi->p", weighted[1:], natural[1:])
        result[1:4] *= 2.0
        return result

    def matrix(self, potential: Array) -> Array:
        """Matrix (nao, nao), Hartree, of a potential (5, N) that holds the weights."""
        size = self._basis.nbf()
        result = np.zeros((size, size))
        # Half of it; the other is the transpose.
        scale = np.array([0.5, 1.0, 1.0, 1.0, 0.25])[:, None]
        for part, functions, orbitals in self._first():
            v = (scale * potential[:, part])[:, :, None]
            factor = v[4] * orbitals
            factor[0] = (v[:4] * orbitals).sum(axis=0)
            flat = (-1, len(functions))
            block = orbitals.reshape(flat).T @ factor.reshape(flat)
            result[np.ix_(functions, functions)] += block
        return result + result.T

    def moves(self, matrix: Array, potential: Array) -> tuple[Array, Array]:
        """What a density changes in the energy as orbitals or points move.

        Parameters
        ----------
        matrix : (nao, nao)
            Density matrix.
        potential : (5, N)
            Holds the weights.

        Returns
        -------
        (A, 3) ndarray
            Derivatives by the places of the atoms, whose orbitals move; the points stay.
        (3, N) ndarray
            Derivatives by the points' places; the orbitals stay.
        """
        by_function = np.zeros((self._basis.nbf(), 3))
        by_point = np.zeros((3, len(self.grid.grid)))
        self._worker.set_deriv(2)
        for index, part in enumerate(self.grid.blocks):
            functions = self._functions[index]
            if not len(functions):
                continue
            values = self._compute(index)
            first = np.stack([values[name] for name in FIRST])
            v = potential[:, part, None]
            partner = first @ matrix[np.ix_(functions, functions)]
            # What multiplies d phi and d grad phi in the change of the energy.
            plain = v[0] * partner[0] + (v[1:4] * partner[1:]).sum(axis=0)
            slope = v[1:4] * partner[0] + 0.5 * v[4] * partner[1:]
            for k in range(3):
                change = plain * first[k + 1]
                for second, factor in zip(SECOND[k], slope, strict=True):
                    change += factor * values[second]
                by_point[k, part] = 2.0 * change.sum(axis=1)
                by_function[functions, k] -= 2.0 * change.sum(axis=0)
        centres = [self._basis.function_to_center(i) for i in range(len(by_function))]
        result = np.zeros((self._basis.molecule().natom(), 3))
        np.add.at(result, centres, by_function)
        return result, by_point

    def release(self) -> None:
        """Forget the values that are kept."""
        self._memory += sum(orbitals.nbytes for orbitals in self._kept.values())
        self._kept.clear()

    def _first(self) -> Iterator[tuple[slice, Indices, Array]]:
        """Points, functions, and values and first derivatives (4, P, n) of each block."""
        self._worker.set_deriv(1)
        for index, part in enumerate(self.grid.blocks):
            functions = self._functions[index]
            if not len(functions):
                continue
            orbitals = self._kept.get(index)
            if orbitals is None:
                values = self._compute(index)
                orbitals = np.stack([values[name] for name in FIRST])
                if orbitals.nbytes <= self._memory:
                    self._memory -= orbitals.nbytes
                    self._kept[index] = orbitals
            yield part, functions, orbitals

    def _compute(self, index: int) -> dict[str, Array]:
        """Psi4's arrays (P, n) of a block, overwritten by the next."""
        self._worker.compute_functions(self._blocks[index])
        part, functions = self.grid.blocks[index], self._functions[index]
        return {
            name: np.asarray(value)[: part.stop - part.start, : len(functions)]
            for name, value in self._worker.basis_values().items()
        }


def _points(grid: MolecularGrid, part: slice, extents: Any) -> Any:
    """A block of Psi4's; it knows which orbitals reach its points."""
    rows = [*grid.grid.points.coords[part].T, grid.grid.points.weights[part]]
    return core.BlockOPoints(*[core.Vector.from_array(row) for row in rows], extents)
