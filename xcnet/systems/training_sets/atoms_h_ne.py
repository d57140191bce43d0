"""The atoms H to Ne in their ground states: densities to train on, no energies."""

from __future__ import annotations

from typing import Any

from xcnet.systems.molecules import atom
from xcnet.systems.training_sets import Molecule, Reaction, record, system

NAME = "atoms_h_ne"
DOI = ""
UNITS = {"positions": "angstrom"}
SPLITS = {"train": 1}
SHA256 = "2e81da21cbcb8fec4bffe72ba8cabb19a02d8579962cedcfbb1668c18bbd2c18"


def data() -> list[dict[str, Any]]:
    """Records of the atoms."""
    return [record(atom(symbol)) for symbol in "H He Li Be B C N O F Ne".split()]


def contents(data: list[dict[str, Any]]) -> tuple[list[Molecule], list[Reaction]]:
    """Systems of the records; no reactions."""
    return [system(record) for record in data], []
