"""What Psi4's output says of a functional once a calculation is done."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
from psi4 import core

from xcnet import domain
from xcnet.adapters._patch import Patches
from xcnet.adapters.psi4 import nonlocal_parts, registration
from xcnet.operators import Array
from xcnet.registry import Entry


def put(patches: Patches) -> None:
    """Have each self-consistent field end with a word on what a functional was not trained for."""
    patches.put(core.HF, "finalize_energy", _with_domain)


def _with_domain(original: Any) -> Callable[..., Any]:
    @wraps(original)
    def finalize(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        for sentence in _sentences(self):
            core.print_out(f"\n  Warning: {sentence}.\n")
        return result

    return finalize


def _sentences(wavefunction: Any) -> list[str]:
    """One for each functional that had to extrapolate; ghosts have no element."""
    entries = [entry for entry in _entries(wavefunction.functional()) if entry.spec]
    if not entries:
        return []
    molecule = wavefunction.molecule()
    atoms = [i for i in range(molecule.natom()) if molecule.Z(i) > 0.0]
    symbols = [molecule.symbol(i).capitalize() for i in atoms]
    positions = np.array(molecule.geometry())[atoms]
    n, weights, coords = _density(wavefunction)
    sentences = []
    for entry in entries:
        assert entry.spec is not None
        outside = domain.outside(entry.spec, n, weights, coords, symbols, positions)
        if outside.is_large:
            sentences.append(outside.sentence(entry.called))
    return sentences


def _density(wavefunction: Any) -> tuple[Array, Array, Array]:
    """Density (N,) on Psi4's own grid, weights (N,) and points (N, 3)."""
    matrix = np.array(wavefunction.Da_subset("AO")) + np.array(wavefunction.Db_subset("AO"))
    blocks, basis = wavefunction.V_potential().grid().blocks(), wavefunction.basisset()
    worker = core.BasisFunctions(basis, max(block.npoints() for block in blocks), basis.nbf())
    worker.set_deriv(0)  # it is anything before
    n = []
    for block in blocks:
        functions = np.array(block.functions_local_to_global(), int)
        if not len(functions):
            n.append(np.zeros(block.npoints()))
            continue
        worker.compute_functions(block)
        values = np.asarray(worker.basis_values()["PHI"])[: block.npoints(), : len(functions)]
        n.append(np.einsum("pi,pi->p", values @ matrix[np.ix_(functions, functions)], values))
    rows = [[np.array(getattr(block, row)()) for row in "wxyz"] for block in blocks]
    weights, *coords = np.concatenate(rows, axis=1)
    return np.concatenate(n), weights, np.stack(coords, axis=1)


def _entries(superfunctional: Any) -> list[Entry]:
    parts = nonlocal_parts.parts_of(superfunctional)
    local = [*superfunctional.x_functionals(), *superfunctional.c_functionals()]
    entries = registration.neural([part.name() for part in local])
    return entries + ([entry for _, entry in parts.terms] if parts is not None else [])
