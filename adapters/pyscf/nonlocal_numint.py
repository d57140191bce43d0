"""PySCF's ``NumInt`` methods for nonlocal functionals: Kohn-Sham matrices and their response.

Each function takes the plan of the expression where PySCF's own takes the expression, and keeps
its arguments, shapes and units otherwise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pyscf import lib
from pyscf.dft import numint

from xcnet.adapters.pyscf.blocks import densities, matrices, whole_grid
from xcnet.adapters.pyscf.expressions import Plan, unsupported
from xcnet.adapters.pyscf.layout import Array
from xcnet.adapters.pyscf.nonlocal_values import Values, evaluate


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
    grid = whole_grid(grids)
    rho = densities(ni, mol, grids, plan.kind, dms, hermi, max_memory)
    values = [evaluate(ni.libxc, plan, grid, each[None], 1, ni.omega) for each in rho]
    potentials = np.concatenate([each.potential for each in values])
    charges = grids.weights * rho[:, 0]
    electrons = charges.sum(axis=1)
    energies = np.array([q @ each.exc for q, each in zip(charges, values, strict=True)])
    result = matrices(ni, mol, grids, plan.kind, potentials, max_memory)
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
    grid = whole_grid(grids)
    both = numint._format_uks_dm(dms)
    rho = _both(ni, mol, grids, plan, both, hermi, max_memory)
    values = [evaluate(ni.libxc, plan, grid, each, 1, ni.omega) for each in rho]
    potentials = np.stack([each.potential for each in values], axis=1)
    charges = grids.weights * rho[:, :, 0]
    electrons = charges.sum(axis=2).T
    energies = np.array([q.sum(0) @ each.exc for q, each in zip(charges, values, strict=True)])
    result = _matrices(ni, mol, grids, plan, potentials, max_memory)
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
    if not isinstance(fxc, Values):
        fxc = cache_xc_kernel1(ni, mol, grids, plan, dm0, 0, max_memory)[2]
    changes = densities(ni, mol, grids, plan.kind, dms, hermi, max_memory)
    potentials = np.concatenate([fxc.response(change[None]) for change in changes])
    result = matrices(ni, mol, grids, plan.kind, potentials, max_memory)
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
    if not isinstance(fxc, Values):
        fxc = cache_xc_kernel1(ni, mol, grids, plan, dm0, 1, max_memory)[2]
    both = numint._format_uks_dm(dms)
    changes = _both(ni, mol, grids, plan, both, hermi, max_memory)
    potentials = np.stack([fxc.response(change) for change in changes], axis=1)
    result = _matrices(ni, mol, grids, plan, potentials, max_memory)
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
    """Density, potential and, in place of second derivatives, the `Values` to respond with."""
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
    values = evaluate(ni.libxc, plan, whole_grid(grids), rho, 2, ni.omega)
    potential = values.potential
    return (rho, potential, values) if spin else (rho[0], potential[0], values)


def _both(
    ni: Any, mol: Any, grids: Any, plan: Plan, both: Any, hermi: int, max_memory: float
) -> Array:
    """Density rows (sets, 2, rows, N) of the matrices of two spins."""
    rho = [densities(ni, mol, grids, plan.kind, each, hermi, max_memory) for each in both]
    return np.stack(rho, axis=1)


def _matrices(
    ni: Any, mol: Any, grids: Any, plan: Plan, potentials: Array, max_memory: float
) -> Array:
    """Matrices (2, sets, nao, nao) of potentials (2, sets, rows, N)."""
    flat = potentials.reshape(-1, *potentials.shape[2:])
    result = matrices(ni, mol, grids, plan.kind, flat, max_memory)
    return result.reshape(*potentials.shape[:2], *result.shape[1:])
