"""What three molecules teach where a functional may change in one to three directions only.

Changes of r2SCAN's energy at its fixed densities along the directions of
`xcnet.training.form.directed`, each by a number that the atomization energies of H2O, NH3 and NO
determine (`xcnet.training.linear.directions`). W4-17's fifteen validation molecules choose
directions and ridge: those of the recipe ``three``, and where at least one has the near-region
density, of ``three_nra``.

``python -m benchmarks.few_directions`` needs the densities of ``xcnet train rows make three``, of
W4-17's sixty others and of AE147 (`few_molecules`), and writes
``benchmarks/results/few_directions.md``.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from benchmarks import ae147_rows
from xcnet import paths
from xcnet.bench import statistics, store, tables
from xcnet.systems.units import KCAL_PER_HARTREE
from xcnet.training.linear import directions, preparation
from xcnet.training.linear.directions import (
    LEVEL,
    LOCAL,
    NAMES,
    Changes,
    Known,
    numbers,
)
from xcnet.training.linear.preparation import Job

Array = npt.NDArray[np.float64]
RESULT = Path(__file__).resolve().parent / "results" / "few_directions.md"
RIDGES, SHOWN = (0.0, 0.3, 1.0), 12
HEADER = (
    *("directions", "ridge", "numbers", "the fifteen", "the three", "the sixty"),
    *("AE147, accurate", "AE147, experiment"),
)

TEXT = """\
# Three molecules and few directions

Made by `python -m benchmarks.few_directions`, which explains it: mean absolute errors in kcal/mol
at r2SCAN's fixed densities. The fifteen choose; the sixty ({sixty} here) and AE147 ({members} of
147, small ones, from r2SCAN's self-consistent energies) chose nothing.

{local}

With the near-region density, of which v is the contrast:

{near}
"""


def alternatives() -> Iterator[tuple[tuple[int, ...], float]]:
    """Directions and ridge."""
    for count in (1, 2, 3):
        for places in itertools.combinations(range(len(NAMES)), count):
            yield from ((places, ridge) for ridge in (RIDGES if count > 1 else RIDGES[:1]))


def of_ae147(known: Known) -> tuple[Changes, Changes]:
    """Members that are there, against accurate theory and against experiment."""
    (section,) = statistics.sections(store.read(ae147_rows.RECORDS))
    accurate, experiment = (
        next(column for column in columns if column.label == ae147_rows.BASE)
        for columns in (section.accurate, section.columns)
    )
    wanted, names, changes = set(section.subsets[ae147_rows.SUBSET]), [], []
    for reaction in tqdm(section.reactions, desc="ae147"):
        terms = [(n, Job(system, preparation.COMPACT, (LEVEL,))) for n, system in reaction.terms]
        if reaction.name in wanted and all(known.has(job) for _, job in terms):
            names.append(reaction.name)
            changes.append(KCAL_PER_HARTREE * known.of(terms))
    matrix = np.array(changes)
    of_accurate, of_experiment = (
        Changes(tuple(names), matrix, np.array([column.errors[name] for name in names]))
        for column in (accurate, experiment)
    )
    return of_accurate, of_experiment


def page(three: Changes, fifteen: Changes, sixty: Changes, ae147: tuple[Changes, Changes]) -> str:
    """The best alternatives by the fifteen, without the near-region density and with it."""
    shown = (fifteen, three, sixty, *ae147)
    made: dict[bool, list[tuple[float, list[str]]]] = {False: [], True: []}
    for places, ridge in alternatives():
        found = numbers(three, places, ridge)
        means = [of.mean(places, found) for of in shown]
        names = " + ".join(NAMES[i] for i in places)
        cells = [names, f"{ridge:g}", ", ".join(f"{x:.2f}" for x in found)]
        line = (means[0], [*cells, *(f"{mean:.2f}" for mean in means)])
        made[max(places) >= len(LOCAL)].append(line)
    none = [of.mean([], np.zeros(0)) for of in shown]
    last = ["r2SCAN", "", "", *(f"{mean:.2f}" for mean in none)]
    local, near = (
        tables.markdown(HEADER, [*(cells for _, cells in sorted(made[of])[:SHOWN]), last], 3)
        for of in (False, True)
    )
    counts = {"sixty": len(sixty.errors), "members": len(ae147[0].errors)}
    return TEXT.format(**counts, local=local, near=near)


def main() -> None:
    """Write the page."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    chosen, known = directions.load("three"), Known(paths.training_folder(), NAMES)
    assert chosen is not None
    (validation,) = chosen.validation
    three, fifteen = known.of_sets(chosen.energies), known.of_sets(chosen.validation)
    sixty = known.of_sets([replace(validation, part="train")])
    RESULT.write_text(page(three, fifteen, sixty, of_ae147(known)), encoding="utf-8")


if __name__ == "__main__":
    main()
