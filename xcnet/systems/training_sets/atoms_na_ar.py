"""The atoms Na to Ar in their ground states: densities to train on, no energies."""

from __future__ import annotations

from typing import Any

from xcnet.systems.molecules import atom
from xcnet.systems.training_sets import Molecule, Reaction, record, system

NAME = "atoms_na_ar"
DOI = ""
UNITS = {"positions": "angstrom"}
SPLITS = {"train": 1}
SHA256 = "4ad1679d693887ac43f31f7cea768f312e7348d5baefc08ec266901727c24ca5"


def data() -> list[dict[str, Any]]:
    """Records of the atoms."""
    return [record(atom(symbol)) for symbol in "Na Mg Al Si P S Cl Ar".split()]


def contents(data: list[dict[str, Any]]) -> tuple[list[Molecule], list[Reaction]]:
    """Systems of the records; no reactions."""
    return [system(record) for record in data], []
