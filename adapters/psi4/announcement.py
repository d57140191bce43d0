"""What Psi4's output says of a functional once a calculation is done."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from psi4 import core

from xcnet import domain
from xcnet.adapters._patch import Patches
from xcnet.adapters.psi4 import nonlocal_parts, registration
from xcnet.registry import Entry


def put(patches: Patches) -> None:
    """Have each self-consistent field end with a word on what a functional was not trained for."""
    patches.put(core.HF, "finalize_energy", _with_domain)


def _with_domain(original: Any) -> Callable[..., Any]:
    @wraps(original)
    def finalize(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        for sentence in _sentences(self):
            core.print_out(f"\n  Warning: {sentence}.\n")
        return result

    return finalize


def _sentences(wavefunction: Any) -> list[str]:
    """Each functional with elements that its training data lack; ghosts have no element."""
    molecule = wavefunction.molecule()
    atoms = [i for i in range(molecule.natom()) if molecule.Z(i) > 0.0]
    symbols = [molecule.symbol(i).capitalize() for i in atoms]
    sentences = []
    for entry in _entries(wavefunction.functional()):
        elements = domain.unknown_elements(entry.spec, symbols) if entry.spec else ()
        if elements:
            sentences.append(f"{entry.called} was not trained for this{domain.lacking(elements)}")
    return sentences


def _entries(superfunctional: Any) -> list[Entry]:
    parts = nonlocal_parts.parts_of(superfunctional)
    local = [*superfunctional.x_functionals(), *superfunctional.c_functionals()]
    entries = registration.neural([part.name() for part in local])
    return entries + ([entry for _, entry in parts.terms] if parts is not None else [])
