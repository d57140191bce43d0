"""Energies on a coarse grid minus those on a fine one, of the same density: to be zero."""

from __future__ import annotations

from collections.abc import Iterator

from xcnet.systems.units import KCAL_PER_HARTREE
from xcnet.training.linear.recipe import RowsRecipe
from xcnet.training.loss.rows import Row


def rows(recipe: RowsRecipe) -> Iterator[Row]:
    """One row of each system of the sets."""
    coarse, fine = recipe.grids.levels
    for chosen in recipe.energies:
        if chosen.set not in recipe.grids.sets:
            continue
        systems = {molecule.name: molecule for r in chosen.reactions() for _, molecule in r.terms}
        for name, system in systems.items():
            job = chosen.job(system)
            yield Row(
                "grids",
                chosen.set,
                name,
                ((1.0, job, coarse), (-1.0, job, fine)),
                0.0,
                "kcal/mol",
                KCAL_PER_HARTREE,
                recipe.grids.sigma,
            )
