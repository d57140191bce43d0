"""Bond lengths: at an accurate geometry nothing pulls at a bond.

A functional's bond is longer than that by the slope of its energy along the bond over r2SCAN's
force constant, both from energies at two bond lengths and between them.
"""

from __future__ import annotations

from collections.abc import Iterator

from xcnet.systems import stretched
from xcnet.systems.molecules import Molecule
from xcnet.training.linear.preparation import FINE, Job
from xcnet.training.linear.recipe import Chosen, RowsRecipe
from xcnet.training.linear.table import IntegralTable
from xcnet.training.loss.rows import Row

LEVEL = 3


def jobs(recipe: RowsRecipe) -> Iterator[Job]:
    """What has to be calculated."""
    for molecule, _ in _molecules(recipe):
        for bond in stretched.bonds(molecule):
            for shift in (stretched.SHIFT, -stretched.SHIFT):
                yield _job(recipe, stretched.stretch(molecule, bond, shift))


def rows(recipe: RowsRecipe, table: IntegralTable) -> Iterator[Row]:
    """Rows of the bonds whose three energies are there."""
    d = stretched.SHIFT
    for molecule, chosen in _molecules(recipe):
        middle = chosen.job(molecule)
        for bond in stretched.bonds(molecule):
            longer, shorter = (
                _job(recipe, stretched.stretch(molecule, bond, change)) for change in (d, -d)
            )
            if not all(table.has(job.name, LEVEL) for job in (longer, middle, shorter)):
                continue
            high, low, least = (
                float(table.value(job.name, LEVEL, "fixed"))
                + float(table.value(job.name, LEVEL, "r2SCAN"))
                for job in (longer, shorter, middle)
            )
            constant = (high - 2.0 * least + low) / (d * d)
            yield Row(
                "bonds",
                recipe.bonds.set,
                longer.system.name.partition("+")[0],
                ((1.0, longer, LEVEL), (-1.0, shorter, LEVEL)),
                0.0,
                "angstrom",
                -1.0 / (2.0 * d * constant),
                recipe.bonds.sigma,
            )


def _job(recipe: RowsRecipe, system: Molecule) -> Job:
    return Job(system, FINE, (LEVEL,), recipe.bonds.weight)


def _molecules(recipe: RowsRecipe) -> Iterator[tuple[Molecule, Chosen]]:
    for chosen in recipe.energies:
        if chosen.set != recipe.bonds.set:
            continue
        for reaction in chosen.reactions():
            molecule = reaction.terms[0][1]
            if sum(symbol != "H" for symbol in molecule.symbols) <= recipe.bonds.heaviest:
                yield molecule, chosen
