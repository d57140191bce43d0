"""Gradients with the response of the grid, which Psi4 leaves out.

Points and weights of a grid move with the atoms. Psi4 neglects it: 4e-4 Hartree/bohr for M06-L in
water on its default grid, but 4e-3 for NN-metaGGA and 6e-3 for NN-GGA. Functionals of ours are
evaluated once more at the final density, on the same points, with that response (`NonlocalField`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from psi4 import core

from xcnet.adapters.psi4 import nonlocal_parts, registration
from xcnet.adapters.psi4.nonlocal_field import NonlocalField
from xcnet.adapters.psi4.nonlocal_parts import Parts
from xcnet.errors import UnsupportedError


def responding(gradient: Any) -> Callable[..., Any]:
    """``psi4.core.scfgrad`` with the response of the grid, for functionals that are wholly ours."""

    def guarded(wavefunction: Any, *args: Any, **kwargs: Any) -> Any:
        result = gradient(wavefunction, *args, **kwargs)
        parts = _parts(wavefunction.functional())
        if parts is None:
            return result
        try:
            field = NonlocalField(parts, wavefunction)
        except UnsupportedError as error:
            core.print_out(f"\n  Without the response of the grid: {error}\n")
            return result
        result.np[:] += field.gradient(wavefunction)
        result.np[:] -= wavefunction.V_potential().compute_gradient().np
        core.print_out("\n  With the response of the grid:\n")
        result.print_atom_vector()
        return result

    return guarded


def _parts(superfunctional: Any) -> Parts | None:
    """Terms of a functional of which Psi4 evaluates nothing itself but exact exchange."""
    if nonlocal_parts.parts_of(superfunctional) is not None:
        return None  # their gradient is complete
    if superfunctional.needs_vv10() or superfunctional.needs_grac():
        return None
    terms = []
    for part in (*superfunctional.x_functionals(), *superfunctional.c_functionals()):
        entries = registration.neural([part.name()])
        if not entries:
            return None
        terms.append((float(part.alpha()), entries[0]))
    return Parts(tuple(terms)) if terms else None
