"""Dispersion energies: D3(BJ) from the package ``dftd3``, D4 from ``dftd4``."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np

from xcnet import extras
from xcnet.errors import InputError, MissingPackageError
from xcnet.systems.elements import SYMBOLS
from xcnet.systems.molecules import Molecule

BOHR = 0.529177210903  # angstrom, CODATA 2018


def require() -> None:
    """Make sure that the package is there before the first calculation."""
    if find_spec("dftd3") is None:
        raise MissingPackageError(f"D3(BJ) needs dftd3: {extras.hint('bench')}", package="dftd3")


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


def d4(molecule: Molecule, parameters: str) -> float:
    """Energy in Hartree with the parameters of a functional that the package knows.

    Source: E. Caldeweyher et al., J. Chem. Phys. 150, 154122 (2019), doi:10.1063/1.5090222.

    Raises
    ------
    InputError
        The package has no parameters for the functional.
    MissingPackageError
    """
    try:
        from dftd4.interface import DampingParam, DispersionModel
    except ImportError as error:
        raise MissingPackageError(
            f"D4 needs dftd4: {extras.hint('bench')}", package="dftd4"
        ) from error
    try:
        damping = DampingParam(method=parameters)
    except RuntimeError as error:
        raise InputError(f"D4 has no parameters for {parameters}", given=parameters) from error
    numbers = np.array([SYMBOLS.index(symbol) for symbol in molecule.symbols])
    positions = np.array(molecule.positions) / BOHR
    model = DispersionModel(numbers, positions, charge=molecule.charge)
    return float(model.get_dispersion(damping, grad=False)["energy"])
