"""H2O, NH3 and NO: the molecules that the published neural functionals were trained on.

Choice of molecules: R. Nagai et al., npj Comput. Mater. 6, 43 (2020). Geometries: near experiment
(r_e and angles of the NIST CCCBDB). Densities to train on, no energies.
"""

from __future__ import annotations

from typing import Any

from xcnet.systems.training_sets import Molecule, Reaction, record, system

NAME = "water_ammonia_nitric_oxide"
DOI = "10.1038/s41524-020-0310-0"
UNITS = {"positions": "angstrom"}
SPLITS = {"train": 1}
SHA256 = "c9cdc9babd649f9839afb01f36f34a07b0e712c530c6920bb6f66bf64edd033b"

SYSTEMS = (
    Molecule(
        "H2O",
        ("O", "H", "H"),
        ((0.0, 0.0, 0.117176), (0.0, 0.757200, -0.468704), (0.0, -0.757200, -0.468704)),
    ),
    Molecule(
        "NH3",
        ("N", "H", "H", "H"),
        (
            (0.0, 0.0, 0.1173),
            (0.0, 0.9377, -0.2737),
            (0.81207, -0.46885, -0.2737),
            (-0.81207, -0.46885, -0.2737),
        ),
    ),
    Molecule("NO", ("N", "O"), ((0.0, 0.0, 0.0), (0.0, 0.0, 1.1508)), spin=1),
)


def data() -> list[dict[str, Any]]:
    """Records of the molecules."""
    return [record(molecule) for molecule in SYSTEMS]


def contents(data: list[dict[str, Any]]) -> tuple[list[Molecule], list[Reaction]]:
    """Systems of the records; no reactions."""
    return [system(record) for record in data], []
