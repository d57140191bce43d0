"""Nuclear gradients with nonlocal functionals, including the response of the grid.

With f = n zk, v its whole derivative by the density's rows x, and M what each descriptor says
that moving points, weights and atoms change (`xcnet.operators.Motion`),

    dE/dX = sum dw/dX (f + M_w) + sum dr/dX (w v grad x + M_r) + M_X + (orbitals' part with v)

and all but the last add up to zero over all atoms, for a translation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from pyscf.dft import gen_grid
from pyscf.grad import rks as grad_rks

from xcnet.adapters.pyscf.blocks import atomic_grids, joined
from xcnet.adapters.pyscf.expressions import Plan, unsupported
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
    if plan.has_orbital_fields:
        raise unsupported(plan, "the nuclear gradient")
    points = [slice(0, 0)]
    parts = atomic_grids(grids)
    for coords, *_ in parts:
        points.append(slice(points[-1].stop, points[-1].stop + len(coords)))
    del points[0]
    grid = Grid(**joined(grids, parts))
    rho = _densities(ni, mol, grids, plan.kind, dms, [coords for coords, *_ in parts])
    values = evaluate(ni.libxc, plan, grid, rho, 1, ni.omega)
    motion = values.motion()
    potential = values.potential[:, : ROWS[plan.kind]]
    potential = potential if len(rho) == 2 else potential[0]
    answers = iter([(values.exc[part], potential[..., part]) for part in points])
    prepared = ni.copy()
    prepared.eval_xc_eff = lambda *args, **kwargs: next(answers)
    response, matrices = original(prepared, mol, grids, plan.xc, dms, *args, **kwargs)
    response += np.array([motion.points[:, part].sum(axis=1) for part in points])
    if motion.atoms is not None:
        response += motion.atoms
    if motion.weights is not None:
        for part, (_, _, by_atoms) in zip(points, grad_rks.grids_response_cc(grids), strict=True):
            response += np.einsum("g,axg->ax", motion.weights[part], by_atoms)
    return response, matrices


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
