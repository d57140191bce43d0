"""What the near-region density is worth, by the rows of NN-NRA's recipe that are ready here.

The linear expansion is fitted to them from r2SCAN, with and without the contrast: errors of rows
that were left out, a fifth at a time, as means over eight divisions. Beside it are NN-metaGGA's and
NN-NRA's networks, which were fitted to these rows, NN-metaGGA's to more; all at r2SCAN's densities.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xcnet.bench.tables import markdown
from xcnet.paths import training_folder
from xcnet.training import rows_command
from xcnet.training.form.bounded import ThreeFactors
from xcnet.training.linear import factors, fit, recipe, table
from xcnet.training.linear.recipe import RowsRecipe
from xcnet.training.linear.table import IntegralTable
from xcnet.training.loss import rows
from xcnet.training.loss.rows import Row
from xcnet.training.publish import general
from xcnet.training.publish.publication import shipped_weights

Array = npt.NDArray[np.float64]
Means = dict[tuple[str, str, str, int], float]
RESULT = Path(__file__).parent / "results" / "near_region_rows.md"
FEWEST = 5  # rows of a set that is listed
HEAD = (
    *("rows", "set", "number", "unit", "left out of the expansion", "with the contrast"),
    *("NN-metaGGA", "NN-NRA", "r2SCAN"),
)
TEXT = """\
# What the near-region density is worth

Made by `python -m benchmarks.near_region_rows`, which explains it. Mean absolute errors, rows of {}
systems.
"""


def main() -> None:
    """Write the page."""
    chosen = recipe.load("nra")
    jobs = rows_command.jobs(chosen)
    kept = table.collect(jobs, training_folder(), chosen.dispersion, chosen.family)
    shipped = general.load_weights(shipped_weights(chosen), chosen)
    start = general.start(chosen)
    assert start is not None
    columns = [
        *(expansion(chosen, kept, powers) for powers in (1, 2)),
        *(networks(chosen, kept, module) for module in (start, shipped)),
        r2scan(chosen, kept),
    ]
    body = [
        [
            term,
            name,
            str(count),
            unit,
            *(f"{column[term, name, unit, count]:.3g}" for column in columns),
        ]
        for term, name, unit, count in columns[0]
        if count >= FEWEST and term != "grids"
    ]
    page = TEXT.format(len(kept.entries)) + "\n" + markdown(HEAD, body) + "\n"
    RESULT.write_text(page, encoding="utf-8")


def expansion(chosen: RowsRecipe, kept: IntegralTable, powers: int) -> Means:
    """Of rows left out; of the validation sets, by the fit to all rows."""
    orders = replace(chosen.expansion, contrast=powers)
    problem = fit.problem(replace(chosen, expansion=orders), kept)
    left_out = problem.held_out(report=lambda line: print(line, flush=True))
    watched = problem.validation.matrix @ problem.fit() - problem.validation.target
    return means([*problem.fitted.rows, *problem.validation.rows], [*left_out, *watched])


def networks(chosen: RowsRecipe, kept: IntegralTable, module: ThreeFactors) -> Means:
    """Of a functional's networks, by their polynomials."""
    coefficients = factors.polynomials(module, chosen.family.kept)
    whole = replace(chosen, expansion=chosen.family.kept)
    ready = fit.gather(whole, kept)[:2]
    errors = [x for part in ready for x in part.matrix @ coefficients - part.target]
    return means([row for part in ready for row in part.rows], errors)


def r2scan(chosen: RowsRecipe, kept: IntegralTable) -> Means:
    """Of r2SCAN."""
    ready = [row for part in fit.gather(chosen, kept)[:2] for row in part.rows]
    return means(ready, [rows.errors(row, kept, "r2SCAN") for row in ready])


def means(of: Iterable[Row], errors: Iterable[float]) -> Means:
    """Mean absolute errors by term, set, unit and number of rows."""
    by_set = defaultdict(list)
    for row, error in zip(of, errors, strict=True):
        by_set[row.term, row.set, row.unit].append(abs(error))
    return {(*key, len(values)): float(np.mean(values)) for key, values in by_set.items()}


if __name__ == "__main__":
    main()
