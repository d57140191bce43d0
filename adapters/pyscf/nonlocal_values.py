"""Expressions with nonlocal functionals on a whole grid: PySCF's arrays for `xcnet.grid`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from xcnet.adapters.pyscf.expressions import Plan
from xcnet.adapters.pyscf.facade import StandIn
from xcnet.adapters.pyscf.layout import Array
from xcnet.grid import Grid, OnRows, evaluate_rows
from xcnet.operators import DensityMatrices
from xcnet.terms import NeuralTerm


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


#: Length of a step beside the density matrix.
STEP = 1e-6


class ByDifferences:
    """Values and response of functionals without second derivatives: differences of potentials.

    Offers what is asked of an `OnRows` of order 2.

    Parameters
    ----------
    at
        Values of order 1 for density rows (s, rows, N) and density matrices (s, nao, nao).
    rho, matrices
        Where the response is wanted.
    """

    def __init__(self, at: Callable[[Array, Array], OnRows], rho: Array, matrices: Array) -> None:
        self._at, self._rho, self._matrices = at, rho, matrices
        self.potential = at(rho, matrices).potential

    def response(self, change: Array, matrices: Array) -> tuple[Array, Array | None]:
        """Change of potentials (s, rows, N) and of Fock matrices, see `OnRows.response`."""
        size = float(np.linalg.norm(matrices))
        step = STEP * float(np.linalg.norm(self._matrices)) / size if size else STEP
        up, down = (
            self._at(self._rho + x * change, self._matrices + x * matrices) for x in (step, -step)
        )
        potential = (up.potential - down.potential) / (2.0 * step)
        above, below = up.fock(), down.fock()
        if above is None or below is None:
            return potential, None
        return potential, (above - below) / (2.0 * step)
