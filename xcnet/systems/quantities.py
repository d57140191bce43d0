"""Sets of other quantities than energies: numbers of one molecule, and what they should be.

Each quantity is a number of a molecule, or a vector's part along the accurate one, beside a
reference. How it is calculated: `xcnet.scf.quantities`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from xcnet.systems import molecules, training_sets
from xcnet.systems.molecules import Molecule
from xcnet.systems.reactions import Reaction
from xcnet.systems.sets import BenchmarkSet
from xcnet.systems.units import DEBYE_PER_AU, PER_HARTREE

SMALL_DIPOLE = 1.0  # debye; see the reference of the set "dipoles"


@dataclass(frozen=True)
class Quantity(Reaction):
    """One number of the values that are calculated of a molecule; the reference in the same unit.

    ``scale``: the set's units in one of the values'.
    """

    place: int = 0
    scale: float = 1.0

    @property
    def molecule(self) -> Molecule:
        """Whose it is."""
        return self.terms[0][1]

    @property
    def group(self) -> str:
        """Name of the molecule, under which all of its numbers are found."""
        return self.molecule.name

    def error(self, values: Mapping[str, Sequence[float]], unit: str) -> float:
        """Difference from the reference in the set's unit."""
        return self.scale * (values[self.molecule.name][self.place] - self.reference)


@dataclass(frozen=True)
class DipoleMoment(Quantity):
    """A dipole moment along a unit vector, the direction of the accurate one; in debye.

    A moment that points the other way is so far off as it is, which its length would not say.
    """

    direction: tuple[float, float, float] = (0.0, 0.0, 1.0)

    def error(self, values: Mapping[str, Sequence[float]], unit: str) -> float:
        """Difference relative to the accurate moment, or to 1 debye if that is larger, percent."""
        along = float(np.dot(values[self.molecule.name], self.direction))
        return 100.0 * (along - self.reference) / max(self.reference, SMALL_DIPOLE)


def of_set(chosen: BenchmarkSet) -> Iterator[Quantity]:
    """Quantities of a set (InputError if its data are not on this machine)."""
    return KINDS[chosen.reactions](chosen)


def _bonds(chosen: BenchmarkSet) -> Iterator[Quantity]:
    assert chosen.table is not None
    for name, row in chosen.table.items():
        symbols = tuple(row["atoms"].split())
        length = float(row["length"])
        places = ((0.0, 0.0, 0.0), (0.0, 0.0, length))
        molecule = Molecule(name, symbols, places, row.get("charge", 0), row.get("unpaired", 0))
        yield Quantity(name, ((1, molecule),), length, scale=1000.0)


def _frequencies(chosen: BenchmarkSet) -> Iterator[Quantity]:
    assert chosen.table is not None
    for name, references in chosen.table.items():
        molecule = molecules.read(name)
        for place, reference in enumerate(references):
            title = f"{name} {place + 1}" if len(references) > 1 else name
            yield Quantity(title, ((1, molecule),), reference, place=place)


def _grids(chosen: BenchmarkSet) -> Iterator[Quantity]:
    assert chosen.table is not None
    for name in chosen.table["names"]:
        terms = ((1, molecules.read(name)),)
        yield Quantity(name, terms, 0.0, scale=PER_HARTREE[chosen.unit])


def _dipoles(chosen: BenchmarkSet) -> Iterator[Quantity]:
    """Molecules of a set of energies in opposite fields, whose differences are the moments."""

    def whose(pair: Reaction) -> tuple[str, Molecule]:
        system = pair.terms[0][1]
        name = re.sub(r"^Dip146_(.*)[012][+-]$", r"\1", system.name)
        return name, replace(system, name=name, field=None)

    pairs = sorted(training_sets.load("dip146").reactions, key=lambda pair: whose(pair)[0])
    for (name, molecule), of in itertools.groupby(pairs, whose):
        moment = sum(map(_moment, of), np.zeros(3))
        length = float(np.linalg.norm(moment))
        x, y, z = (moment / length).tolist()
        yield DipoleMoment(name, ((1, molecule),), length, direction=(x, y, z))


def _moment(pair: Reaction) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Part of the accurate moment along the field of two energies, debye: E = -F . mu."""
    (sign, first), (_, second) = pair.terms
    assert first.field is not None
    assert second.field is not None
    step = sign * np.subtract(first.field, second.field)
    return np.asarray(-pair.reference * step / (step @ step) * DEBYE_PER_AU)


KINDS: Mapping[str, Callable[[BenchmarkSet], Iterator[Quantity]]] = {
    "bonds": _bonds,
    "frequencies": _frequencies,
    "grids": _grids,
    "dipoles": _dipoles,
}
