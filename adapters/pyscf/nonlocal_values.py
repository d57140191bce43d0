"""Expressions with nonlocal functionals on a whole grid: PySCF's arrays for `xcnet.grid`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from xcnet.adapters.pyscf.expressions import Plan
from xcnet.adapters.pyscf.facade import StandIn
from xcnet.adapters.pyscf.layout import Array
from xcnet.grid import Grid, OnRows, evaluate_rows
from xcnet.operators import DensityMatrices
from xcnet.terms import NeuralTerm

#: Numbers that the integrals of one block may take.
BLOCK_SIZE = 1 << 25


def evaluate(
    libxc: StandIn,
    plan: Plan,
    grid: Grid,
    rho: Array,
    deriv: int,
    omega: float | None,
    matrices: DensityMatrices | None = None,
) -> OnRows:
    """Evaluate an expression on a whole grid.

    Parameters
    ----------
    libxc
        The stand-in that made the plan.
    plan
        Of an expression with a nonlocal functional.
    grid
        All points.
    rho : (s, rows, N)
        Density rows; s = 1 for closed shells.
    deriv
        1, or 2 for `OnRows.response` as well.
    omega
        See `StandIn.eval_xc1`.
    matrices
        Density matrices, for functionals with orbital fields.
    """
    spin = len(rho) - 1
    terms = [
        (weight, NeuralTerm(entry.spec, spin + 1))
        for weight, entry in plan.neural
        if entry.spec is not None
    ]
    rest = libxc.labelled_rest(plan, rho, deriv, omega)
    return evaluate_rows(grid, terms, rho, deriv, rest=rest, matrices=matrices)


class GridOrbitals:
    """Atomic orbitals of a molecule at the points of a grid: `xcnet.operators.Orbitals`."""

    def __init__(self, ni: Any, mol: Any, grids: Any) -> None:
        self._ni, self._mol = ni, mol
        self.coords = np.asarray(grids.coords)

    def blocks(self) -> Iterator[tuple[slice, Array]]:
        """All points in groups, and the orbitals (P, nao) there."""
        size = max(1, BLOCK_SIZE // self._mol.nao**2)
        for start in range(0, len(self.coords), size):
            part = slice(start, min(start + size, len(self.coords)))
            yield part, self._ni.eval_ao(self._mol, self.coords[part])

    def coulomb(self, part: slice, omega: float) -> Array:
        """Potentials (P, nao, nao) of products of orbitals, of the long range where omega > 0."""
        with self._mol.with_range_coulomb(omega):
            return self._mol.intor("int1e_grids", grids=self.coords[part])


def density_matrices(
    ni: Any, mol: Any, grids: Any, plan: Plan, matrices: Any
) -> DensityMatrices | None:
    """What orbital fields are made of, from matrices (s, nao, nao); None where nothing needs it."""
    if not plan.has_orbital_fields:
        return None
    return DensityMatrices(GridOrbitals(ni, mol, grids), symmetric(matrices))


def symmetric(matrices: Any) -> Array:
    """Symmetric part of matrices, all that densities depend on."""
    array = np.asarray(matrices)
    result: Array = 0.5 * (array + array.swapaxes(-1, -2))
    return result
