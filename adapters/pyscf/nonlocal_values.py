"""Expressions with nonlocal functionals on a whole grid: PySCF's arrays for `xcnet.grid`."""

from __future__ import annotations

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
