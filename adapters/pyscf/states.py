"""Whether calculations at neighbouring geometries found the same electronic state.

Self-consistency can end in a false state where a functional is noisy on a coarse grid. A geometry
optimization would go on from there; the gradients of both geometries tell it from a step.
"""

from __future__ import annotations

import warnings
from functools import wraps
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from xcnet.adapters.pyscf.makers import Function, plan_of_object

#: What the system is, its coordinates, energy and gradient.
State = tuple[Any, Any, float, Any]

JUMP = 1e-3  # Hartree
ANHARMONIC = 1.0  # Hartree/bohr^3: more than what third derivatives of bonds give

#: Of the last geometry of each scanner, whose molecule an optimizer changes in place.
_last: WeakKeyDictionary[Any, State] = WeakKeyDictionary()


def checked(original: Function) -> Function:
    """Warn where the energies of a gradient scanner do not follow its gradients."""

    @wraps(original)
    def call(scanner: Any, mol_or_geom: Any, **kwargs: Any) -> tuple[float, Any]:
        before = _last.pop(scanner, None)
        energy, gradient = original(scanner, mol_or_geom, **kwargs)
        after = _state(scanner)
        if after is not None:
            _last[scanner] = after
            if before is not None and before[0] == after[0]:
                _compare(scanner.base.xc, before[1:], after[1:])
        return energy, gradient

    return call


def _state(scanner: Any) -> State | None:
    """State of a scanner; None where it is not one of a neural functional, all of it."""
    mf, mol = scanner.base, scanner.mol
    if plan_of_object(mf) is None or np.shape(scanner.de) != (mol.natm, 3) or not mf.converged:
        return None
    system = mol.elements, mol.nelec, mol.nao, mf.xc
    return system, mol.atom_coords(), mf.e_tot, np.array(scanner.de)


def _compare(xc: str, before: tuple[Any, float, Any], after: tuple[Any, float, Any]) -> None:
    step = after[0] - before[0]
    expected = 0.5 * np.sum((before[2] + after[2]) * step)
    change = after[1] - before[1]
    if not abs(change - expected) < JUMP + ANHARMONIC * np.linalg.norm(step) ** 3:
        warnings.warn(
            f"{xc}: between two geometries the energy changed by {change:.4f} Hartree, and the "
            f"gradients of both give {expected:.4f}: one of them is another electronic state. "
            "Start again from xcnet.adapters.pyscf.converge(mf), or on a finer grid "
            "(mf.grids.level).",
            UserWarning,
            stacklevel=3,
        )
