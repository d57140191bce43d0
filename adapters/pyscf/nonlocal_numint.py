"""PySCF's ``NumInt`` methods for nonlocal functionals: Kohn-Sham matrices and their response.

Each function takes the plan of the expression where PySCF's own takes the expression, and keeps
its arguments, shapes and units otherwise.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from pyscf import lib
from pyscf.dft import numint

from xcnet.adapters.pyscf.blocks import densities, matrices, whole_grid
from xcnet.adapters.pyscf.expressions import Plan, unsupported
from xcnet.adapters.pyscf.grid_orbitals import density_matrices, symmetric
from xcnet.adapters.pyscf.layout import Array
from xcnet.adapters.pyscf.nonlocal_values import ByDifferences, evaluate
from xcnet.grid import OnRows


def nr_rks(
    ni: Any,
    mol: Any,
    grids: Any,
    plan: Plan,
    dms: Any,
    relativity: int = 0,
    hermi: int = 1,
    max_memory: float = 2000,
    verbose: Any = None,
) -> tuple[Any, Any, Any]:
    """Number of electrons, energy and potential matrix of closed shells."""
    whole_grid(grids)  # makes the points where there are none yet
    rho = densities(ni, mol, grids, plan.kind, dms, hermi, max_memory)
    sets = np.reshape(dms, (-1, 1, mol.nao, mol.nao))
    values = [
        _evaluate(ni, mol, grids, plan, *pair) for pair in zip(rho[:, None], sets, strict=True)
    ]
    potentials = np.concatenate([on_rows.potential for on_rows in values])
    charges = grids.weights * rho[:, 0]
    electrons = charges.sum(axis=1)
    energies = np.array([q @ on_rows.exc for q, on_rows in zip(charges, values, strict=True)])
    result = matrices(ni, mol, grids, plan.kind, potentials, max_memory)
    result = _with_fields(result, [on_rows.fock() for on_rows in values], 0)
    if len(rho) == 1:
        return electrons[0], energies[0], result[0]
    return electrons, energies, result


def nr_uks(
    ni: Any,
    mol: Any,
    grids: Any,
    plan: Plan,
    dms: Any,
    relativity: int = 0,
    hermi: int = 1,
    max_memory: float = 2000,
    verbose: Any = None,
) -> tuple[Any, Any, Any]:
    """Numbers of electrons, energy and potential matrices of open shells."""
    whole_grid(grids)
    both = numint._format_uks_dm(dms)
    rho = _both(ni, mol, grids, plan, both, hermi, max_memory)
    pairs = zip(rho, _sets(mol, both), strict=True)
    values = [_evaluate(ni, mol, grids, plan, *pair) for pair in pairs]
    potentials = np.stack([on_rows.potential for on_rows in values], axis=1)
    charges = grids.weights * rho[:, :, 0]
    electrons = charges.sum(axis=2).T
    energies = np.array(
        [q.sum(0) @ on_rows.exc for q, on_rows in zip(charges, values, strict=True)]
    )
    result = _matrices(ni, mol, grids, plan, potentials, max_memory)
    result = _with_fields(result, [on_rows.fock() for on_rows in values], 1)
    if np.ndim(both[0]) == 2:
        return electrons[:, 0], energies[0], result[:, 0]
    return electrons, energies, result


def nr_rks_fxc(
    ni: Any,
    mol: Any,
    grids: Any,
    plan: Plan,
    dm0: Any,
    dms: Any,
    relativity: int = 0,
    hermi: int = 0,
    rho0: Any = None,
    vxc: Any = None,
    fxc: Any = None,
    max_memory: float = 2000,
    verbose: Any = None,
) -> Any:
    """Change of the potential matrices with the density matrices, closed shells.

    The second derivatives `fxc` are those of `cache_xc_kernel`.
    """
    if not isinstance(fxc, (OnRows, ByDifferences)):
        fxc = cache_xc_kernel1(ni, mol, grids, plan, dm0, 0, max_memory)[2]
    changes = densities(ni, mol, grids, plan.kind, dms, hermi, max_memory)
    sets = np.reshape(symmetric(dms), (-1, 1, mol.nao, mol.nao))
    responses = [fxc.response(*pair) for pair in zip(changes[:, None], sets, strict=True)]
    potentials = np.concatenate([potential for potential, _ in responses])
    result = matrices(ni, mol, grids, plan.kind, potentials, max_memory)
    result = _with_fields(result, [fock for _, fock in responses], 0)
    return result[0] if np.ndim(dms) == 2 else result


def nr_uks_fxc(
    ni: Any,
    mol: Any,
    grids: Any,
    plan: Plan,
    dm0: Any,
    dms: Any,
    relativity: int = 0,
    hermi: int = 0,
    rho0: Any = None,
    vxc: Any = None,
    fxc: Any = None,
    max_memory: float = 2000,
    verbose: Any = None,
) -> Any:
    """Change of the potential matrices with the density matrices, open shells."""
    if not isinstance(fxc, (OnRows, ByDifferences)):
        fxc = cache_xc_kernel1(ni, mol, grids, plan, dm0, 1, max_memory)[2]
    both = numint._format_uks_dm(dms)
    changes = _both(ni, mol, grids, plan, both, hermi, max_memory)
    pairs = zip(changes, symmetric(_sets(mol, both)), strict=True)
    responses = [fxc.response(*pair) for pair in pairs]
    potentials = np.stack([potential for potential, _ in responses], axis=1)
    result = _matrices(ni, mol, grids, plan, potentials, max_memory)
    result = _with_fields(result, [fock for _, fock in responses], 1)
    return result[:, 0] if np.ndim(both[0]) == 2 else result


def cache_xc_kernel(
    ni: Any,
    mol: Any,
    grids: Any,
    plan: Plan,
    mo_coeff: Any,
    mo_occ: Any,
    spin: int = 0,
    max_memory: float = 2000,
) -> tuple[Any, Any, Any]:
    """Density, potential and, in place of second derivatives, what responds to changes."""
    orbitals, occupations = np.asarray(mo_coeff), np.asarray(mo_occ)
    dm = np.einsum("...pi,...i,...qi->...pq", orbitals, occupations, orbitals, optimize=True)
    tagged = lib.tag_array(dm, mo_coeff=orbitals, mo_occ=occupations)
    return cache_xc_kernel1(ni, mol, grids, plan, tagged, spin, max_memory)


def cache_xc_kernel1(
    ni: Any, mol: Any, grids: Any, plan: Plan, dm: Any, spin: int = 0, max_memory: float = 2000
) -> tuple[Any, Any, Any]:
    """The same from density matrices."""
    if spin and np.ndim(dm) == 2:
        raise unsupported(plan, "a response between different spins")
    rho = densities(ni, mol, grids, plan.kind, dm, 1, max_memory)
    spins = np.reshape(dm, (len(rho), mol.nao, mol.nao))
    values: OnRows | ByDifferences
    if ni.libxc.max_deriv_order(plan.xc) > 1:
        values = _evaluate(ni, mol, grids, plan, rho, spins, 2)
    else:
        values = ByDifferences(partial(_evaluate, ni, mol, grids, plan), rho, spins)
    potential = values.potential
    return (rho, potential, values) if spin else (rho[0], potential[0], values)


def _evaluate(
    ni: Any, mol: Any, grids: Any, plan: Plan, rho: Array, dms: Array, deriv: int = 1
) -> OnRows:
    """Values of one set, for density rows and density matrices (s, nao, nao)."""
    grid = whole_grid(grids)
    read = density_matrices(ni, mol, grids, dms) if plan.has_orbital_fields else None
    return evaluate(ni.libxc, plan, grid, rho, deriv, ni.omega, read)


def _with_fields(result: Array, focks: list[Array | None], spins: int) -> Array:
    """Matrices with those (s, nao, nao) of orbital fields; `spins` is the axis of the sets."""
    parts = [fock for fock in focks if fock is not None]
    if not parts:
        return result
    return result + (np.stack(parts, axis=1) if spins else np.concatenate(parts))


def _sets(mol: Any, both: Any) -> Array:
    """Density matrices (sets, 2, nao, nao) of two spins."""
    return np.stack([np.reshape(matrix, (-1, mol.nao, mol.nao)) for matrix in both], axis=1)


def _both(
    ni: Any, mol: Any, grids: Any, plan: Plan, both: Any, hermi: int, max_memory: float
) -> Array:
    """Density rows (sets, 2, rows, N) of the matrices of two spins."""
    rho = [densities(ni, mol, grids, plan.kind, matrix, hermi, max_memory) for matrix in both]
    return np.stack(rho, axis=1)


def _matrices(
    ni: Any, mol: Any, grids: Any, plan: Plan, potentials: Array, max_memory: float
) -> Array:
    """Matrices (2, sets, nao, nao) of potentials (2, sets, rows, N)."""
    flat = potentials.reshape(-1, *potentials.shape[2:])
    result = matrices(ni, mol, grids, plan.kind, flat, max_memory)
    return result.reshape(*potentials.shape[:2], *result.shape[1:])
