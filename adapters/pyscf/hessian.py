"""Hessians by finite differences of gradients, where PySCF's analytic ones are not reliable.

PySCF's analytic Hessian has no response of the grid. What that is worth is measured before each
Hessian (`grid_noise`): at grid level 3 some 1e-4 Hartree/bohr^2 for PBE, 0.1 for r2SCAN and 0.7 for
NN-GGA, whose frequencies would be wrong by hundreds of 1/cm. Gradients with the response are
right to 1e-7 Hartree/bohr, and so are their differences.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
from pyscf.lib import logger
from pyscf.scf.rohf import ROHF

from xcnet.adapters.pyscf import grid_noise
from xcnet.adapters.pyscf.expressions import PLAIN_GRID, Plan
from xcnet.adapters.pyscf.layout import Array
from xcnet.errors import ConvergenceError

#: Hartree/bohr^2, worth 6/cm in the vibration of H2 and 1/cm in that of CO.
LIMIT = 1e-3
STEP = 1e-2  # bohr; the error of the central difference is about 2e-5 Hartree/bohr^2
TOLERANCE = 1e-11  # Hartree, of the self-consistent energies
JUMP = 1e-3  # Hartree, over what STEP along the gradient and 20 Hartree/bohr^2 give


def reason(mf: Any, plan: Plan) -> str:
    """Why PySCF's analytic Hessian of an object is not good enough; empty if it is.

    The object must be self-consistent.
    """
    if plan.is_nonlocal:
        return "it is nonlocal"
    if mf._numint.libxc.max_deriv_order(plan.xc) < 2:
        return "it has no second derivatives"
    if isinstance(mf, ROHF):
        return "PySCF has none of ROKS"
    missing = float(np.abs(grid_noise.breach(mf)).max())
    if missing > LIMIT:
        return (
            "PySCF's analytic one has no response of the grid, which is worth "
            f"{missing:.2g} Hartree/bohr^2 here"
        )
    return ""


def warn_of_grid(plan: Plan) -> None:
    """Warn of PySCF's gradients of excited states, for functionals that need a fine grid."""
    if plan.grid_level > PLAIN_GRID:
        warnings.warn(
            f"{plan.names}: gradient of an excited state without the response of the grid, which "
            "PySCF has for ground states only and this functional is sensitive to. Compare it with "
            f"differences of energies, or use a finer grid than level {plan.grid_level}.",
            UserWarning,
            stacklevel=4,
        )


def finite_differences(mf: Any, atoms: Iterable[int], why: str) -> Array:
    """Hessian (atoms, atoms, 3, 3), Hartree/bohr^2, from two gradients per coordinate.

    Parameters
    ----------
    mf
        Kohn-Sham object; it is left as it was.
    atoms
        The atoms of the rows and columns.
    why
        What `reason` said, for the warning.

    Raises
    ------
    ConvergenceError
        If a displaced geometry is not self-consistent, or in another state.
    """
    atoms = list(atoms)
    warnings.warn(
        f"{mf.xc}: Hessian by finite differences of {6 * len(atoms)} gradients, because {why}",
        UserWarning,
        stacklevel=3,
    )
    gradient = _Gradient(mf)
    rows = np.empty((len(atoms), 3, len(atoms), 3))
    for i, atom in enumerate(atoms):
        for axis in range(3):
            done = 6 * i + 2 * axis
            logger.note(mf, "Hessian by differences: gradient %d of %d", done + 1, 6 * len(atoms))
            ahead, behind = (gradient(atom, axis, step)[atoms] for step in (STEP, -STEP))
            rows[i, axis] = (ahead - behind) / (2.0 * STEP)
    blocks = rows.transpose(0, 2, 1, 3)
    result: Array = 0.5 * (blocks + blocks.transpose(1, 0, 3, 2))
    return result


class _Gradient:
    """Gradient of a displaced molecule, from a copy: PySCF's scanners change what they share."""

    def __init__(self, mf: Any) -> None:
        own = copy.deepcopy(mf)
        own.conv_tol = min(own.conv_tol, TOLERANCE)
        own.verbose = own.mol.verbose = 0  # a table for each of many displacements is noise
        self._energy = mf.e_tot
        self._scan = own.nuc_grad_method().set(grid_response=True).as_scanner()
        self._mol = own.mol
        if self._mol.symmetry:  # a displaced molecule has less, and must not be turned
            self._mol.symmetry = "C1"

    def __call__(self, atom: int, axis: int, step: float) -> Array:
        coords = self._mol.atom_coords()
        coords[atom, axis] += step
        energy, gradient = self._scan(self._mol.set_geom_(coords, unit="Bohr", inplace=False))
        where = f"{self._scan.base.xc}: with atom {atom} displaced by {step} bohr"
        if not self._scan.converged:
            raise ConvergenceError(
                f"{where} there is no self-consistency. Converge the molecule with newton() and "
                "take the Hessian of that object.",
                functional=self._scan.base.xc,
            )
        if not abs(energy - step * gradient[atom, axis] - self._energy) < JUMP:
            raise ConvergenceError(
                f"{where} another state was found, {energy - self._energy:.4f} Hartree away. "
                "Converge the molecule again, or on a finer grid (mf.grids.level).",
                functional=self._scan.base.xc,
            )
        return np.asarray(gradient)
