"""Molecules with one bond a little longer or shorter, whose energies say how long the bond is.

The two ends of a bond that is in no ring move apart as rigid parts, by half the change each.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace

from xcnet.systems import overlap
from xcnet.systems.molecules import Molecule

SHIFT = 0.01  # angstrom; the cubic term of the energy is worth 0.0001 angstrom here


def bonds(molecule: Molecule) -> Iterator[tuple[int, int]]:
    """Bonds of a molecule in no ring, one of each kind: same elements, same length."""
    kinds = set()
    neighbours = overlap.neighbours(molecule)
    for i, j in itertools.combinations(range(len(molecule.symbols)), 2):
        if j not in neighbours[i] or j in _part(neighbours, i, j):
            continue
        pair = sorted((molecule.symbols[i], molecule.symbols[j]))
        kind = (*pair, round(math.dist(molecule.positions[i], molecule.positions[j]), 2))
        if kind not in kinds:
            kinds.add(kind)
            yield i, j


def stretch(molecule: Molecule, bond: tuple[int, int], change: float) -> Molecule:
    """The molecule with a bond of `bonds` longer by ``change`` angstrom."""
    i, j = bond
    first = _part(overlap.neighbours(molecule), i, j)
    start, end = molecule.positions[i], molecule.positions[j]
    share = 0.5 * change / math.dist(start, end)
    step = [share * (b - a) for a, b in zip(start, end, strict=True)]
    moved = tuple(
        _moved(position, step, -1.0 if atom in first else 1.0)
        for atom, position in enumerate(molecule.positions)
    )
    return replace(molecule, name=f"{molecule.name}:{i}-{j}{change:+g}", positions=moved)


def _moved(
    position: tuple[float, float, float], step: list[float], sign: float
) -> tuple[float, float, float]:
    x, y, z = (a + sign * b for a, b in zip(position, step, strict=True))
    return x, y, z


def _part(neighbours: list[list[int]], start: int, without: int) -> set[int]:
    """Atoms that bonds connect with ``start``, not counting its bond to ``without``."""
    atoms, new = {start}, [start]
    while new:
        atom = new.pop()
        for other in neighbours[atom]:
            if other not in atoms and (atom, other) != (start, without):
                atoms.add(other)
                new.append(other)
    return atoms
