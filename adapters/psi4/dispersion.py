"""D4 and D3(BJ) with the parameters of a functional's record: ``energy('my-functional-d4')``.

Psi4 adds what an object beside the wavefunction says of energy, gradient and Hessian of dispersion.
Its own runs programs that know neither our parameters nor, in version 1.3.2, D4; ours asks Grimme's
packages (`xcnet.dispersion`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
from psi4 import core
from psi4.driver.procrouting import proc
from psi4.driver.procrouting.empirical_dispersion import EmpiricalDispersion

from xcnet import dispersion
from xcnet.adapters._patch import Patches
from xcnet.adapters.psi4 import registration
from xcnet.dispersion import Correction
from xcnet.errors import UnsupportedError
from xcnet.systems.elements import SYMBOLS


def put(patches: Patches) -> None:
    """Have wavefunctions of names with a suffix bring their dispersion."""
    patches.put_everywhere("psi4", proc.scf_wavefunction_factory, _with_dispersion)


def _with_dispersion(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def factory(name: Any, *args: Any, **kwargs: Any) -> Any:
        correction = registration.correction(name)
        if correction is None:
            return original(name, *args, **kwargs)
        dispersion.require(correction.method)
        if core.has_option_changed("SCF", "DFT_DISPERSION_PARAMETERS"):
            raise UnsupportedError(
                f"{name} has the dispersion parameters of its record: unset "
                "dft_dispersion_parameters, or use the functional without the suffix",
                functional=name,
            )
        wavefunction = original(name, *args, **kwargs)
        wavefunction._disp_functor = Dispersion(name.upper(), correction)
        wavefunction._disp_functor.print_out()
        return wavefunction

    return factory


class Dispersion(EmpiricalDispersion):  # whose Hessian is by differences
    """What Psi4's procedures ask of a dispersion correction."""

    def __init__(self, name: str, correction: Correction) -> None:
        self.name, self.correction = name, correction

    def print_out(self) -> None:
        """Method and parameters, for the output file."""
        assert not isinstance(self.correction.parameters, str)
        title = dispersion.LABELS[self.correction.method]
        rows = [
            f"    {key:>6s} = {value:14.6f}" for key, value in self.correction.parameters.items()
        ]
        core.print_out("\n".join([f"   => {self.name}: {title} of the record <=", "", *rows, "\n"]))

    def compute_energy(self, molecule: Any, *_: Any) -> float:
        """Energy, Hartree."""
        energy, _gradient = self._compute(molecule)
        core.set_variable("DISPERSION CORRECTION ENERGY", energy)
        core.set_variable(f"{self.name} DISPERSION CORRECTION ENERGY", energy)
        return energy

    def compute_gradient(self, molecule: Any, *_: Any) -> Any:
        """Gradient (atoms, 3), Hartree/bohr."""
        return core.Matrix.from_array(self._compute(molecule)[1])

    def _compute(self, molecule: Any) -> tuple[float, Any]:
        """Energy and gradient; ghosts attract nobody."""
        atoms = [i for i in range(molecule.natom()) if molecule.Z(i) > 0.0]
        numbers = [SYMBOLS.index(molecule.symbol(i).capitalize()) for i in atoms]
        positions = np.array(molecule.geometry())
        energy, forces = self.correction.compute(
            numbers, positions[atoms], molecule.molecular_charge()
        )
        gradient = np.zeros_like(positions)
        gradient[atoms] = forces
        return energy, gradient
