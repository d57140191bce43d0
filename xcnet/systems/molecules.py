"""Molecules from a file, a name in ASE's G2/97 set, or a geometry written inline."""

from __future__ import annotations

import difflib
import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from xcnet import extras
from xcnet.errors import InputError, MissingPackageError, SpinError
from xcnet.systems import files
from xcnet.systems.elements import GROUND_STATE_SPIN, SYMBOLS

CLOSEST = 0.1  # angstrom: nuclei nearer than this are a mistake in the input


@dataclass(frozen=True)
class Molecule:
    """A geometry in angstrom with its charge and its number of unpaired electrons.

    ``field``: homogeneous electric field in atomic units, in which a dipole moment mu has the
    energy -field . mu.
    """

    name: str
    symbols: tuple[str, ...]
    positions: tuple[tuple[float, float, float], ...]
    charge: int = 0
    spin: int = 0
    experiment: float | None = None
    field: tuple[float, float, float] | None = None

    @property
    def electrons(self) -> int:
        """Number of electrons."""
        return sum(SYMBOLS.index(symbol) for symbol in self.symbols) - self.charge


def atom(symbol: str) -> Molecule:
    """Return the neutral atom in its ground state."""
    return Molecule(symbol, (symbol,), ((0.0, 0.0, 0.0),), 0, GROUND_STATE_SPIN.get(symbol, 0))


def read(
    source: str,
    charge: int | None = None,
    spin: int | None = None,
    frame: int | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> Molecule:
    """Molecule of a command-line argument.

    Parameters
    ----------
    source
        Path of a file (`xcnet.systems.files`), a name of ASE's G2/97 set such as ``H2O`` or
        ``benzene``, or an inline geometry such as ``"O 0 0 0; H 0 0.76 0.59; H 0 -0.76 0.59"``
        (angstrom).
    charge
        Total charge; by default that of the file, or none.
    spin
        Number of unpaired electrons. By default that of the file, of the G2 set or of the atom's
        ground state, otherwise the lowest possible.
    frame
        Which geometry of a file that holds several, from 1, or from -1 for the last.
    note
        Called with what a user should know about the file.

    Raises
    ------
    InputError
        With file and line of what cannot be read.
    SpinError
        If the number of electrons does not allow the spin.
    """
    if _is_path(source):
        return _of_file(Path(source), charge, spin, frame, note)
    known_spin = None
    if ";" in source or len(source.split()) > 1:
        molecule = _inline(source)
    else:
        try:
            molecule, known_spin = _g2(source)
        except InputError:
            if not Path(source).is_file():
                raise
            return _of_file(Path(source), charge, spin, frame, note)
    if charge:
        molecule, known_spin = replace(molecule, charge=charge, experiment=None), None
    return complete(molecule, source, known_spin if spin is None else spin)


def of_record(record: Mapping[str, Any]) -> Molecule:
    """Molecule of a record in a set's data file."""
    return Molecule(
        name=record["name"],
        symbols=tuple(record["symbols"]),
        positions=tuple((float(x), float(y), float(z)) for x, y, z in record["positions_angstrom"]),
        charge=record["charge"],
        spin=record["multiplicity"] - 1,
    )


def _is_path(source: str) -> bool:
    if ";" in source:
        return False
    path = Path(source)
    named = bool(path.suffix) and len(source.split()) == 1
    return "/" in source or named or (path.is_file() and len(source.split()) > 1)


def _of_file(
    path: Path,
    charge: int | None,
    spin: int | None,
    frame: int | None,
    note: Callable[[str], None],
) -> Molecule:
    geometry = files.read(path, frame)
    if geometry.periodic:
        note(f"{path} holds a periodic cell: its {len(geometry.symbols)} atoms are computed alone")
    if charge is None:
        charge = geometry.charge or 0
    molecule = Molecule(path.stem, geometry.symbols, geometry.positions, charge)
    if spin is None and charge == (geometry.charge or 0):
        spin = geometry.unpaired(molecule.electrons)
    return complete(molecule, str(path), spin)


def complete(molecule: Molecule, source: str, spin: int | None) -> Molecule:
    """Check the distances of a molecule and give it its unpaired electrons.

    Raises
    ------
    InputError, SpinError
        Naming the source; for atoms on one another, and for a spin that the electrons forbid.
    """
    _check_distances(source, molecule)
    return replace(molecule, spin=_spin(molecule, spin))


def _inline(source: str) -> Molecule:
    pieces = [piece for piece in source.split(";") if piece.strip()]
    atoms = [
        files.atom_of(piece, f"inline geometry, atom {i}") for i, piece in enumerate(pieces, 1)
    ]
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
    names = _common_names(g2.data) | {known.lower(): known for known in g2.data}
    key = names.get(name.lower())
    if key is None:
        raise _unknown_molecule(name, names)
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


def _common_names(data: Any) -> dict[str, str]:
    """Keys of the set by names such as ``benzene``, from its descriptions: Benzene (C6H6), ..."""
    names = ((entry["description"].split(" (")[0], key) for key, entry in data.items())
    keys: dict[str, str] = {}
    for name, key in names:
        if name.replace(" ", "").isalpha():
            keys.setdefault(name.lower().replace(" ", "-"), key)
    return keys


def _unknown_molecule(name: str, names: Mapping[str, str]) -> InputError:
    words = difflib.get_close_matches(name.lower(), names, 4, 0.5)
    near = [
        names[word] if names[word].lower() == word else f"{word} ({names[word]})" for word in words
    ]
    hint = f" Near names in G2: {', '.join(near)}." if near else ""
    return InputError(
        f"{name!r} is neither a file nor a molecule of ASE's G2/97 set.{hint} Give a file of any "
        "format that ASE reads, a G2 name, or an inline geometry such as 'H 0 0 0; H 0 0 0.74'.",
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
