"""The sets' reactions: energies of systems, with signs, next to a reference value.

Every benchmark quantity is a sum of total energies with integer coefficients. Geometries and
references come from ASE's data; a function here says what is summed.
"""

from __future__ import annotations

import difflib
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from xcnet import extras
from xcnet.errors import InputError, MissingPackageError
from xcnet.systems import elements, molecules
from xcnet.systems.elements import SYMBOLS
from xcnet.systems.molecules import Molecule
from xcnet.systems.sets import BenchmarkSet
from xcnet.systems.units import EV_PER_HARTREE, KCAL_PER_HARTREE, PER_HARTREE


@dataclass(frozen=True)
class Reaction:
    """Sum of coefficient times energy of its systems, with its reference in the set's unit.

    ``weight``: its share in a weighted mean of absolute errors, such as WTMAD-2.
    """

    name: str
    terms: tuple[tuple[int, Molecule], ...]
    reference: float
    weight: float = 1.0

    @property
    def group(self) -> str:
        """Name that it shares with others of the set; empty where it stands alone."""
        return ""

    def value(self, energies: Mapping[str, float]) -> float:
        """Energy of the reaction, Hartree, from the total energies by the systems' names."""
        return sum(coefficient * energies[system.name] for coefficient, system in self.terms)

    def error(self, values: Mapping[str, Sequence[float]], unit: str) -> float:
        """Difference from the reference in the set's unit, from what was calculated by system."""
        energies = {name: energy for name, (energy, *_) in values.items()}
        return self.value(energies) * PER_HARTREE[unit] - self.reference


def reactions(chosen: BenchmarkSet, only: Sequence[str] | None = None) -> list[Reaction]:
    """Reactions of a set, or those of them that are named.

    Raises
    ------
    InputError
        If the set has no reaction of a name.
    """
    try:
        import ase.data  # noqa: F401
    except ImportError as error:
        raise MissingPackageError(
            f"the sets' geometries come from ASE: {extras.hint('bench')}", package="ase"
        ) from error
    by_name = {reaction.name: reaction for reaction in KINDS[chosen.reactions](chosen)}
    return named(chosen.name, by_name, only)


def named(
    title: str, reactions: Mapping[str, Reaction], only: Sequence[str] | None = None
) -> list[Reaction]:
    """All reactions of a set, or those of the names (InputError if there is none of a name)."""
    if only is None:
        return list(reactions.values())
    wanted = {
        name: [key for key, r in reactions.items() if name in (key, r.group)] for name in only
    }
    unknown = [name for name, keys in wanted.items() if not keys]
    if unknown:
        near = difflib.get_close_matches(unknown[0], reactions, 4, 0.5)
        hint = f" Near names: {', '.join(near)}." if near else ""
        raise InputError(f"{title} has no {', '.join(unknown)}.{hint}", given=unknown)
    return [reactions[key] for key in dict.fromkeys(itertools.chain(*wanted.values()))]


def systems(of: list[Reaction]) -> list[Molecule]:
    """Systems of the reactions, each once."""
    return list({system.name: system for reaction in of for _, system in reaction.terms}.values())


def _atomization(chosen: BenchmarkSet) -> Iterator[Reaction]:
    from ase.data import g2

    for name in g2.molecule_names:
        molecule = molecules.read(name)
        counts = Counter(molecule.symbols)
        terms = [(n, molecules.atom(symbol)) for symbol, n in counts.items()]
        assert molecule.experiment is not None  # all of G2's molecules have one
        yield Reaction(name, ((-1, molecule), *terms), molecule.experiment)


def _ionization(chosen: BenchmarkSet) -> Iterator[Reaction]:
    from ase.data import g2

    spins = chosen.cation_spin or {}
    for name in (*g2.atom_names, *g2.molecule_names):
        data = g2.data[name]
        kind = "ionization energy" if name in SYMBOLS else "vertical ionization energy"
        if not data.get(kind):
            continue
        neutral = molecules.atom(name) if name in SYMBOLS else molecules.read(name)
        cation = _cation(neutral, spins)
        terms = ((-1, neutral), *(((1, cation),) if cation.electrons else ()))
        yield Reaction(name, terms, data[kind])


def _cation(neutral: Molecule, spins: Mapping[str, int]) -> Molecule:
    """The cation; an atom's has the configuration of the element before it."""
    if neutral.name in SYMBOLS:
        before = SYMBOLS[SYMBOLS.index(neutral.name) - 1]
        spin = elements.GROUND_STATE_SPIN.get(before, 0)
    else:
        spin = spins.get(neutral.name, abs(neutral.spin - 1))
    return replace(neutral, name=f"{neutral.name}+", charge=1, spin=spin, experiment=None)


def _barriers(chosen: BenchmarkSet) -> Iterator[Reaction]:
    from ase.data import dbh24

    for record in dbh24.dbh24_reaction_list.values():
        top = _ase(dbh24.data[record["tst"]])
        barriers = dbh24.data[record["tst"]]
        ends = [[_ase(dbh24.data[name]) for name in record[end]] for end in ("initial", "final")]
        name = "+".join(molecule.name for molecule in ends[0])
        for mark, key, end in ((">", "Vf", ends[0]), ("<", "Vb", ends[1])):
            terms = ((1, top), *((-1, molecule) for molecule in end))
            yield Reaction(f"{name}{mark}", terms, barriers[key])


def _interaction(chosen: BenchmarkSet) -> Iterator[Reaction]:
    from ase.data import s22

    for name in s22.s22:
        data = s22.data[name]
        dimer = _ase(data)
        first = data["dimer atoms"][0]
        parts = [
            _part(dimer, f"{name}/1", slice(first)),
            _part(dimer, f"{name}/2", slice(first, None)),
        ]
        terms = ((1, dimer), *((-1, part) for part in parts))
        reference = data["interaction energy CC"] * KCAL_PER_HARTREE / EV_PER_HARTREE
        yield Reaction(name, terms, round(reference, 3))


def _part(whole: Molecule, name: str, atoms: slice) -> Molecule:
    return replace(whole, name=name, symbols=whole.symbols[atoms], positions=whole.positions[atoms])


def _ase(data: Mapping[str, Any]) -> Molecule:
    """Molecule of a record of ASE's data."""
    from ase.symbols import string2symbols

    return Molecule(
        name=data["name"].removeprefix("dbh24_"),
        symbols=tuple(string2symbols(data["symbols"])),
        positions=tuple((float(x), float(y), float(z)) for x, y, z in data["positions"]),
        charge=round(data.get("charge") or 0),
        spin=round(abs(sum(data["magmoms"] or [0]))),
    )


KINDS: Mapping[str, Callable[[BenchmarkSet], Iterator[Reaction]]] = {
    "atomization": _atomization,
    "ionization": _ionization,
    "barriers": _barriers,
    "interaction": _interaction,
}
