"""Training sets: a TOML file each, found by a scan; adding a set is adding a file.

Those in this folder have their systems with them or in a repository of atomization energies, see
`described`; those of `xcnet.systems.public_sets` are training sets, too. Wherever data come from,
units are converted in one place: energies of reactions are in Hartree, positions in angstrom.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from xcnet.errors import InputError
from xcnet.systems import public_sets
from xcnet.systems.molecules import Molecule
from xcnet.systems.public_sets import PublicSet
from xcnet.systems.reactions import Reaction
from xcnet.systems.training_sets import described
from xcnet.systems.training_sets.described import DescribedSet, record, shipped

FOLDER = Path(__file__).parent
#: Where sets are looked for.
FOLDERS = [FOLDER]

__all__ = ["DataSet", "Molecule", "Reaction", "digest", "gather", "load", "names", "record",
           "shipped", "source", "split"]  # fmt: skip


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
    return sorted(_sources())


def source(name: str) -> DescribedSet | PublicSet:
    """What a set's file says; an InputError lists the known sets when it does not exist."""
    if name not in _sources():
        raise InputError(
            f"unknown training set {name!r}; known sets: {', '.join(names())}", argument="sets"
        )
    return _sources()[name]


def load(name: str) -> DataSet:
    """Read a set.

    Raises
    ------
    InputError
        There is no such set, or its data are missing or altered.
    """
    described_set = source(name)
    data = described_set.data()
    if (actual := digest(data)) != described_set.sha256:
        repair = "reinstall xcnet" if described_set.is_shipped else f"run `xcnet train data {name}`"
        raise InputError(
            f"the data of the training set {name} are altered (SHA-256 {actual}, expected "
            f"{described_set.sha256}); {repair}",
            given=actual,
            expected=described_set.sha256,
        )
    systems, reactions = described_set.contents(data)
    return DataSet(name, described_set.doi, tuple(systems), tuple(reactions), described_set.splits)


def gather(sets: Iterable[DataSet]) -> list[Molecule]:
    """Systems of all sets, each once.

    Raises
    ------
    InputError
        Two sets give one name to different systems, or a reaction, or a molecule of a set without
        reactions, belongs to a test set.
    """
    from xcnet.systems import overlap

    by_name: dict[str, Molecule] = {}
    sets = list(sets)
    for molecule in (member for data in sets for member in data.systems):
        if by_name.setdefault(molecule.name, molecule) != molecule:
            raise InputError(
                f"two training sets have a system {molecule.name} each, and these differ",
                given=molecule.name,
            )
    overlap.refuse(member for data in sets if not data.reactions for member in data.systems)
    overlap.refuse_reactions(reaction for data in sets for reaction in data.reactions)
    return list(by_name.values())


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


@cache
def _sources() -> dict[str, DescribedSet | PublicSet]:
    paths = [path for folder in FOLDERS for path in sorted(folder.glob("*.toml"))]
    sources: list[DescribedSet | PublicSet] = [described.read(path) for path in paths]
    sources += [public_sets.load(name) for name in public_sets.names()]
    return {source.name: source for source in sources}
