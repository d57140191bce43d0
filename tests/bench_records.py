"""Records as ``xcnet bench`` writes them, with errors that are known."""

from __future__ import annotations

from typing import Any

from xcnet.systems import quantities, sets
from xcnet.systems.reactions import reactions
from xcnet.systems.units import KCAL_PER_HARTREE


def record(name: str, xc: str = "PBE", **changes: Any) -> dict[str, Any]:
    """A record of ``ae147``."""
    return {
        **{"format": 1, "set": "ae147", "system": name, "xc": xc, "model": "", "grid_level": 3},
        **{"protocol": sets.load("ae147").protocol.facts(), "status": "converged"},
        **{"energy": -0.5, "cycles": 5, "guess_cycles": 4, "rungs": [["DIIS", 5, True]]},
        **{"versions": {"xcnet": "0"}, "machine": {"cpu": "a processor"}},
        **changes,
    }


def atomization_records(errors: dict[str, float], xc: str = "PBE") -> list[dict[str, Any]]:
    """Records of G2 molecules whose atomization energies are off by that many kcal/mol."""
    energies = {}
    for reaction in reactions(sets.load("ae147"), list(errors)):
        name = reaction.name
        atoms = {system.name: -1.0 for _, system in reaction.terms[1:]}
        bound = (reaction.reference + errors[name]) / KCAL_PER_HARTREE
        energies.update({**atoms, name: reaction.value({**atoms, name: 0.0}) - bound})
    return [record(name, xc, energy=energy) for name, energy in energies.items()]


def quantity_records(name: str, xc: str, off: float, seconds: float = 1.0) -> list[dict[str, Any]]:
    """Records of a set of one number a molecule, the values off by that much."""
    chosen = sets.load(name)
    own = {"set": name, "protocol": chosen.protocol.facts(), "cpu_seconds": seconds}
    return [
        record(q.molecule.name, xc, values=[q.reference + off], **own)
        for q in quantities.of_set(chosen)
        if q.name in chosen.quick["only"]
    ]


def speed_records() -> list[dict[str, Any]]:
    """Records of two runs of ``xcnet bench speed``, the first of which no longer counts."""
    common = {"format": 1, "machine": {"cpu": "a processor"}}
    metagga, m06l = "xcnet NN-metaGGA-Nagai2020", "xcnet M06-L"
    scf = {"speed": "scf", "quantity": "whole SCF", "molecule": "C6H6", "basis": "def2-tzvp"}
    fock = {"speed": "scaling", "quantity": "Fock build", "basis": "def2-svp", "run": "1"}
    memory = {**fock, "quantity": "peak memory"}
    measured = [
        {**scf, "run": "0", "case": metagga, "seconds": 9.0, "cycles": 9},
        {**scf, "run": "1", "case": metagga, "seconds": 2.5, "cycles": 9},
        {**scf, "run": "1", "case": m06l, "seconds": 2.0, "cycles": 8},
    ]
    for atoms in (8, 32):
        measured.append({**fock, "case": m06l, "atoms": atoms, "seconds": atoms**1.5})
        measured.append({**memory, "case": m06l, "atoms": atoms, "mb": 10.0 * atoms})
    return [{**common, **row} for row in measured]
