"""Energies of reactions, dipole moments as energies in two fields, atoms' total energies."""

from __future__ import annotations

from collections.abc import Iterator

from xcnet.systems.reactions import Reaction
from xcnet.systems.units import EV_PER_HARTREE, KCAL_PER_HARTREE
from xcnet.training.linear.recipe import Chosen
from xcnet.training.loss.rows import Row

PER_HARTREE = {"kcal/mol": KCAL_PER_HARTREE, "eV": EV_PER_HARTREE, "mHa": 1000.0}
DIPOLE = "e bohr"
LEVEL = 3


def rows(chosen: Chosen, term: str) -> Iterator[Row]:
    """Rows of a set's reactions."""
    for reaction in chosen.reactions():
        per_hartree = _per_hartree(chosen, reaction)
        jobs = chosen.jobs(reaction)
        yield Row(
            term,
            chosen.set,
            reaction.name,
            tuple((float(n), job, LEVEL) for (n, _), job in zip(reaction.terms, jobs, strict=True)),
            reaction.reference * per_hartree,
            chosen.unit,
            per_hartree,
            chosen.tight.get(reaction.name, chosen.sigma),
            reaction.name in chosen.tight,
        )


def _per_hartree(chosen: Chosen, reaction: Reaction) -> float:
    """A pair of fields +F and -F differs by -2 F times the dipole moment along it."""
    if chosen.unit != DIPOLE:
        return PER_HARTREE[chosen.unit]
    fields = [system.field for _, system in reaction.terms]
    first, second = fields
    assert first is not None  # a set of dipole moments has pairs of systems in fields
    assert second is not None
    return -1.0 / (sum(first) - sum(second))
