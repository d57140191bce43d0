"""Reactions in the format of the repository JiashuLiang/GSCDB (CC BY 4.0).

J. Liang, M. Head-Gordon, arXiv:2508.13468 (2025).

The first sheet of its table has a row for each reaction: name, set, energy in Hartree, and
coefficients with names of systems. Each system has an xyz file, whose second line holds its charge,
its multiplicity and maybe a field of Q-Chem: in atomic units, the energy of a dipole moment mu is
+field . mu.
"""

from __future__ import annotations

import ast
import io
import re
import zipfile
from collections.abc import Callable, Iterator
from typing import Any
from xml.etree import ElementTree

from xcnet.errors import InputError
from xcnet.systems.elements import SYMBOLS

REPOSITORY = "JiashuLiang/GSCDB"
TABLE = "Info/DatasetEval.xlsx"
DIGITS = 6  # of positions in angstrom and of energies in kcal/mol
KCAL_PER_HARTREE = 627.509474  # digits that the hashes of the sets belong to
MAX_BYTES = 4_000_000  # the table, unpacked
_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def convert(name: str, heaviest: int, read: Callable[[str], bytes]) -> dict[str, Any]:
    """Systems and reactions of a set whose systems have at most ``heaviest`` heavy atoms.

    ``read`` returns the repository's file of a path.

    Raises
    ------
    InputError
        A file is not in the format, or there is no such set.
    """
    systems: dict[str, dict[str, Any]] = {}
    reactions = []
    for row in _rows(read(TABLE)):
        if row.get("B") != name:
            continue
        reaction = _reaction(row)
        for species in reaction["species"]:
            if species not in systems:
                path = f"xyz_files/{species}.xyz"
                systems[species] = {"name": species, **_system(read(path), path)}
        if all(_heavy(systems[species]) <= heaviest for species in reaction["species"]):
            reactions.append(reaction)
    if not reactions:
        raise InputError(f"{TABLE} has no reactions of {name}", file=TABLE, given=name)
    used = dict.fromkeys(species for kept in reactions for species in kept["species"])
    return {"molecules": [systems[species] for species in used], "reactions": reactions}


def _heavy(system: dict[str, Any]) -> int:
    return sum(symbol != "H" for symbol in system["symbols"])


def _reaction(row: dict[str, str]) -> dict[str, Any]:
    try:
        words = row["D"].split(",")
        coefficients = [int(word) for word in words[::2]]
        energy = float(row["C"]) * KCAL_PER_HARTREE
        if not coefficients or len(words) != 2 * len(coefficients):
            raise ValueError("a coefficient for each system is expected")
    except (KeyError, ValueError) as error:
        raise InputError(f"{TABLE} is not such a table: {error} in {row}", file=TABLE) from error
    return {
        "id": row["A"],
        "species": words[1::2],
        "coefficients": coefficients,
        "reference_kcal_per_mol": round(energy, DIGITS),
    }


def _rows(data: bytes) -> Iterator[dict[str, str]]:
    """Rows of the first sheet by the columns' letters."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as book:
            strings, sheet = (
                _xml(book, f"xl/{part}.xml") for part in ("sharedStrings", "worksheets/sheet1")
            )
    except (KeyError, zipfile.BadZipFile, ElementTree.ParseError) as error:
        raise InputError(f"{TABLE} is not such a table: {error}", file=TABLE) from error
    texts = ["".join(part.text or "" for part in string.iter(f"{_MAIN}t")) for string in strings]
    for row in sheet.iter(f"{_MAIN}row"):
        cells = {}
        for cell in row.iter(f"{_MAIN}c"):
            value = cell.findtext(f"{_MAIN}v")
            if value is not None:
                column = re.sub(r"\d", "", cell.get("r", ""))
                cells[column] = texts[int(value)] if cell.get("t") == "s" else value
        yield cells


def _xml(book: zipfile.ZipFile, part: str) -> ElementTree.Element:
    """One part of the table; its hash is known only after conversion, so its size is looked at."""
    if book.getinfo(part).file_size > MAX_BYTES:
        raise InputError(f"{TABLE}: {part} is larger than {MAX_BYTES} bytes", file=TABLE)
    data = book.read(part)
    if b"<!DOCTYPE" in data:
        raise InputError(f"{TABLE}: {part} has a document type, which may hide much", file=TABLE)
    return ElementTree.fromstring(data)


def _system(data: bytes, path: str) -> dict[str, Any]:
    """Charge, multiplicity, field, elements and positions of an xyz file."""
    try:
        lines = data.decode("ascii").splitlines()
        count = int(lines[0])
        rows = [line.split() for line in lines[2 : 2 + count]]
        positions = [[round(float(word), DIGITS) for word in row[1:4]] for row in rows]
        if len(rows) != count or any(len(position) != 3 for position in positions):
            raise ValueError(f"{count} atoms with three coordinates are expected")
        symbols = [row[0].capitalize() for row in rows]
        if not set(symbols) <= set(SYMBOLS[1:]):
            raise ValueError("unknown element")
        charge, multiplicity = (_integer(lines[1], word) for word in ("charge", "multiplicity"))
        field = re.search(r"multipole_field=(\{[^}]*\})", lines[1])
        vector = qchem_field(field[1]) if field else None
    except (ValueError, IndexError, SyntaxError) as error:
        raise InputError(f"{path} is not such an xyz file: {error}", file=path) from error
    return {
        "charge": charge,
        "multiplicity": multiplicity,
        "symbols": symbols,
        "positions_angstrom": positions,
        "multipole_field": vector,
    }


def _integer(line: str, word: str) -> int:
    match = re.search(rf"\b{word}=(-?\d+)", line)
    if not match:
        raise ValueError(f"no {word} in {line!r}")
    return int(match[1])


def qchem_field(text: str) -> list[float] | None:
    """Components of a field such as ``{'Z': 0.0001}``; None without one.

    Raises
    ------
    ValueError, SyntaxError
        The text is no such field.
    """
    components = {str(axis).upper(): float(value) for axis, value in ast.literal_eval(text).items()}
    if not set(components) <= set("XYZ"):
        raise ValueError(f"{text} is not a dipole field")
    return [components.get(axis, 0.0) for axis in "XYZ"] if any(components.values()) else None
