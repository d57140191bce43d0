"""PySCF's molecule of a system: the one place where symbols, positions and a basis become it."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Mapping
from typing import Any

from xcnet import extras
from xcnet.errors import InputError, MissingPackageError
from xcnet.systems.elements import SYMBOLS
from xcnet.systems.molecules import Molecule

LIGHTEST_WITH_ECP = 37  # def2 bases have effective core potentials from Rb on


def build(molecule: Molecule, basis: str | Mapping[str, str]) -> Any:
    """PySCF's molecule, in one basis set or in one for each element (``default`` for the others).

    Raises
    ------
    InputError
        For a basis set that is unknown, or lacks an element.
    MissingPackageError
        Without PySCF.
    """
    try:
        from pyscf import gto
        from pyscf.lib.exceptions import BasisNotFoundError
    except ImportError as error:
        raise MissingPackageError(
            f"molecules need PySCF: {extras.hint('pyscf')}", package="pyscf"
        ) from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice to install more basis sets
        try:
            return gto.M(
                atom=list(zip(molecule.symbols, molecule.positions, strict=True)),
                basis=basis if isinstance(basis, str) else dict(basis),
                ecp=_ecp(molecule, basis),
                charge=molecule.charge,
                spin=molecule.spin,
                verbose=0,
            )
        except (BasisNotFoundError, KeyError) as error:
            if not isinstance(basis, str):
                raise InputError(f"basis sets {dict(basis)}: {error}", given=basis) from error
            raise _basis_error(molecule, basis) from error


def _basis_error(molecule: Molecule, basis: str) -> InputError:
    """Tell a basis set that lacks elements from one that there is not."""
    from pyscf import gto

    def has(symbol: str) -> bool:
        try:
            return bool(gto.basis.load(basis, symbol))
        except (KeyError, RuntimeError):  # PySCF's own error is one of them, by its version
            return False

    lacking = [symbol for symbol in dict.fromkeys(molecule.symbols) if not has(symbol)]
    if any(map(has, ("H", "C", *molecule.symbols))):
        return InputError(
            f"basis set {basis!r} lacks {', '.join(lacking)}, of {molecule.name}", given=basis
        )
    near = difflib.get_close_matches(_folded(basis), gto.basis.ALIAS, 4, 0.6)
    hint = f". Near names: {', '.join(near)}" if near else ""
    return InputError(f"basis set {basis!r} is unknown to PySCF{hint}", given=basis)


def _ecp(molecule: Molecule, basis: str | Mapping[str, str]) -> dict[str, str]:
    if not isinstance(basis, str) or not basis.lower().startswith("def2"):
        return {}
    heavy = {s for s in molecule.symbols if SYMBOLS.index(s) >= LIGHTEST_WITH_ECP}
    return dict.fromkeys(heavy, basis)


def _folded(basis: str) -> str:
    return basis.lower().replace("-", "").replace("_", "").replace(" ", "")
