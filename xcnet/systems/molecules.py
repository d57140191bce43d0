"""Molecules from an XYZ file, a name in ASE's G2/97 set, or a geometry written inline."""

from __future__ import annotations

import difflib
import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from xcnet import extras
from xcnet.errors import InputError, MissingPackageError, SpinError

CLOSEST = 0.1  # angstrom: nuclei nearer than this are a mistake in the input

# fmt: off
SYMBOLS = (
    "X", "H", "He", "Li", "Be", "B", "C", "N", "O", "F", "Ne", "Na", "Mg", "Al", "Si", "P", "S",
    "Cl", "Ar", "K", "Ca", "Sc", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Ga", "Ge",
    "As", "Se", "Br", "Kr", "Rb", "Sr", "Y", "Zr", "Nb", "Mo", "Tc", "Ru", "Rh", "Pd", "Ag", "Cd",
    "In", "Sn", "Sb", "Te", "I", "Xe", "Cs", "Ba", "La", "Ce", "Pr", "Nd", "Pm", "Sm", "Eu", "Gd",
    "Tb", "Dy", "Ho", "Er", "Tm", "Yb", "Lu", "Hf", "Ta", "W", "Re", "Os", "Ir", "Pt", "Au", "Hg",
    "Tl", "Pb", "Bi", "Po", "At", "Rn",
)
#: Unpaired electrons of the neutral atoms' ground states (NIST Atomic Spectra Database); elements
#: that are not listed have none.
UNPAIRED = {
    1: "H Li B F Na Al Cl K Sc Cu Ga Br Rb Y Ag In I Cs La Tm Lu Au Tl At",
    2: "C O Si S Ti Ni Ge Se Zr Sn Te Er Hf Pt Pb Po",
    3: "N P V Co As Rh Sb Pr Ho Ta Ir Bi",
    4: "Fe Ru Nd W Os Dy",
    5: "Mn Nb Tc Re Pm Tb",
    6: "Cr Mo Sm",
    7: "Eu",
    8: "Gd",
}
# fmt: on
GROUND_STATE_SPIN = {symbol: n for n, text in UNPAIRED.items() for symbol in text.split()}


@dataclass(frozen=True)
class Molecule:
    """A geometry in angstrom with its charge and its number of unpaired electrons."""

    name: str
    symbols: tuple[str, ...]
    positions: tuple[tuple[float, float, float], ...]
    charge: int = 0
    spin: int = 0
    experiment: float | None = None

    @property
    def electrons(self) -> int:
        """Number of electrons."""
        return sum(SYMBOLS.index(symbol) for symbol in self.symbols) - self.charge


def atom(symbol: str) -> Molecule:
    """Return the neutral atom in its ground state."""
    return Molecule(symbol, (symbol,), ((0.0, 0.0, 0.0),), 0, GROUND_STATE_SPIN.get(symbol, 0))


def read(source: str, charge: int = 0, spin: int | None = None) -> Molecule:
    """Molecule of a command-line argument.

    Parameters
    ----------
    source
        Path of an XYZ file (angstrom), a name of ASE's G2/97 set such as ``H2O``, or an inline
        geometry such as ``"O 0 0 0; H 0 0.76 0.59; H 0 -0.76 0.59"`` (angstrom).
    charge
        Total charge.
    spin
        Number of unpaired electrons. By default that of the G2 set or of the atom's ground state,
        otherwise the lowest possible.

    Raises
    ------
    InputError
        With file and line of what cannot be read.
    SpinError
        If the number of electrons does not allow the spin.
    """
    path = Path(source)
    if path.suffix.lower() == ".xyz" or ("/" in source and ";" not in source):
        molecule, known_spin = read_xyz(path), None
    elif ";" in source or len(source.split()) > 1:
        molecule, known_spin = _inline(source), None
    else:
        try:
            molecule, known_spin = _g2(source)
        except InputError:
            if not path.is_file():
                raise
            molecule, known_spin = read_xyz(path), None
    molecule = replace(molecule, charge=charge)
    if charge:
        molecule, known_spin = replace(molecule, experiment=None), None
    _check_distances(source, molecule)
    return replace(molecule, spin=_spin(molecule, known_spin if spin is None else spin))


def read_xyz(path: Path) -> Molecule:
    """Molecule of an XYZ file: number of atoms, comment, then symbol and x y z in angstrom.

    Numbers after the coordinates (forces, charges) are allowed and ignored.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise InputError(f"{path} cannot be read: {reason}", file=str(path)) from error
    count = _atom_count(path, lines)
    body = lines[2 : 2 + count]
    if len(body) < count:
        raise _junk(path, len(lines), f"the file ends after {len(body)} of {count} atoms")
    for number, line in enumerate(lines[2 + count :], 3 + count):
        if line.strip():
            raise _junk(path, number, f"{line.strip()!r} follows the {count} atoms of line 1")
    atoms = [_atom_line(line, f"{path}, line {i}") for i, line in enumerate(body, 3)]
    return _molecule(path.stem, atoms)


def _atom_count(path: Path, lines: list[str]) -> int:
    text = lines[0].strip() if lines else ""
    if not text.isdecimal() or int(text) == 0:
        raise _junk(path, 1, f"the number of atoms is expected here, not {text[:40]!r}")
    return int(text)


def _junk(path: Path, line: int, what: str) -> InputError:
    return InputError(f"{path}, line {line}: {what}", file=str(path), line=line)


def _atom_line(text: str, place: str) -> tuple[str, tuple[float, float, float]]:
    words = text.split()
    symbol = words[0].capitalize() if words else ""
    if symbol.isdecimal() and 0 < int(symbol) < len(SYMBOLS):
        symbol = SYMBOLS[int(symbol)]
    if symbol not in SYMBOLS[1:]:
        raise InputError(f"{place}: no element in {text.strip()!r}", given=text, place=place)
    try:
        numbers = [float(word) for word in words[1:]]
    except ValueError as error:
        raise InputError(f"{place}: {error} in {text.strip()!r}", place=place) from error
    if len(numbers) < 3 or not all(map(math.isfinite, numbers[:3])):
        raise InputError(
            f"{place}: an element and three finite coordinates are expected, not {text.strip()!r}",
            given=text,
            place=place,
        )
    return symbol, (numbers[0], numbers[1], numbers[2])


def _inline(source: str) -> Molecule:
    pieces = [piece for piece in source.split(";") if piece.strip()]
    atoms = [_atom_line(piece, f"inline geometry, atom {i}") for i, piece in enumerate(pieces, 1)]
    return _molecule(_formula(symbol for symbol, _ in atoms), atoms)


def _molecule(name: str, atoms: Iterable[tuple[str, tuple[float, float, float]]]) -> Molecule:
    symbols, positions = zip(*atoms, strict=True)
    return Molecule(name, symbols, positions)


def _formula(symbols: Iterable[str]) -> str:
    """Formula with the elements in the order they appear."""
    counts: dict[str, int] = {}
    for symbol in symbols:
        counts[symbol] = counts.get(symbol, 0) + 1
    return "".join(f"{symbol}{n if n > 1 else ''}" for symbol, n in counts.items())


def _g2(name: str) -> tuple[Molecule, int]:
    """Molecule of ASE's G2/97 set with its spin and experimental atomization energy."""
    try:
        from ase.data import g2
    except ImportError as error:
        raise MissingPackageError(
            f"{name!r} is not a file, and names of molecules need ASE: {extras.hint('pyscf')}",
            package="ase",
        ) from error
    names = {known.lower(): known for known in g2.data}
    key = names.get(name.lower())
    if key is None:
        raise _unknown_molecule(name, list(g2.data))
    data: Any = g2.data[key]
    symbols = _symbols(data["symbols"])
    positions = tuple((float(x), float(y), float(z)) for x, y, z in data["positions"])
    spin = round(sum(data["magmoms"] or [0]))
    experiment = _experiment(data, [g2.data.get(symbol) for symbol in symbols])
    return Molecule(key, symbols, positions, experiment=experiment), spin


def _experiment(molecule: Any, atoms: list[Any]) -> float | None:
    """Electronic atomization energy, kcal/mol, from G2/97's experimental enthalpies.

    Heats of formation at 298 K go to 0 K with thermal corrections, and the zero-point energy is
    added. Source: L. A. Curtiss et al., J. Chem. Phys. 106, 1063 (1997), doi:10.1063/1.473182.
    """
    if len(atoms) == 1 or any(atom is None for atom in atoms):
        return None
    whole = molecule["ZPE"] + molecule["thermal correction"] - molecule["enthalpy"]
    parts = sum(atom["enthalpy"] - atom["thermal correction"] for atom in atoms)
    return round(float(whole + parts), 2)


def _symbols(formula: str) -> tuple[str, ...]:
    from ase.symbols import string2symbols

    return tuple(string2symbols(formula))


def _unknown_molecule(name: str, known: list[str]) -> InputError:
    near = difflib.get_close_matches(name, known, 4, 0.5)
    hint = f" Near names in G2: {', '.join(near)}." if near else ""
    return InputError(
        f"{name!r} is neither a file nor a molecule of ASE's G2/97 set.{hint} Give an XYZ file, "
        "a G2 name, or an inline geometry such as 'H 0 0 0; H 0 0 0.74'.",
        given=name,
        near=near,
    )


def _check_distances(source: str, molecule: Molecule) -> None:
    pairs = itertools.combinations(enumerate(molecule.positions, 1), 2)
    for (i, a), (j, b) in pairs:
        if math.dist(a, b) < CLOSEST:
            raise InputError(
                f"{source}: atoms {i} and {j} are only {math.dist(a, b):.3f} angstrom apart",
                atoms=(i, j),
            )


def _spin(molecule: Molecule, spin: int | None) -> int:
    """Check the number of unpaired electrons against their number, or choose it."""
    electrons = molecule.electrons
    if electrons < 1:
        raise SpinError(
            f"{molecule.name} with charge {molecule.charge} has {electrons} electrons",
            given=molecule.charge,
        )
    if spin is None:
        if len(molecule.symbols) == 1 and molecule.charge == 0:
            return GROUND_STATE_SPIN.get(molecule.symbols[0], 0)
        return electrons % 2
    if not 0 <= spin <= electrons or (electrons - spin) % 2:
        lowest = electrons % 2
        raise SpinError(
            f"{molecule.name}: {spin} unpaired electrons are impossible with {electrons} electrons "
            f"(charge {molecule.charge}). Possible: {lowest}, {lowest + 2}, ...",
            given=spin,
            expected=f"{lowest}, {lowest + 2}, ...",
        )
    return spin
