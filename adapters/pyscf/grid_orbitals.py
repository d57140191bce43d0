"""Atomic orbitals and potentials of their products at the points of a PySCF grid.

The potentials (b | v | d) at N points are N nao^2 numbers: too many to keep of larger molecules,
and the costliest part of an orbital field. They are made in blocks, one triangle of each, and as
many blocks are kept from one density to the next as fit into a share of the molecule's memory limit
(``mol.max_memory``); what does not fit is made again for each density. What an evaluation's density
matrices make of them is kept as well while there is room: N nao numbers each.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from xcnet.adapters.pyscf.layout import Array
from xcnet.operators import DensityMatrices

#: Numbers in one block of integrals, both triangles, and its least number of points.
BLOCK_SIZE, LEAST_POINTS = 1 << 22, 104
#: Share of the memory limit for what is kept: of integrals, of fields.
SHARE, FIELD_SHARE = 0.4, 0.1


class _Kept:
    """Arrays that fit into a number of bytes."""

    def __init__(self, size: float) -> None:
        self._left = size
        self._arrays: dict[Any, Array] = {}

    def get(self, key: Any) -> Array | None:
        return self._arrays.get(key)

    def put(self, key: Any, array: Array) -> None:
        if array.nbytes <= self._left:
            self._left -= array.nbytes
            self._arrays[key] = array


_integrals: WeakKeyDictionary[Any, tuple[Any, Array, _Kept]] = WeakKeyDictionary()


class GridOrbitals:
    """Atomic orbitals of a molecule at the points of a grid: `xcnet.operators.Orbitals`.

    Parameters
    ----------
    ni, mol, grids
        PySCF's.
    """

    def __init__(self, ni: Any, mol: Any, grids: Any) -> None:
        self._ni, self._mol = ni, mol
        self.coords = np.asarray(grids.coords)
        self._kept = _integrals_of(mol, grids)
        self._fields = _Kept(FIELD_SHARE * 1e6 * mol.max_memory)

    def blocks(self) -> Iterator[tuple[slice, Array]]:
        """All points in groups, and the orbitals (P, nao) there."""
        size = max(LEAST_POINTS, BLOCK_SIZE // self._mol.nao**2)
        for start in range(0, len(self.coords), size):
            part = slice(start, min(start + size, len(self.coords)))
            yield part, self._ni.eval_ao(self._mol, self.coords[part])

    def coulomb(self, part: slice, omega: float) -> Array:
        """Potentials (P, nao, nao) of products of orbitals, of the long range where omega > 0."""
        triangle, nao = self._triangle(part, omega), self._mol.nao
        rows, columns = np.tril_indices(nao)
        result = np.empty((triangle.shape[1], nao, nao))
        result[:, rows, columns] = result[:, columns, rows] = triangle.T
        return result

    def pair_potentials(self, part: slice, omega: float, matrix: Array) -> Array:
        """A_d = sum_b (chi D)_b (b | v | d) (P, nao) of a symmetric density matrix D."""
        key = part.start, omega, blake2b(matrix.tobytes()).digest()
        known = self._fields.get(key)
        if known is None:
            orbital = matrix @ self._ni.eval_ao(self._mol, self.coords[part]).T
            known = _contracted(self._triangle(part, omega), orbital).T
            self._fields.put(key, known)
        return known

    def _triangle(self, part: slice, omega: float) -> Array:
        """Lower triangle (pairs, P) of the potentials, row by row."""
        triangle = self._kept.get((part.start, omega))
        if triangle is None:
            with self._mol.with_range_coulomb(omega):
                whole = self._mol.intor("int1e_grids", hermi=1, grids=self.coords[part])
            triangle = whole.transpose(1, 2, 0)[np.tril_indices(self._mol.nao)]
            self._kept.put((part.start, omega), triangle)
        return triangle


def _integrals_of(mol: Any, grids: Any) -> _Kept:
    """Integrals that are kept with a grid as long as its points and the basis are the same."""
    basis = np.concatenate([mol._bas.ravel(), mol._env])
    coords, known, kept = _integrals.get(grids, (None, basis, None))
    if kept is None or coords is not grids.coords or not np.array_equal(basis, known):
        kept = _Kept(SHARE * 1e6 * mol.max_memory)
        _integrals[grids] = grids.coords, basis, kept
    return kept


def _contracted(triangle: Array, orbital: Array) -> Array:
    """A (nao, P) of E (nao, P) with the triangle of a symmetric matrix at each point."""
    result = np.zeros_like(orbital)
    start = 0
    for row in range(len(orbital)):
        below = triangle[start : start + row]
        diagonal = triangle[start + row]
        result[row] += np.einsum("bp,bp->p", below, orbital[:row]) + diagonal * orbital[row]
        result[:row] += below * orbital[row]
        start += row + 1
    return result


def density_matrices(ni: Any, mol: Any, grids: Any, matrices: Any) -> DensityMatrices:
    """What orbital fields are made of, from matrices (s, nao, nao)."""
    return DensityMatrices(GridOrbitals(ni, mol, grids), symmetric(matrices))


def symmetric(matrices: Any) -> Array:
    """Symmetric part of matrices, all that densities depend on."""
    array = np.asarray(matrices)
    result: Array = 0.5 * (array + array.swapaxes(-1, -2))
    return result
