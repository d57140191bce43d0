"""Grids whose response PySCF gets right: ghosts and pseudopotentials included.

A grid's cells depend on the radii of its atoms. PySCF makes the grid with those of the elements,
but its derivatives (``grad.rks.grids_response_becke``, 2.8 to 2.14) with those of the charges that
electrons feel: 0 for a ghost, too small with a pseudopotential. Water with a ghost of oxygen: 9e-3
Hartree/bohr with an earlier NN-NRA, 2e-5 with PBE.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from pyscf.dft import radi

from xcnet.errors import UnsupportedError

#: What ``grids_response_becke`` has derivatives of.
ADJUSTMENTS = (None, radi.treutler_atomic_radii_adjust, radi.becke_atomic_radii_adjust)


class _Asked:
    """Radii by charge that remember which were asked for."""

    def __init__(self, radii: Any) -> None:
        self._radii = radii
        self.charges: Any = None

    def __getitem__(self, charges: Any) -> Any:
        self.charges = np.asarray(charges)
        return self._radii[charges]


def with_right_radii(grids: Any) -> Any:
    """PySCF's grid object, of a molecule whose charges choose the radii that made the grid.

    Raises
    ------
    UnsupportedError
        PySCF has no derivatives of these cells.
    """
    adjust = grids.radii_adjust
    if adjust not in ADJUSTMENTS:
        raise UnsupportedError(
            f"PySCF has no response of grids whose radii {adjust!r} adjusts. Leave "
            "mf.grids.radii_adjust as it is, or set it to None.",
            method="the gradient with the response of the grid",
        )
    if adjust is None:
        return grids
    asked = _Asked(grids.atomic_radii)
    adjust(grids.mol, asked)
    mol, result = copy.copy(grids.mol), copy.copy(grids)
    mol.atom_charges = lambda: asked.charges
    result.mol = mol
    return result
