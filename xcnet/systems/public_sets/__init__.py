"""Public sets of reactions: one TOML file each, usable in training and in benchmarks alike.

A file has

``title``, ``doi``, ``citation``, ``licence``
    What the set is, and to whom it is owed.
``kind``
    What its energies are, such as ``barriers`` or ``noncovalent``.
``part``
    ``train``, ``validation`` or ``test``: what it may be used for. No set is used for two things.
``format``, ``commit``, ``set``, ``heaviest``
    Where its data come from: the format's name, the pinned commit of that repository, the set's
    name there, and the largest number of atoms other than hydrogen.
``sha256``
    Hash of its data. Altered data are never used.
``without``
    Reactions that are left out, because a test set has them.
``large``
    Reactions of systems with more than 17 heavy atoms, which benchmarks also leave out.

The data are not shipped: ``xcnet train data NAME`` gets them, or takes them ``--from`` a folder.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from xcnet import download
from xcnet.errors import InputError, InstallError
from xcnet.systems import gscdb, kept_data
from xcnet.systems.molecules import Molecule, of_record
from xcnet.systems.reactions import Reaction
from xcnet.systems.units import KCAL_PER_HARTREE

FOLDER = Path(__file__).parent
PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class PublicSet:
    """One set as its file describes it; see the package's docstring."""

    name: str
    title: str
    kind: str
    part: str
    doi: str
    citation: str
    licence: str
    format: str
    commit: str
    set: str
    sha256: str
    heaviest: int = 0
    without: tuple[str, ...] = ()
    large: tuple[str, ...] = ()

    @property
    def splits(self) -> dict[str, int]:
        """Its one part."""
        return {self.part: 1}

    @property
    def is_shipped(self) -> bool:
        """Whether its data come with the package: never."""
        return False

    def data(self) -> Any:
        """Its records from the user's cache (InputError if they are not there)."""
        return kept_data.read(self.name)

    def read_file(self, path: Path) -> dict[str, Any]:
        """Records of a file that the user has, or of that one of a folder with the set's name."""
        path = path / f"{self.set}.json" if path.is_dir() else path
        return self.records(kept_data.read_json(path), str(path))

    def contents(self, data: Mapping[str, Any]) -> tuple[list[Molecule], list[Reaction]]:
        """Systems of its data, and reactions with references in Hartree."""
        systems = {record["name"]: _molecule(record) for record in data["molecules"]}
        reactions = [
            _reaction(record, systems)
            for record in data["reactions"]
            if record["id"] not in self.without
        ]
        needed = {system.name for reaction in reactions for _, system in reaction.terms}
        return [system for system in systems.values() if system.name in needed], reactions

    def fetch(self, base_url: str) -> dict[str, Any]:
        """Download and convert its data; nothing of them is trusted until its hash is known.

        Raises
        ------
        InstallError
            A file cannot be had, or this set's format is one that is only read from a file.
        InputError
            A file is not in the format.
        """
        if self.format != "gscdb":
            raise InstallError(
                f"the data of {self.name} are not downloaded, only taken from a file: --from FILE",
                set=self.name,
            )
        root = f"{base_url}/{gscdb.REPOSITORY}/{self.commit}"
        data = gscdb.convert(
            self.set,
            self.heaviest,
            lambda path: download.get(f"{root}/{quote(path)}", gscdb.MAX_BYTES),
        )
        return self.records(data, gscdb.REPOSITORY)

    def records(self, data: Any, source: str) -> dict[str, Any]:
        """What is kept and hashed of a file of the set's data, from wherever it comes."""
        try:
            molecules = [_picked(record) for record in data["molecules"]]
            reactions = [_picked_reaction(record) for record in data["reactions"]]
        except (AttributeError, KeyError, TypeError, ValueError, SyntaxError) as error:
            raise InputError(f"{source} has no reactions of this form: {error!r}") from error
        return {"molecules": molecules, "reactions": reactions}


def names() -> list[str]:
    """Names of the public sets."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


@cache
def load(name: str) -> PublicSet:
    """Description of a set (InputError if there is none of this name)."""
    path = FOLDER / f"{name}.toml"
    if name not in names():
        raise InputError(f"no public set {name!r}; there are {', '.join(names())}", given=name)
    record = tomllib.loads(path.read_text(encoding="utf-8"))
    lists = {key: tuple(record.get(key, ())) for key in ("without", "large")}
    return PublicSet(name=name, **record | lists)


def _molecule(record: Mapping[str, Any]) -> Molecule:
    field = record["multipole_field"]
    # Q-Chem's field has the sign of a force on electrons: +field . mu.
    own = (-field[0], -field[1], -field[2]) if field else None
    return replace(of_record(record), field=own)


def _reaction(record: Mapping[str, Any], systems: Mapping[str, Molecule]) -> Reaction:
    terms = zip(record["coefficients"], record["species"], strict=True)
    return Reaction(
        record["id"],
        tuple((coefficient, systems[species]) for coefficient, species in terms),
        record["reference_kcal_per_mol"] / KCAL_PER_HARTREE,
        record.get("weight", 1.0),
    )


def _picked(record: Mapping[str, Any]) -> dict[str, Any]:
    field = record.get("multipole_field")
    return {
        "name": record["name"],
        "charge": int(record["charge"]),
        "multiplicity": int(record["multiplicity"]),
        "symbols": list(record["symbols"]),
        "positions_angstrom": [[float(x) for x in row] for row in record["positions_angstrom"]],
        "multipole_field": gscdb.qchem_field(field) if isinstance(field, str) else field,
    }


def _picked_reaction(record: Mapping[str, Any]) -> dict[str, Any]:
    kept = {
        "id": record["id"] if "id" in record else f"{record['set']}-{record['index']}",
        "species": list(record["species"]),
        "coefficients": [int(n) for n in record["coefficients"]],
        "reference_kcal_per_mol": float(record["reference_kcal_per_mol"]),
    }
    return kept | ({"weight": float(record["weight"])} if "weight" in record else {})
