"""Sets whose TOML file has their systems, or says where they are.

A file has

``title``, ``doi``
    What the set is; where its choice or its values come from (empty: from nowhere).
``format``
    ``inline``: the systems stand in the file, as tables ``systems``. ``shipped``: in a JSON file of
    the same name beside it, with energies. ``refdata``: in a public repository (`refdata.Source`:
    ``commit``, ``din``, ``xyz``), those of the table ``molecules``, which has their fingerprints.
``splits``
    Parts: their shares, such as ``train = 4`` and ``validation = 1``, or the names of their
    reactions.
``reactions``
    Tables with ``name``, ``terms`` (coefficients by the systems' names) and ``reference_hartree``;
    without a reference it is what the energies of a shipped file give. Sets of refdata have
    atomization energies.
``geometries``
    Where the geometries of references come from that the project makes, see `xcnet.references`.
``sha256``
    Hash of the data. Altered data are never used.
"""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xcnet.errors import InputError
from xcnet.systems import kept_data, refdata
from xcnet.systems.molecules import Molecule, atom, of_record
from xcnet.systems.reactions import Reaction
from xcnet.systems.units import KCAL_PER_HARTREE

REMEDY = "reinstall xcnet, or make it anew with `xcnet train reference`"


@dataclass(frozen=True)
class DescribedSet:
    """One set as its file describes it; see the module's docstring."""

    name: str
    folder: Path
    title: str
    doi: str
    format: str
    sha256: str
    splits: Mapping[str, int | tuple[str, ...]]
    systems: tuple[Mapping[str, Any], ...] = ()
    reactions: tuple[Mapping[str, Any], ...] = ()
    geometries: str = ""
    commit: str = ""
    din: str = ""
    xyz: str = ""
    molecules: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_shipped(self) -> bool:
        """Whether its data come with the package."""
        return self.format != "refdata"

    def data(self) -> Any:
        """Its data as JSON has them; InputError if they are not there."""
        if self.format == "inline":
            records = list(self.systems)
            return (
                {"systems": records, "reactions": list(self.reactions)}
                if (self.reactions)
                else records
            )
        if self.format == "shipped":
            return shipped(self.name, self.folder)
        return kept_data.read(self.name)

    def contents(self, data: Any) -> tuple[list[Molecule], list[Reaction]]:
        """Systems of the data, and reactions with references in Hartree."""
        if self.format == "refdata":
            return _atomization(data)
        records = data["systems"] if isinstance(data, Mapping) else data
        systems = {record["name"]: of_record(record) for record in records}
        energies = {r["name"]: r["energies"]["total"] for r in records if "energies" in r}
        return list(systems.values()), [
            _reaction(reaction, systems, energies) for reaction in self.reactions
        ]

    def fetch(self, base_url: str) -> Any:
        """Download and convert the data; nothing of them is trusted until their hash is known."""
        source = refdata.Source(self.commit, self.din, self.xyz)
        return refdata.fetch(source, self.molecules, base_url)

    def read_file(self, path: Path) -> Any:
        """Data of a file that the user has (InputError if it is no JSON)."""
        return kept_data.read_json(path)


def read(path: Path) -> DescribedSet:
    """Set of a TOML file.

    Raises
    ------
    InputError
        The file cannot be read, or its keys are not those of a set.
    """
    try:
        record = tomllib.loads(path.read_text(encoding="utf-8"))
        splits = {
            part: tuple(share) if isinstance(share, list) else share
            for part, share in record.pop("splits").items()
        }
        systems, reactions = (tuple(record.pop(key, ())) for key in ("systems", "reactions"))
        return DescribedSet(
            path.stem,
            path.parent,
            splits=splits,
            systems=systems,
            reactions=reactions,
            **record,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} describes no set: {error!r}", file=str(path)) from error


def shipped(name: str, folder: Path) -> dict[str, Any]:
    """JSON file of a set whose data come with the package (InputError if it cannot be read)."""
    path = folder / f"{name}.json"
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}; {REMEDY}", file=str(path)) from error
    return data


def record(system: Molecule) -> dict[str, Any]:
    """What a data file says of a system."""
    return {
        "name": system.name,
        "charge": system.charge,
        "multiplicity": system.spin + 1,
        "symbols": list(system.symbols),
        "positions_angstrom": [list(position) for position in system.positions],
    }


def _reaction(
    record: Mapping[str, Any], systems: Mapping[str, Molecule], energies: Mapping[str, float]
) -> Reaction:
    terms = tuple((coefficient, systems[name]) for name, coefficient in record["terms"].items())
    reference = record.get("reference_hartree")
    if reference is None:
        reference = Reaction(record["name"], terms, 0.0).value(energies)
    return Reaction(record["name"], terms, reference)


def _atomization(data: list[dict[str, Any]]) -> tuple[list[Molecule], list[Reaction]]:
    """Molecules with their atoms, and atomization energies."""
    molecules, reactions = [of_record(record) for record in data], []
    for molecule, record in zip(molecules, data, strict=True):
        counts = Counter(molecule.symbols)
        terms = tuple((n, atom(symbol)) for symbol, n in counts.items())
        energy = record["tae_kcal_per_mol"] / KCAL_PER_HARTREE
        reactions.append(Reaction(molecule.name, ((-1, molecule), *terms), energy))
    atoms = sorted({symbol for molecule in molecules for symbol in molecule.symbols})
    return [*map(atom, atoms), *molecules], reactions
