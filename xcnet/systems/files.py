"""Geometries from files as people have them: XYZ read here, with the line of every mistake.

Extended XYZ whose columns are not symbol and coordinates, and all other formats, are read by ASE.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xcnet import extras
from xcnet.errors import InputError, MissingPackageError
from xcnet.systems.elements import symbol_of

Position = tuple[float, float, float]

#: ``key=value`` of a comment, as extended XYZ and many programs write it.
_PAIR = re.compile(r"""([A-Za-z_0-9]+)\s*=\s*("[^"]*"|'[^']*'|\S+)""")
_MULTIPLICITY = ("multiplicity", "mult", "spin_multiplicity")
_COLUMNS = "species:S:1:pos:R:3"


@dataclass(frozen=True)
class Geometry:
    """Atoms (angstrom) of a file, and what it says of their electrons; None where it does not.

    ``spin`` is what a file calls so: the number of unpaired electrons, or one more.
    """

    symbols: tuple[str, ...]
    positions: tuple[Position, ...]
    charge: int | None = None
    spin: int | None = None
    multiplicity: int | None = None
    periodic: bool = False

    def unpaired(self, electrons: int) -> int | None:
        """Number of unpaired electrons, whose parity is that of the electrons."""
        if self.multiplicity is not None:
            return self.multiplicity - 1
        if self.spin is not None and (electrons - self.spin) % 2 and self.spin > 0:
            return self.spin - 1
        return self.spin


def read(path: Path, frame: int | None = None) -> Geometry:
    """Geometry of a file.

    Parameters
    ----------
    path : Path
        ``.xyz`` and ``.extxyz`` or no suffix: XYZ in angstrom. Others: any format of ASE.
    frame : int, optional
        Which of several geometries, from 1, or from -1 for the last.

    Raises
    ------
    InputError
        With the line of what cannot be read; several geometries and no frame.
    MissingPackageError
        Another format than XYZ, without ASE.
    """
    if path.suffix.lower() not in (".xyz", ".extxyz", ""):
        return _pick(path, _read_by_ase(path), frame)
    # Not splitlines(), for which some letters of old comments end a line.
    lines = _text(path).removesuffix("\n").split("\n")
    starts = list(_frames(path, lines))
    start, count = _pick(path, starts, frame)
    words = _pairs(lines[start + 1])
    if not words.get("properties", _COLUMNS).startswith(_COLUMNS):
        index = starts.index((start, count))
        return _read_by_ase(path, "extxyz")[index]
    body = enumerate(lines[start + 2 : start + 2 + count], start + 3)
    atoms = [atom_of(line, f"{path}, line {number}") for number, line in body]
    symbols, positions = zip(*atoms, strict=True)
    return Geometry(symbols, positions, **_facts(path, start + 2, words))


def atom_of(text: str, place: str) -> tuple[str, Position]:
    """Symbol and coordinates of ``symbol x y z ...``; what follows is ignored.

    Raises
    ------
    InputError
        With the place.
    """
    words = text.split()
    symbol = symbol_of(words[0]) if words else None
    if symbol is None:
        raise InputError(f"{place}: no element in {text.strip()!r}", given=text, place=place)
    try:
        x, y, z = (_number(word) for word in words[1:4])
    except ValueError:
        x = y = z = math.nan
    if not all(map(math.isfinite, (x, y, z))):
        raise InputError(
            f"{place}: an element and three finite coordinates are expected, not {text.strip()!r}",
            given=text,
            place=place,
        )
    return symbol, (x, y, z)


def _number(word: str) -> float:
    """Read a number, also with Fortran's exponents (1.0D-01)."""
    return float(re.sub("[dD]", "e", word))


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", file=str(path)) from error


def _text(path: Path) -> str:
    data = _bytes(path)
    if b"\0" in data:
        raise InputError(f"{path} cannot be read: it is not text", file=str(path))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")  # comments of old programs
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _frames(path: Path, lines: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Index of the first line and number of atoms of each geometry."""
    at, last = 0, None
    while at < len(lines):
        text = lines[at].strip()
        if not text:
            at += 1
            continue
        if not text.isdecimal() or int(text) == 0:
            if last is None:
                raise _junk(path, at + 1, f"the number of atoms is expected, not {text[:40]!r}")
            raise _junk(path, at + 1, f"{text!r} follows the {last[1]} atoms of line {last[0] + 1}")
        last = at, int(text)
        at += 2 + last[1]
        if at > len(lines):
            have = max(len(lines) - last[0] - 2, 0)
            raise _junk(path, len(lines), f"the file ends after {have} of {last[1]} atoms")
        yield last
    if last is None:
        raise _junk(path, 1, "the number of atoms is expected, and the file is empty")


def _junk(path: Path, line: int, what: str) -> InputError:
    return InputError(f"{path}, line {line}: {what}", file=str(path), line=line)


def _pick(path: Path, frames: Sequence[Any], frame: int | None) -> Any:
    count = len(frames)
    if frame is None and count > 1:
        raise InputError(
            f"{path} holds {count} geometries: choose one with --frame, 1 to {count}, or -1 for "
            "the last",
            file=str(path),
        )
    frame = 1 if frame is None else frame
    if not 0 < abs(frame) <= count:
        raise InputError(f"{path} has no geometry {frame}: it holds {count}", file=str(path))
    return frames[frame - 1 if frame > 0 else frame]


def _pairs(comment: str) -> dict[str, str]:
    """Words ``key=value`` of a comment, keys in lower case."""
    return {key.lower(): value.strip("\"'") for key, value in _PAIR.findall(comment)}


def _facts(path: Path, line: int, words: Mapping[str, str]) -> dict[str, Any]:
    """Charge, spin and periodicity that a comment tells."""

    def whole(*keys: str) -> int | None:
        texts = [words[key] for key in keys if key in words]
        if not texts:
            return None
        try:
            number = _number(texts[0])
        except ValueError:
            number = math.nan
        if number != round(number) if math.isfinite(number) else True:
            raise _junk(path, line, f"{texts[0]!r} is no whole number ({keys[0]})")
        return round(number)

    pbc = words.get("pbc", "T" if "lattice" in words else "F")
    return {
        "charge": whole("charge", "total_charge"),
        "spin": whole("spin"),
        "multiplicity": whole(*_MULTIPLICITY),
        "periodic": any(letter in "Tt1" for letter in pbc.split() or pbc),
    }


def _read_by_ase(path: Path, kind: str | None = None) -> list[Geometry]:
    data = _bytes(path)
    try:
        from ase import io
    except ImportError as error:
        raise MissingPackageError(
            f"{path}: formats other than XYZ are read by ASE: {extras.hint('pyscf')}",
            package="ase",
        ) from error
    try:
        frames = io.read(path, index=":", format=kind)
    except Exception as error:  # each of ASE's readers has errors of its own
        reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise InputError(f"{path} cannot be read by ASE: {reason}", file=str(path)) from error
    charge = _formal_charges(data) if path.suffix.lower() in (".mol", ".sdf") else None
    return [_from_ase(path, atoms, charge) for atoms in frames]


def _from_ase(path: Path, atoms: Any, charge: int | None) -> Geometry:
    lines = [
        f"{s} {x!r} {y!r} {z!r}"
        for s, (x, y, z) in zip(atoms.get_chemical_symbols(), atoms.positions.tolist(), strict=True)
    ]
    if not lines:
        raise InputError(f"{path} holds no atom", file=str(path))
    pairs = [atom_of(line, f"{path}, atom {i}") for i, line in enumerate(lines, 1)]
    symbols, positions = zip(*pairs, strict=True)
    words = {str(key).lower(): str(value) for key, value in atoms.info.items()}
    facts = _facts(path, 1, {k: v for k, v in words.items() if k not in ("pbc", "lattice")})
    facts["periodic"] = bool(atoms.pbc.any())
    if charge is not None:
        facts["charge"] = charge
    moments = float(atoms.get_initial_magnetic_moments().sum())
    if moments and facts["spin"] is None and facts["multiplicity"] is None:
        facts["multiplicity"] = round(abs(moments)) + 1
    return Geometry(symbols, positions, **facts)


def _formal_charges(data: bytes) -> int:
    """Sum of the charges in a MOL file's lines ``M  CHG``, which ASE does not read."""
    total = 0
    for line in data.splitlines():
        if line.startswith(b"M  CHG"):
            total += sum(int(word) for word in line.split()[4::2])
    return total
