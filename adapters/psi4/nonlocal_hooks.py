"""Nonlocal functionals in Psi4's self-consistent field.

Psi4's iterations are Python: where they have the Fock matrix and the energy of all that Psi4
evaluates itself, the nonlocal part is added (`nonlocal_field`), and its gradient likewise.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from psi4 import core
from psi4.driver.procrouting.dft import dft_builder

from xcnet.adapters._patch import Maker, Patches
from xcnet.adapters.psi4 import nonlocal_parts
from xcnet.adapters.psi4.nonlocal_field import NonlocalField
from xcnet.errors import UnsupportedError

Function = Callable[..., Any]

_FIELD = "_xcnet_field"  # attribute of a wavefunction


def put(patches: Patches) -> None:
    """Let Psi4 ask for nonlocal functionals."""
    build = dft_builder.build_superfunctional_from_dictionary
    patches.put_everywhere("psi4", build, nonlocal_parts.building)
    for name, make in _METHODS.items():
        patches.put(core.HF, name, make)
    patches.put(core, "scfgrad", _gradient)


def field_of(wavefunction: Any) -> NonlocalField | None:
    """The nonlocal part of a Kohn-Sham wavefunction of Psi4; None if it has none.

    Made when first asked for, and kept with the wavefunction.
    """
    if not isinstance(wavefunction, core.HF):
        return None
    field: NonlocalField | None = getattr(wavefunction, _FIELD, None)
    if field is None:
        parts = nonlocal_parts.parts_of(wavefunction.functional())
        if parts is not None:
            field = NonlocalField(parts, wavefunction)
            setattr(wavefunction, _FIELD, field)
    return field


def _initialize(original: Function) -> Function:
    """``initialize``: the grid is made, and described in the output, before anything is run."""

    @wraps(original)
    def initialize(self: Any, *args: Any, **kwargs: Any) -> Any:
        field = field_of(self)
        if field is not None and self.get_print():
            core.print_out(field.describe())
        return original(self, *args, **kwargs)

    return initialize


def _fock(original: Function) -> Function:
    """``form_F`` and ``form_initial_F``: the potential matrices are added."""

    @wraps(original)
    def form(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        field = field_of(self)
        if field is not None:
            to_symmetry = self.aotoso().nph
            for fock, matrix in zip((self.Fa(), self.Fb()), field.matrices(self), strict=False):
                for block, orbitals in zip(fock.nph, to_symmetry, strict=True):
                    block += orbitals.T @ matrix @ orbitals
        return result

    return form


def _energy(original: Function) -> Function:
    """``compute_E``: the energy is added."""

    @wraps(original)
    def compute(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        field = field_of(self)
        if field is None:
            return result
        energy = field.energy(self)
        self.set_energies("XC", self.get_energies("XC") + energy)
        return result + energy

    return compute


def _finalize(original: Function) -> Function:
    """``finalize_energy``: what the iterations kept is let go."""

    @wraps(original)
    def finalize(self: Any, *args: Any, **kwargs: Any) -> Any:
        field = field_of(self)
        if field is not None:
            if not field.rows.size:
                raise UnsupportedError(
                    f"{self.functional().name()}: these iterations left out the nonlocal part; "
                    "let Psi4 iterate itself (set orbital_optimizer_package internal)",
                    functional=self.functional().name(),
                )
            field.release()
        return original(self, *args, **kwargs)

    return finalize


def _gradient(original: Function) -> Function:
    """``psi4.core.scfgrad``: the nonlocal gradient is added."""

    @wraps(original)
    def gradient(wavefunction: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(wavefunction, *args, **kwargs)
        field = field_of(wavefunction)
        if field is not None:
            result.np[:] += field.gradient(wavefunction)
            core.print_out("\n  With the nonlocal functional:\n")
            result.print_atom_vector()
        return result

    return gradient


_METHODS: dict[str, Maker] = {
    "initialize": _initialize,
    "form_F": _fock,
    "form_initial_F": _fock,
    "compute_E": _energy,
    "finalize_energy": _finalize,
}
