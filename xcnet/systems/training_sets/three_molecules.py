"""H2O, NH3 and NO with their atoms and cations: energies and densities that the project made.

Choice of molecules: R. Nagai et al., npj Comput. Mater. 6, 43 (2020). Energies: atomization and
vertical ionization energies by CCSD(T), which `xcnet.references.coupled_cluster` describes and
``xcnet train reference`` makes again; densities of the same systems in
`xcnet.references.accurate.load`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from xcnet.systems import training_sets
from xcnet.systems.molecules import atom
from xcnet.systems.training_sets import Molecule, Reaction, system
from xcnet.systems.training_sets.water_ammonia_nitric_oxide import SYSTEMS as MOLECULES

NAME = "three-molecules"
DOI = "10.1038/s41524-020-0310-0"
UNITS = {"energies": "hartree", "positions": "angstrom"}
SPLITS = {
    "train": 1,
    "atomization": ("H2O", "NH3", "NO"),
    "ionization": ("H+", "N+", "O+", "H2O+", "NH3+", "NO+"),
}
SHA256 = "fa94c4c14515ff586599a67930d1fc4f00c864540dc1b175dea3f4d6b4c28422"

GEOMETRIES = (
    "near experiment (r_e and angles of the NIST CCCBDB); cations at their molecule's geometry"
)
#: Unpaired electrons of the cations.
CATIONS = {"N": 2, "O": 3, "H2O": 1, "NH3": 1, "NO": 0}
_NEUTRAL = (*(atom(symbol) for symbol in "HNO"), *MOLECULES)
SYSTEMS = (
    *_NEUTRAL,
    *(
        replace(one, name=f"{one.name}+", charge=1, spin=CATIONS[one.name])
        for one in _NEUTRAL
        if one.name in CATIONS
    ),
)


def data() -> dict[str, Any]:
    """Systems, energies and the hash of the densities."""
    return training_sets.shipped(NAME)


def contents(data: dict[str, Any]) -> tuple[list[Molecule], list[Reaction]]:
    """Systems, their atomization energies (``H2O``) and ionization energies (``H2O+``)."""
    systems = {record["name"]: system(record) for record in data["systems"]}
    energies = {record["name"]: record["energies"]["total"] for record in data["systems"]}
    found = []
    for name, one in systems.items():
        cation = systems.get(f"{name}+")
        sums = []
        if len(one.symbols) > 1 and not one.charge:
            counts = Counter(one.symbols)
            sums.append((name, tuple((n, systems[symbol]) for symbol, n in counts.items())))
        if cation or one.electrons == 1:
            sums.append((f"{name}+", ((1, cation),) if cation else ()))
        for title, ends in sums:
            reaction = Reaction(title, ((-1, one), *ends), 0.0)
            found.append(replace(reaction, reference=reaction.value(energies)))
    return list(systems.values()), found
