"""Dispersion energies: D3(BJ) from the package ``dftd3``, D4 from ``dftd4``."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np

from xcnet import extras
from xcnet.errors import MissingPackageError
from xcnet.systems.elements import SYMBOLS
from xcnet.systems.molecules import Molecule

BOHR = 0.529177210903  # angstrom, CODATA 2018
LABELS = {"d3bj": "D3(BJ)", "d4": "D4"}
PACKAGES = {"d3bj": "dftd3", "d4": "dftd4"}


def require(kind: str) -> None:
    """Make sure that the package of a kind is there before the first calculation."""
    package = PACKAGES[kind]
    if find_spec(package) is None:
        raise MissingPackageError(
            f"{LABELS[kind]} needs {package}: {extras.hint('bench')}", package=package
        )


def energy(kind: str, molecule: Molecule, xc: str) -> float | None:
    """Energy of a kind in Hartree; None if there are no parameters for the functional."""
    return d3bj(molecule, xc) if kind == "d3bj" else d4(molecule, xc)


def d3bj(molecule: Molecule, xc: str) -> float | None:
    """Energy in Hartree; None if there are no parameters for the functional.

    Source: S. Grimme, S. Ehrlich, L. Goerigk, J. Comput. Chem. 32, 1456 (2011),
    doi:10.1002/jcc.21759.
    """
    from dftd3.interface import DispersionModel, RationalDampingParam

    try:
        damping = RationalDampingParam(method=xc)
    except RuntimeError:  # the library knows no such functional
        return None
    numbers = np.array([SYMBOLS.index(symbol) for symbol in molecule.symbols])
    model = DispersionModel(numbers, np.array(molecule.positions) / BOHR)
    return float(model.get_dispersion(damping, grad=False)["energy"])


def d4(molecule: Molecule, xc: str) -> float | None:
    """Energy in Hartree; None if there are no parameters for the functional.

    Source: E. Caldeweyher et al., J. Chem. Phys. 150, 154122 (2019), doi:10.1063/1.5090222.
    """
    from dftd4.interface import DampingParam, DispersionModel

    try:
        damping = DampingParam(method=xc)
    except RuntimeError:  # the library knows no such functional
        return None
    numbers = np.array([SYMBOLS.index(symbol) for symbol in molecule.symbols])
    model = DispersionModel(numbers, np.array(molecule.positions) / BOHR, charge=molecule.charge)
    return float(model.get_dispersion(damping, grad=False)["energy"])
