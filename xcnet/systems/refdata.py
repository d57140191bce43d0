"""Reference energies and geometries in the format of the repository aoterodelaroza/refdata.

A din file has reactions: pairs of lines, a coefficient and the name of a system, then a line 0 and
the energy. Each system has an xyz file, whose second line holds its charge and multiplicity. Lines
that start with # are comments.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from xcnet import download
from xcnet.errors import InputError
from xcnet.systems.elements import SYMBOLS

REPOSITORY = "aoterodelaroza/refdata"
BASE_URL = "https://raw.githubusercontent.com"
MAX_BYTES = 200_000  # the largest file of a set is a tenth of this


@dataclass(frozen=True)
class Source:
    """Where a set of atomization energies (kcal/mol) lies in the repository.

    ``systems`` is what comes before the name of a system in the path of its xyz file.
    """

    commit: str
    din: str
    systems: str


def fetch(source: Source, names: Iterable[str], base_url: str = BASE_URL) -> list[dict[str, Any]]:
    """Download and convert the named systems; nothing of them is trusted until its hash is known.

    Raises
    ------
    InstallError
        A file cannot be had.
    InputError
        A file is not in the format.
    """
    root = f"{base_url}/{REPOSITORY}/{source.commit}"
    return convert(source, names, lambda path: download.get(f"{root}/{quote(path)}", MAX_BYTES))


def convert(
    source: Source, names: Iterable[str], read: Callable[[str], bytes]
) -> list[dict[str, Any]]:
    """Records of the named systems; ``read`` returns the repository's file of a path.

    Raises
    ------
    InputError
        A file is not in the format, or the set has no such system.
    """
    energies = dict(_atomization_energies(_text(read, source.din), source))
    records = []
    for name in names:
        if name not in energies:
            raise InputError(f"{source.din} has no atomization energy of {name}", given=name)
        path = f"{source.systems}{name}.xyz"
        energy, atoms = energies[name]
        system = _system(_text(read, path), path)
        if Counter(symbol.lower() for symbol in system["symbols"]) != atoms:
            raise InputError(f"{source.din} and {path} differ in the atoms of {name}", given=name)
        records.append({"name": name, "tae_kcal_per_mol": energy, **system})
    return records


def _text(read: Callable[[str], bytes], path: str) -> list[str]:
    try:
        return read(path).decode("ascii").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not plain text: {error}", file=path) from error


def _atomization_energies(
    lines: list[str], source: Source
) -> Iterator[tuple[str, tuple[float, Counter[str]]]]:
    """Name, energy and atoms of each reaction -1 molecule + n atoms."""
    prefix = source.systems.rpartition("/")[2]
    words = iter([line.strip() for line in lines if line.strip() and line.strip()[0] != "#"])
    terms: list[tuple[int, str]] = []
    try:
        for word in words:
            if int(word) != 0:
                terms.append((int(word), next(words).removeprefix(prefix)))
                continue
            energy = float(next(words))
            (molecule,) = (name for coefficient, name in terms if coefficient == -1)
            yield molecule, (energy, Counter({a: n for n, a in terms if a != molecule}))
            terms = []
    except (ValueError, StopIteration) as error:
        raise InputError(
            f"{source.din}: a coefficient, a system, 0 or an energy is missing after {terms}",
            file=source.din,
        ) from error


def _system(lines: list[str], path: str) -> dict[str, Any]:
    """Charge, multiplicity, elements and positions of an xyz file."""
    try:
        count = int(lines[0])
        charge, multiplicity = (int(word) for word in lines[1].split())
        rows = [line.split() for line in lines[2 : 2 + count]]
        symbols = [row[0] for row in rows]
        positions = [[float(word) for word in row[1:4]] for row in rows]
        if len(rows) != count or any(len(position) != 3 for position in positions):
            raise ValueError(f"{count} atoms with three coordinates are expected")
        if not set(symbols) <= set(SYMBOLS[1:]):
            raise ValueError("unknown element")
    except (ValueError, IndexError) as error:
        raise InputError(f"{path} is not such an xyz file: {error}", file=path) from error
    return {
        "charge": charge,
        "multiplicity": multiplicity,
        "symbols": symbols,
        "positions_angstrom": positions,
    }
