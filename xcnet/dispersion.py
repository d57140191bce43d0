"""Dispersion corrections D3(BJ) and D4: whose parameters, and their energies and gradients.

A functional with parameters in its record is used with these: ``NN-name-D4`` in every host. Those
of libxc have the parameters of Grimme's lists; a mixture with a neural functional has none. The
work is that of Grimme's packages ``dftd3`` and ``dftd4``. Sources: S. Grimme, S. Ehrlich,
L. Goerigk, J. Comput. Chem. 32, 1456 (2011), doi:10.1002/jcc.21759; E. Caldeweyher et al.,
J. Chem. Phys. 150, 154122 (2019), doi:10.1063/1.5090222.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from xcnet import registry
from xcnet.errors import MissingPackageError, UnsupportedError
from xcnet.spec import FunctionalSpec
from xcnet.systems.elements import SYMBOLS
from xcnet.systems.molecules import Molecule

BOHR = 0.529177210903  # angstrom, CODATA 2018
#: Methods by the names that records and suffixes have for them, with their titles and packages.
LABELS = {"D3BJ": "D3(BJ)", "D4": "D4"}
PACKAGES = {"D3BJ": "dftd3", "D4": "dftd4"}
NEEDED = frozenset({"s8", "a1", "a2"})
KNOWN = NEEDED | {"s6", "s9", "alp"}

_SUFFIX = re.compile(r"-(D[34]\w*?)(?:2B|ATM)?$", re.IGNORECASE)


def split(text: str) -> tuple[str, str]:
    """Name or expression without the suffix, and its method or nothing."""
    match = _SUFFIX.search(text)
    return (text[: match.start()], match[1].upper()) if match else (text, "")


def parameters(
    text: str, spec: FunctionalSpec | None, method: str, advice: str = ""
) -> dict[str, float]:
    """Damping parameters of a functional's record.

    Parameters
    ----------
    text
        The functional as the user wrote it, for errors.
    spec
        Of the one neural functional that it consists of; None for a mixture.
    method
        ``D3BJ`` or ``D4``.
    advice
        End of the error's text: what the host's user can do instead.

    Raises
    ------
    UnsupportedError
        For a mixture, and for a record that has no parameters of this method, or others.
    """
    record = spec.dispersion if spec is not None else None
    if record is None or record["method"] != method:
        lacking = "is a mixture" if spec is None else "has no such parameters in its record"
        raise UnsupportedError(
            f"{text} {lacking}: no {method} dispersion correction. {advice}".rstrip(),
            functional=text,
            expected=method,
        )
    values = dict(record["parameters"])
    if not set(values) >= NEEDED or not set(values) <= KNOWN:
        raise UnsupportedError(
            f"the record of {text} has the {method} parameters {sorted(values)}; {method} needs "
            f"{sorted(NEEDED)} and can use {sorted(KNOWN - NEEDED)}",
            functional=text,
            expected=sorted(NEEDED),
            given=sorted(values),
        )
    return values


@dataclass(frozen=True)
class Correction:
    """A method with its parameters, or with the name that Grimme's lists have them under."""

    method: str
    parameters: Mapping[str, float] | str

    def compute(
        self, numbers: Sequence[int], positions: Any, charge: int, gradient: bool = True
    ) -> tuple[float, Any]:
        """Energy (Hartree) and its gradient ``(N, 3)`` (Hartree/bohr), or None if not asked for.

        Parameters
        ----------
        numbers, positions
            Atomic numbers, and their places ``(N, 3)`` in bohr.
        charge
            Of the molecule; D3(BJ) does not depend on it.
        gradient
            Whether the gradient is wanted.
        """
        require(self.method)
        interface = importlib.import_module(f"{PACKAGES[self.method]}.interface")
        damping = _damping(self.method, self.parameters)
        of_charge = {"charge": float(charge)} if self.method == "D4" else {}
        model = interface.DispersionModel(
            np.asarray(numbers), np.asarray(positions, dtype=float), **of_charge
        )
        result = model.get_dispersion(damping, grad=gradient)
        return float(result["energy"]), result.get("gradient")

    def energy(self, molecule: Molecule) -> float:
        """Energy of a molecule in Hartree."""
        numbers = [SYMBOLS.index(symbol) for symbol in molecule.symbols]
        positions = np.array(molecule.positions) / BOHR
        return self.compute(numbers, positions, molecule.charge, gradient=False)[0]


def method(xc: str, default: str) -> str:
    """Method that the record of a functional has parameters of; the default if it has none."""
    spec = registry.record(xc)
    own = spec.dispersion if spec is not None else None
    return str(own["method"]) if own is not None else default


def of(xc: str, method: str) -> Correction | None:
    """Correction of a functional without a suffix; None if nobody has parameters for it.

    Raises
    ------
    UnsupportedError
        The functional's record has parameters that the method does not know.
    MissingPackageError
    """
    require(method)
    spec = registry.record(xc)
    if spec is not None:
        has = spec.dispersion is not None and spec.dispersion["method"] == method
        return Correction(method, parameters(xc, spec, method)) if has else None
    for name in dict.fromkeys((xc, re.sub(r"[-_]", "", xc))):
        try:
            _damping(method, name)
        except RuntimeError:  # the library knows no such functional
            continue
        return Correction(method, name)
    return None


def require(method: str) -> None:
    """Make sure that the package of a method is there before the first calculation."""
    package = PACKAGES[method]
    if find_spec(package) is None:
        raise MissingPackageError(
            f"{LABELS[method]} needs {package}: pip install {package}", package=package
        )


def _damping(method: str, values: Mapping[str, float] | str) -> Any:
    interface = importlib.import_module(f"{PACKAGES[method]}.interface")
    kind = interface.DampingParam if method == "D4" else interface.RationalDampingParam
    if isinstance(values, str):
        return kind(method=values)
    # Three-body terms belong to D4; they are no part of D3(BJ) unless the record says so.
    return kind(**({"s9": 1.0 if method == "D4" else 0.0} | dict(values)))
