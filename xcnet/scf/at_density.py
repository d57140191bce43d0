"""Energies of functionals at the ground-state density of another one.

One self-consistent calculation serves all functionals, and is kept for those that come later.
Energies differ from self-consistent ones in second order of what the densities differ by (M.-C.
Kim, E. Sim, K. Burke, Phys. Rev. Lett. 111, 073003 (2013), doi:10.1103/PhysRevLett.111.073003).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from xcnet import paths
from xcnet.adapters.pyscf import blocks
from xcnet.adapters.pyscf.makers import plan_of
from xcnet.scf import calculation, fixed_density
from xcnet.scf.calculation import Settings
from xcnet.scf.fixed_density import FixedDensity, Scheme
from xcnet.systems.molecules import Molecule

# isort: split
from pyscf import lib

LEAST_MEMORY = 500  # MB for a block of orbitals on the grid


def energy(molecule: Molecule, xc: str, settings: Settings, density: str) -> float:
    """Total energy in Hartree of ``xc`` with the orbitals of the functional ``density``.

    The orbitals are converged on ``settings.guess_grid_level``, the energy is integrated on
    ``settings.grid_level``.

    Raises
    ------
    ConvergenceError
        The density does not converge by any solver.
    """
    level = settings.guess_grid_level
    scheme = Scheme(
        density,
        settings.basis,
        str(settings.density_fit or ""),
        settings.grid_level if level is None else level,
        settings.tolerance,
    )
    state = _ground_state(molecule, scheme)
    mf = calculation.mean_field(state.system, xc, settings)
    mf.grids.level = settings.grid_level
    mf.grids.build(with_non0tab=True)
    matrices = _matrices(state, closed=not mf.mol.spin)
    parts = (_integrated(mf, matrices), _exact_exchange(mf, matrices, state), _vv10(mf, matrices))
    dispersion = mf.get_dispersion() if mf.do_disp() else 0.0  # of a suffix such as -D4
    return float(state.energies["rest"] + sum(parts) + dispersion)


def _ground_state(molecule: Molecule, scheme: Scheme) -> FixedDensity:
    """Made on the first call."""
    name = fixed_density.key(molecule, scheme)
    path = paths.cache_folder() / "ground-states" / f"{name}.npz"
    if not path.exists():
        fixed_density.write(path, fixed_density.solve(molecule, scheme))
    return fixed_density.read(path)


def _matrices(state: FixedDensity, closed: bool) -> Any:
    """Density matrices as PySCF's objects have them, with the orbitals that make them."""
    share = 2.0 if closed else 1.0
    spins = state.orbitals[:1] if closed else state.spins()
    orbitals = np.zeros((len(spins), len(spins[0]), max(c.shape[1] for c in spins)))
    occupations = np.zeros((len(spins), orbitals.shape[2]))
    for c, whole, occupation in zip(spins, orbitals, occupations, strict=True):
        whole[:, : c.shape[1]], occupation[: c.shape[1]] = c, share
    made = share * orbitals @ orbitals.transpose(0, 2, 1)
    if closed:
        return lib.tag_array(made[0], mo_coeff=orbitals[0], mo_occ=occupations[0])
    return lib.tag_array(made, mo_coeff=orbitals, mo_occ=occupations)


def _integrated(mf: Any, matrices: Any) -> float:
    """What is integrated on the grid, without VV10."""
    ni, plan = mf._numint, plan_of(mf._numint, mf.xc)
    if plan is not None and plan.is_nonlocal:
        integrate = ni.nr_rks if matrices.ndim == 2 else ni.nr_uks
        return float(integrate(mf.mol, mf.grids, mf.xc, matrices)[1])
    kind, memory = ni._xc_type(mf.xc), max(LEAST_MEMORY, mf.max_memory - lib.current_memory()[0])
    if kind == "HF":
        return 0.0
    rho = blocks.densities(ni, mf.mol, mf.grids, kind, matrices, 1, memory)
    per_electron = ni.eval_xc_eff(mf.xc, rho[0] if len(rho) == 1 else rho, 0, xctype=kind)[0]
    return float((mf.grids.weights * rho[:, 0].sum(axis=0)) @ np.ravel(per_electron))


def _exact_exchange(mf: Any, matrices: Any, state: FixedDensity) -> float:
    omega, long, short = mf._numint.rsh_and_hybrid_coeff(mf.xc, mf.mol.spin)
    total = short * state.energies["exact_exchange"]
    if omega and long != short:
        exchange = np.asarray(mf.get_k(mf.mol, matrices, omega=omega))
        share = 0.25 if matrices.ndim == 2 else 0.5
        total -= (long - short) * share * float(np.vdot(exchange, np.asarray(matrices)))
    return float(total)


def _vv10(mf: Any, matrices: Any) -> float:
    if not mf.do_nlc():
        return 0.0
    name = mf.xc if mf._numint.libxc.is_nlc(mf.xc) else mf.nlc
    total = np.asarray(matrices) if matrices.ndim == 2 else np.asarray(matrices).sum(axis=0)
    mf.nlcgrids.build(with_non0tab=True)
    return float(mf._numint.nr_nlc_vxc(mf.mol, mf.nlcgrids, name, total)[1])
