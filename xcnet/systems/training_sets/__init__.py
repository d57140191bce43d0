"""Training sets: one module each in this folder, found by a scan; adding a set is adding a file.

A set's module has

``NAME``, ``DOI``, ``UNITS``
    Its name; where its choice or its values come from (empty: from nowhere); the units of its data.
``SPLITS``
    Its parts: their shares, such as ``{"train": 4, "validation": 1}``, see `split`; or the names of
    their reactions.
``SHA256``
    Hash of its data, see `digest`. Altered data are never used.
``data()``
    Its data as JSON has them: written there, or read from a file.
``contents(data)``
    Systems and reactions of these data. Here, and only here, units are converted: energies of
    reactions are in Hartree, positions in angstrom.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import pkgutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from xcnet.errors import InputError
from xcnet.systems.molecules import Molecule
from xcnet.systems.reactions import Reaction

FOLDER = Path(__file__).parent
REMEDY = "reinstall xcnet, or make it anew with `xcnet train reference`"

__all__ = ["DataSet", "Molecule", "Reaction", "digest", "gather", "load", "names", "record",
           "split", "system"]  # fmt: skip


@dataclass(frozen=True)
class DataSet:
    """Systems to train on, and sums of their energies with known values.

    Parameters
    ----------
    name, doi : str
        See the module's docstring.
    systems : tuple of Molecule
        Geometries in angstrom, charge and number of unpaired electrons.
    reactions : tuple of Reaction
        Atomization and ionization energies; ``reference`` in Hartree.
    splits : mapping
        Parts: their shares, or the names of their reactions.
    """

    name: str
    doi: str
    systems: tuple[Molecule, ...]
    reactions: tuple[Reaction, ...]
    splits: Mapping[str, int | tuple[str, ...]]

    def part(self, name: str) -> DataSet:
        """Set with the reactions of one part and the systems that they need.

        Sets without reactions are divided by systems. InputError if there is no such part.
        """
        if name not in self.splits:
            raise InputError(
                f"the training set {self.name} has no part {name!r}, but {', '.join(self.splits)}",
                given=name,
            )
        items: Sequence[Molecule | Reaction] = self.reactions or self.systems
        listed = self.splits[name]
        if isinstance(listed, int):
            shares = {part: n for part, n in self.splits.items() if isinstance(n, int)}
            listed = tuple(split([item.name for item in items], shares)[name])
        kept = set(listed)
        chosen = tuple(reaction for reaction in self.reactions if reaction.name in kept)
        needed = {term.name for reaction in chosen for _, term in reaction.terms} or kept
        systems = tuple(system for system in self.systems if system.name in needed)
        return replace(self, systems=systems, reactions=chosen)


def names() -> list[str]:
    """Names of the training sets."""
    return sorted(_modules())


def module(name: str) -> Any:
    """Module of a set; an InputError lists the known sets when it does not exist."""
    if name not in _modules():
        raise InputError(
            f"unknown training set {name!r}; known sets: {', '.join(names())}", argument="sets"
        )
    return _modules()[name]


def load(name: str) -> DataSet:
    """Read a set.

    Raises
    ------
    InputError
        There is no such set, or its data are missing or altered.
    """
    source = module(name)
    data = source.data()
    if (given := digest(data)) != source.SHA256:
        repair = (
            f"run `xcnet train data {name}`" if hasattr(source, "SOURCE") else "reinstall xcnet"
        )
        raise InputError(
            f"the data of the training set {name} are altered (SHA-256 {given}, expected "
            f"{source.SHA256}); {repair}",
            given=given,
            expected=source.SHA256,
        )
    systems, reactions = source.contents(data)
    return DataSet(name, source.DOI, tuple(systems), tuple(reactions), source.SPLITS)


def shipped(name: str, folder: Path = FOLDER) -> dict[str, Any]:
    """JSON file of a set whose data come with the package (InputError if it cannot be read)."""
    path = folder / f"{name}.json"
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}; {REMEDY}", file=str(path)) from error
    return data


def gather(sets: Iterable[DataSet]) -> list[Molecule]:
    """Systems of all sets, each once.

    Raises
    ------
    InputError
        Two sets give one name to different systems, or a molecule belongs to the test set.
    """
    from xcnet.systems import overlap

    found: dict[str, Molecule] = {}
    for one in (system for each in sets for system in each.systems):
        if found.setdefault(one.name, one) != one:
            raise InputError(
                f"two training sets have a system {one.name} each, and these differ", given=one.name
            )
    overlap.refuse(found.values())
    return list(found.values())


def split(names: Iterable[str], shares: Mapping[str, int]) -> dict[str, list[str]]:
    """Divide names into parts, by a rule that has no eye for chemistry.

    The names are ordered by the SHA-256 of each; of every sum-of-shares names in this order the
    first go to the first part, and so on: with ``{"train": 4, "validation": 1}`` every fifth is
    for validation.
    """
    cycle = [part for part, share in shares.items() for _ in range(share)]
    parts: dict[str, list[str]] = {part: [] for part in shares}
    ordered = sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    for position, name in enumerate(ordered):
        parts[cycle[position % len(cycle)]].append(name)
    return parts


def digest(data: Any) -> str:
    """SHA-256 of data in canonical JSON: sorted keys, no spaces, shortest numbers."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def record(system: Molecule) -> dict[str, Any]:
    """What a data file says of a system."""
    return {
        "name": system.name,
        "charge": system.charge,
        "multiplicity": system.spin + 1,
        "symbols": list(system.symbols),
        "positions_angstrom": [list(position) for position in system.positions],
    }


def system(record: Mapping[str, Any]) -> Molecule:
    """System of such a record."""
    return Molecule(
        name=record["name"],
        symbols=tuple(record["symbols"]),
        positions=tuple((float(x), float(y), float(z)) for x, y, z in record["positions_angstrom"]),
        charge=record["charge"],
        spin=record["multiplicity"] - 1,
    )


@cache
def _modules() -> dict[str, Any]:
    found = pkgutil.iter_modules(__path__)
    modules = [importlib.import_module(f"{__name__}.{entry.name}") for entry in found]
    return {module.NAME: module for module in modules}
