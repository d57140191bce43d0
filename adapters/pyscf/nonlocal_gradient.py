"""Nuclear gradients with nonlocal functionals, including the response of the grid.

A descriptor is treated as a field: R at a fixed point changes with the density alone, and with a
moving point by its gradient, which is S (w grad n) as for any convolution. What the quadrature
error of R does when the grid deforms is left out, as it vanishes with that error. With f = n zk,

    dE/dX = sum dw/dX f + sum w dr/dX (f_x grad x + f_R grad R) + (orbitals' part with the whole v)

and the first two sums over all atoms cancel each other exactly for a translation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from pyscf.dft import gen_grid

from xcnet.adapters.pyscf.blocks import atomic_grids, joined
from xcnet.adapters.pyscf.expressions import Plan
from xcnet.adapters.pyscf.layout import ROWS, Array
from xcnet.adapters.pyscf.nonlocal_values import evaluate
from xcnet.grid import Grid


def full_response(
    original: Callable[..., tuple[Array, Array]],
    ni: Any,
    mol: Any,
    grids: Any,
    plan: Plan,
    dms: Any,
    *args: Any,
    **kwargs: Any,
) -> tuple[Array, Array]:
    """PySCF's ``get_vxc_full_response`` of a nonlocal functional.

    PySCF's own function does the work, with values that are prepared for it on the whole grid.

    Returns
    -------
    (atoms, 3) ndarray
        Response of the grid, Hartree/bohr.
    ndarray
        Derivatives of the potential matrices by the electrons' coordinates, negative.
    """
    points = [slice(0, 0)]
    parts = atomic_grids(grids)
    for coords, *_ in parts:
        points.append(slice(points[-1].stop, points[-1].stop + len(coords)))
    del points[0]
    grid = Grid(**joined(grids, parts))
    rho = _densities(ni, mol, grids, plan.kind, dms, [coords for coords, *_ in parts])
    values = evaluate(ni.libxc, plan, grid, rho, 1, ni.omega)
    potential = values.potential if len(rho) == 2 else values.potential[0]
    answers = iter([(values.exc[part], potential[..., part]) for part in points])
    prepared = ni.copy()
    prepared.eval_xc_eff = lambda *args, **kwargs: next(answers)
    response, matrices = original(prepared, mol, grids, plan.xc, dms, *args, **kwargs)
    moving = grid.motion(values.channels, rho[:, 1:4].sum(axis=0))
    return response + np.array([moving[:, part].sum(axis=1) for part in points]), matrices


def _densities(ni: Any, mol: Any, grids: Any, kind: str, dms: Any, places: list[Array]) -> Array:
    """Density rows (spins, rows, N), at least with the gradient."""
    rows = "GGA" if kind == "LDA" else kind
    make_rho, sets, _ = ni._gen_rho_evaluator(mol, dms, 1, False, grids)
    result = []
    for coords in places:
        mask = gen_grid.make_mask(mol, coords)
        ao = ni.eval_ao(mol, coords, deriv=1, non0tab=mask, cutoff=grids.cutoff)
        atom = [make_rho(i, ao, mask, rows) for i in range(sets)]
        result.append(np.reshape(atom, (sets, ROWS[rows], len(coords))))
    return np.concatenate(result, axis=2)
