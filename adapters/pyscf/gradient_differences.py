"""Nuclear gradients by differences of energies, of functionals with orbital fields.

Their integrals have no derivatives here. Each displaced geometry begins with the density matrix of
the molecule, so that differences are those of one state, and is brought to self-consistency with
the help of `converge` where it is needed.
"""

from __future__ import annotations

import copy
import warnings
from typing import Any

import numpy as np
from pyscf.lib import logger

from xcnet.adapters.pyscf.convergence import converge
from xcnet.adapters.pyscf.layout import Array
from xcnet.errors import ConvergenceError, UnsupportedError

STEP = 2e-3  # bohr; the central difference is good to some 1e-6 Hartree/bohr
TOLERANCE = 1e-10  # Hartree, of the self-consistent energies
JUMP = 1e-4  # Hartree, more than what 20 Hartree/bohr^2 give


def gradient(gradients: Any, names: str) -> Array:
    """Derivatives (atoms, 3) of the energy by the nuclei, Hartree/bohr.

    Parameters
    ----------
    gradients
        PySCF's gradient object of a self-consistent calculation, which is left as it was.
    names
        Of the functionals, for messages.

    Raises
    ------
    UnsupportedError
        With a solvent, whose part PySCF would add once more.
    ConvergenceError
        If a displaced geometry is not self-consistent, or in another state.
    """
    mf = gradients.base
    if hasattr(mf, "with_solvent"):
        raise UnsupportedError(
            f"{names}: there are no gradients with a solvent, because they are differences of "
            "energies that hold its part already. Take differences of mf.e_tot instead.",
            functional=names,
            method="gradient",
        )
    atoms = range(mf.mol.natm) if gradients.atmlst is None else gradients.atmlst
    count = 6 * len(atoms)
    warnings.warn(
        f"{names}: nuclear gradient by finite differences of {count} energies, because exact "
        "exchange at points has no derivatives by the nuclei here",
        UserWarning,
        stacklevel=3,
    )
    energy = _Energy(mf)
    result = np.empty((len(atoms), 3))
    for i, atom in enumerate(atoms):
        for axis in range(3):
            logger.info(mf, "Gradient by differences: %d of %d", 6 * i + 2 * axis + 1, count)
            ahead, behind = (energy(atom, axis, step) for step in (STEP, -STEP))
            if not abs(ahead + behind - 2.0 * mf.e_tot) < JUMP:
                raise ConvergenceError(
                    f"{names}: with atom {atom} displaced by {STEP} bohr another state was found, "
                    f"{max(ahead, behind, key=lambda e: abs(e - mf.e_tot)) - mf.e_tot:.4f} "
                    "Hartree away. Converge the molecule again, or on a finer grid "
                    "(mf.grids.level).",
                    functional=names,
                )
            result[i, axis] = (ahead - behind) / (2.0 * STEP)
    return result


class _Energy:
    """Energy of a displaced molecule, from a copy of the calculation."""

    def __init__(self, mf: Any) -> None:
        self._own = copy.deepcopy(mf)
        self._own.conv_tol = min(mf.conv_tol, TOLERANCE)
        self._own.verbose = self._own.mol.verbose = 0
        self._mol = self._own.mol
        if self._mol.symmetry:  # a displaced molecule has less, and must not be turned
            self._mol.symmetry = "C1"
        self._start = mf.make_rdm1()

    def __call__(self, atom: int, axis: int, step: float) -> float:
        coords = self._mol.atom_coords()
        coords[atom, axis] += step
        self._own.reset(self._mol.set_geom_(coords, unit="Bohr", inplace=False))
        if not converge(self._own, self._start).converged:
            raise ConvergenceError(
                f"{self._own.xc}: with atom {atom} displaced by {step} bohr there is no "
                "self-consistency",
                functional=self._own.xc,
            )
        return float(self._own.e_tot)
