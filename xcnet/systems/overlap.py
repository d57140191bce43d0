"""Which training molecules and reactions are those of a test set: AE147, or rows of GMTKN55."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections import Counter
from collections.abc import Iterable
from functools import cache
from typing import Any

from xcnet.errors import InputError
from xcnet.systems import reactions, sets
from xcnet.systems.molecules import Molecule
from xcnet.systems.reactions import Reaction

TEST_SET = "ae147"
#: Molecules of the published protocol, which trained on these and tested on the whole set.
ALLOWED = ("H2O", "NH3", "NO")
BOND = 1.3  # largest distance of bonded atoms, in sums of covalent radii
STRETCH = 0.1  # relative; the same molecule at two levels of theory differs by far less


def refuse(systems: Iterable[Molecule]) -> None:
    """Raise InputError if a molecule belongs to the test set and is none of the `ALLOWED`."""
    for system in systems:
        test = in_test_set(system)
        if test and test not in ALLOWED:
            raise InputError(
                f"the training molecule {system.name} is {test} of the test set "
                f"{TEST_SET.upper()}: no functional may be trained on it",
                given=system.name,
            )


def refuse_reactions(reactions: Iterable[Reaction], tests: Iterable[Reaction] = ()) -> None:
    """Raise InputError if a reaction is `known_reactions` of a test set."""
    for name, test in known_reactions(reactions, tests).items():
        raise InputError(
            f"the reaction {name} is {test} of a test set: no functional may be trained on it, "
            "nor chosen by it",
            given=name,
        )


def known_reactions(
    reactions: Iterable[Reaction], tests: Iterable[Reaction] = ()
) -> dict[str, str]:
    """Reactions that a test set has, by name, with its name for them.

    These are atomization energies of AE147's molecules but the `ALLOWED`, and reactions of
    ``tests``. A molecule of a test set may take part in other reactions, such as barriers.
    """
    known = {signature(test): test.name for test in tests}
    by_name = {}
    for reaction in reactions:
        molecule = atomized(reaction)
        name = in_test_set(molecule) if molecule else ""
        name = known.get(signature(reaction), "") if name in ("", *ALLOWED) else name
        if name:
            by_name[reaction.name] = name
    return by_name


def atomized(reaction: Reaction) -> Molecule | None:
    """The one neutral molecule whose energy a reaction relates to that of atoms alone."""
    large = {molecule.name: molecule for _, molecule in reaction.terms if len(molecule.symbols) > 1}
    neutral = all(molecule.charge == 0 for _, molecule in reaction.terms)
    atoms = len(reaction.terms) > len(large) == 1
    return next(iter(large.values())) if neutral and atoms else None


def signature(reaction: Reaction) -> tuple[Any, ...]:
    """What makes reactions the same: coefficients, bonds, charges, spins, whether in a field.

    Neither the direction nor the multiple counts, nor do conformation and distances between
    molecules: two conformers, or two points of one curve of binding, are the same.
    """
    common = math.gcd(*(coefficient for coefficient, _ in reaction.terms))
    rows = [
        (
            n // common,
            fingerprint(member),
            member.charge,
            member.spin,
            member.field is not None,
        )
        for n, member in reaction.terms
    ]
    return min(tuple(sorted(rows)), tuple(sorted((-n, *what) for n, *what in rows)))


def in_test_set(system: Molecule) -> str:
    """Name of the test molecule that the system is, ionized or not; empty if it is none."""
    for molecule in _test_set().get(formula(system), ()):
        if same(system, molecule):
            return molecule.name
    return ""


def same(first: Molecule, second: Molecule) -> bool:
    """Whether two systems are one molecule: same formula, and the same bonds or distances.

    Charge and spin do not count, nor do conformation and small differences of the geometry.
    """
    if formula(first) != formula(second):
        return False
    if fingerprint(first) == fingerprint(second):
        return True
    pairs = zip(distances(first), distances(second), strict=True)
    return all(a[0] == b[0] and abs(a[1] - b[1]) < STRETCH * a[1] for a, b in pairs)


def formula(system: Molecule) -> str:
    """Formula with the elements in alphabetical order."""
    counts = sorted(Counter(system.symbols).items())
    return "".join(f"{symbol}{n if n > 1 else ''}" for symbol, n in counts)


def distances(system: Molecule) -> list[tuple[str, float]]:
    """Pairs of elements with their distances in angstrom, sorted."""
    atoms = zip(system.symbols, system.positions, strict=True)
    pairs = itertools.combinations(atoms, 2)
    return sorted(("-".join(sorted((a, b))), math.dist(x, y)) for (a, x), (b, y) in pairs)


@cache
def fingerprint(system: Molecule) -> str:
    """Formula and eight hexadecimal digits of the bonds, whatever the order of the atoms.

    The digits are a hash of the graph of bonds: each atom's label takes up those of its
    neighbours, as often as there are atoms (B. Yu. Weisfeiler, A. A. Leman,
    Nauchno-Technicheskaya Informatsiya 2, 12 (1968)).
    """
    labels = list(system.symbols)
    near_atoms = neighbours(system)
    for _ in labels:
        labels = [
            _hash(own, *sorted(labels[j] for j in near))
            for own, near in zip(labels, near_atoms, strict=True)
        ]
    return f"{formula(system)} {_hash(*sorted(labels))}"


def neighbours(system: Molecule) -> list[list[int]]:
    """Numbers of the atoms that each atom is bonded to."""
    from ase.data import atomic_numbers, covalent_radii

    radii = [covalent_radii[atomic_numbers[symbol]] for symbol in system.symbols]
    count = range(len(radii))
    return [
        [
            j
            for j in count
            if j != i
            and math.dist(system.positions[i], system.positions[j]) < BOND * (radii[i] + radii[j])
        ]
        for i in count
    ]


def _hash(*labels: str) -> str:
    return hashlib.sha256(" ".join(labels).encode()).hexdigest()[:8]


@cache
def _test_set() -> dict[str, list[Molecule]]:
    """Molecules of the test set by formula."""
    by_formula: dict[str, list[Molecule]] = {}
    for reaction in reactions.reactions(sets.load(TEST_SET)):
        for _, molecule in reaction.terms:
            if len(molecule.symbols) > 1:
                by_formula.setdefault(formula(molecule), []).append(molecule)
    return by_formula
