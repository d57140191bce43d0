"""Nonlocal functionals of Psi4 on a whole grid: its arrays for `xcnet.grid`."""

from __future__ import annotations

from xcnet.adapters.psi4.nonlocal_parts import Parts
from xcnet.grid import Grid, OnRows, evaluate_rows
from xcnet.operators import Array
from xcnet.terms import NeuralTerm


def evaluate(parts: Parts, grid: Grid, rows: Array) -> OnRows:
    """Evaluate nonlocal terms for density rows (s, 5, N) of a whole grid."""
    terms = [
        (weight, NeuralTerm(entry.spec, len(rows)))
        for weight, entry in parts.terms
        if entry.spec is not None
    ]
    return evaluate_rows(grid, terms, rows)
