"""Small molecules and one way to run Psi4 on them, for the tests of this folder."""

from __future__ import annotations

from typing import Any

import numpy as np
import psi4

#: Bohr, so that no program converts it.
WATER = "O 0 0 0.2254; H 0 1.4423 -0.9015; H 0 -1.4423 -0.9015"
BENT = "O 0 0 0; H 0 0.1 1.9; H 1.8 0 -0.6"
HYDROGEN = "H 0 0 0; H 0 0.1 1.4"

#: A coarse grid: what is compared is computed on the same one.
COARSE = {"dft_radial_points": 30, "dft_spherical_points": 110}
#: Energies converge to much better than 1e-9 Eh with these.
TIGHT = {"e_convergence": 1e-9, "d_convergence": 1e-8}


def molecule(atoms: str, charge: int = 0, multiplicity: int = 1, extra: str = "") -> Any:
    """Molecule of ``symbol x y z; ...`` in bohr."""
    lines = "\n".join(atoms.split(";"))
    return psi4.geometry(f"{charge} {multiplicity}\n{lines}\nunits bohr\n{extra}")


def water(extra: str = "") -> Any:
    """Closed shell, C2v."""
    return molecule(WATER, extra=extra)


def radical() -> Any:
    """Open shell, H2O+, without symmetry."""
    return molecule(BENT, charge=1, multiplicity=2)


def run(
    function: Any, name: Any, mol: Any, *, threads: int = 1, options: Any = None, **kwargs: Any
) -> Any:
    """Call a function of Psi4's driver with all options at their defaults but those given.

    A dictionary as a name is a functional's definition.
    """
    psi4.core.clean()
    psi4.core.clean_options()
    psi4.core.clean_variables()
    psi4.set_num_threads(threads, quiet=True)
    settings = {"basis": "6-31g", "print": 0, **COARSE, **TIGHT, **(options or {})}
    if mol.multiplicity() > 1:
        settings["reference"] = "uks"
    psi4.set_options(settings)
    if isinstance(name, dict):
        name, kwargs = "scf", {"dft_functional": name, **kwargs}
    return function(name, molecule=mol, **kwargs)


def energy(name: Any, mol: Any, **kwargs: Any) -> float:
    """Total energy, Hartree."""
    return float(run(psi4.energy, name, mol, **kwargs))


def gradient(name: Any, mol: Any, **kwargs: Any) -> Any:
    """Nuclear gradient (atoms, 3), Hartree/bohr."""
    return np.array(run(psi4.gradient, name, mol, **kwargs))
