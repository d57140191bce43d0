"""D3(BJ) dispersion energies from the package ``dftd3``."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np

from xcnet import extras
from xcnet.errors import MissingPackageError
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
