"""What the grid's response is worth in a Hessian, which PySCF's analytic ones leave out.

Without it a molecule's Hessian breaks the sum rule of translations: sum over B of d^2E/dA dB is not
0 but what the gradient changes by when the grid alone is moved. That takes six evaluations of the
gradient's exchange-correlation part and no response of the orbitals, which changes little: 2.381
Hartree/bohr^2 for CO with a rough network (def2-SVP, grid level 3), where the sum rule of PySCF's
Hessian is broken by 2.384.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from pyscf.grad import rks, uks

from xcnet.adapters.pyscf.layout import Array

STEP = 1e-3  # bohr


def breach(mf: Any) -> Array:
    """Breach of the sum rule (atoms, 3, 3), Hartree/bohr^2, by the axes of gradient and movement.

    Parameters
    ----------
    mf
        Self-consistent RKS or UKS object with a semilocal functional.
    """
    grids, density = mf.grids, mf.make_rdm1()
    if grids.coords is None:
        grids.build(with_non0tab=True)
    columns = [
        (_gradient(mf, grids, density, move) - _gradient(mf, grids, density, -move)) / (2.0 * STEP)
        for move in STEP * np.eye(3)
    ]
    return np.stack(columns, axis=2)


def _gradient(mf: Any, grids: Any, density: Any, move: Array) -> Array:
    """Electrons' part of the gradient (atoms, 3), with all points of the grid moved."""
    moved = copy.copy(grids)
    moved.coords = grids.coords + move
    moved.non0tab = moved.screen_index = None
    mol, spins = mf.mol, np.reshape(density, (-1, *np.shape(density)[-2:]))
    get_vxc = uks.get_vxc if len(spins) == 2 else rks.get_vxc
    potential = get_vxc(mf._numint, mol, moved, mf.xc, density)[1]
    potential = np.reshape(potential, (len(spins), 3, mol.nao, mol.nao))
    slopes = 2.0 * np.einsum("sxij,sij->ix", potential, spins)
    return np.array(
        [slopes[start:stop].sum(axis=0) for start, stop in mol.aoslice_by_atom()[:, 2:]]
    )
