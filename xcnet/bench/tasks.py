"""Tasks: one system with one functional under one protocol, and what identifies its result."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from xcnet.systems.molecules import Molecule
from xcnet.systems.sets import ENERGY, Limits, Protocol

Key = tuple[str, str, str, str, str]


@dataclass(frozen=True)
class Task:
    """A calculation to do. Plain data, so that it can travel to another process or machine.

    Parameters
    ----------
    set
        Name of the benchmark set.
    molecule
        Geometry, charge and spin.
    xc
        Functional as the user wrote it.
    model
        SHA-256 of the values of its neural parts, joined; empty for libxc's functionals.
    protocol
        The set's, as changed by the user.
    grid_level
        Level for this functional.
    limits
        Memory and time.
    quantity
        What is calculated: ``energy``, or one of `xcnet.scf.quantities`.
    """

    set: str
    molecule: Molecule
    xc: str
    model: str
    protocol: Protocol
    grid_level: int
    limits: Limits
    quantity: str = ENERGY

    @property
    def key(self) -> Key:
        """What makes results the same: set, system, functional, its model and the protocol.

        Molecules of one name have other geometries in other sets.
        """
        protocol = canonical(self.protocol.facts())
        return self.set, self.molecule.name, self.xc, self.model, protocol

    @property
    def cost(self) -> float:
        """Rough relative time, for the order of tasks and the remaining time."""
        weights = [1.0 if symbol == "H" else 2.2 for symbol in self.molecule.symbols]
        spins = 2.0 if self.molecule.spin else 1.0
        return spins * sum(weights) ** 2.7 + 10.0

    def to_json(self) -> str:
        """The task as one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Task:
        """Inverse of `to_json`."""
        data = json.loads(text)
        molecule = data["molecule"]
        molecule["symbols"] = tuple(molecule["symbols"])
        molecule["positions"] = tuple(map(tuple, molecule["positions"]))
        if molecule["field"]:
            molecule["field"] = tuple(molecule["field"])
        data["molecule"] = Molecule(**molecule)
        data["protocol"] = Protocol(**data["protocol"])
        data["limits"] = Limits(**data["limits"])
        return cls(**data)


def canonical(protocol: Mapping[str, Any]) -> str:
    """Protocol as text, equal for equal ones."""
    return json.dumps(dict(protocol), sort_keys=True)


def key(record: Mapping[str, Any]) -> Key:
    """The key of the task that a record is the result of."""
    protocol = canonical(record["protocol"])
    return record["set"], record["system"], record["xc"], record["model"], protocol


def head(task: Task) -> dict[str, Any]:
    """What of a task its record repeats."""
    return {
        "set": task.set,
        "system": task.molecule.name,
        "xc": task.xc,
        "model": task.model,
        "protocol": task.protocol.facts(),
        "grid_level": task.grid_level,
    }


def ordered(tasks: Iterable[Task], functionals: Sequence[str]) -> list[Task]:
    """Functionals one after the other, the largest systems of each first."""
    place = {xc: i for i, xc in enumerate(functionals)}
    return sorted(tasks, key=lambda task: (place[task.xc], -task.cost))
