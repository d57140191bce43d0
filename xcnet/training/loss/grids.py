"""Energies on a coarse grid minus those on a fine one, of the same density: to be zero.

No accurate energy is needed, so sets may be systems without any.
"""

from __future__ import annotations

from collections.abc import Iterator

from xcnet.systems import training_sets
from xcnet.systems.units import KCAL_PER_HARTREE
from xcnet.training.linear.preparation import COMPACT, Job
from xcnet.training.linear.recipe import RowsRecipe
from xcnet.training.loss.rows import Row

#: Before other calculations: these systems are few and small. Without energies, anions need no
#: diffuse functions.
WEIGHT = 0.1


def jobs(recipe: RowsRecipe) -> Iterator[Job]:
    """What has to be calculated."""
    for name in recipe.grids.sets:
        yield from _jobs(recipe, name).values()


def _jobs(recipe: RowsRecipe, name: str) -> dict[str, Job]:
    """Of each system of a set; as for its energies, if the recipe has them."""
    for chosen in recipe.energies:
        if chosen.set == name:
            own = (system for reaction in chosen.reactions() for _, system in reaction.terms)
            return {system.name: chosen.job(system) for system in own}
    systems = training_sets.gather([training_sets.load(name)])
    return {s.name: Job(s, COMPACT, recipe.grids.levels, WEIGHT) for s in systems}


def rows(recipe: RowsRecipe) -> Iterator[Row]:
    """One row of each system of the sets."""
    coarse, fine = recipe.grids.levels
    for name in recipe.grids.sets:
        for system, job in _jobs(recipe, name).items():
            yield Row(
                "grids",
                name,
                system,
                ((1.0, job, coarse), (-1.0, job, fine)),
                0.0,
                "kcal/mol",
                KCAL_PER_HARTREE,
                recipe.grids.sigma,
            )
