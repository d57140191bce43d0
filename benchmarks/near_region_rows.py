"""What the near-region density is worth: the linear expansion with and without its contrast.

Both are fitted to the same rows, those of NN-NRA's recipe that are ready on this machine, from
r2SCAN. Errors of rows that were left out, a fifth at a time, as means over eight divisions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from xcnet.paths import training_folder
from xcnet.training import rows_command
from xcnet.training.linear import fit, recipe, table
from xcnet.training.loss.rows import Row

RESULT = Path(__file__).parent / "results" / "near_region_rows.md"
FEWEST = 10  # rows of a set that is listed


def main() -> None:
    """Write the page."""
    chosen = recipe.load("nra")
    jobs = rows_command.jobs(chosen)
    kept = table.collect(jobs, training_folder(), chosen.dispersion, chosen.family)
    columns = []
    for powers in (1, 2):
        orders = replace(chosen.expansion, contrast=powers)
        problem = fit.problem(replace(chosen, expansion=orders), kept)
        left_out = problem.held_out(report=lambda line: print(line, flush=True))
        watched = problem.validation.matrix @ problem.fit() - problem.validation.target
        columns.append(
            _means(problem.fitted.rows, left_out) | _means(problem.validation.rows, watched)
        )
    lines = [
        f"| {term} | {name} | {count} | {columns[0][term, name, unit, count]:.4g} "
        f"| {columns[1][term, name, unit, count]:.4g} | {unit} |"
        for term, name, unit, count in columns[0]
        if count >= FEWEST and term != "grids"
    ]
    RESULT.write_text("\n".join([PAGE.format(systems=len(kept.entries)), *lines, ""]))


def _means(rows: Iterable[Row], errors: Iterable[float]) -> dict[tuple[str, str, str, int], float]:
    """Mean absolute errors by term, set, unit and number of rows."""
    by_set = defaultdict(list)
    for row, error in zip(rows, errors, strict=True):
        by_set[row.term, row.set, row.unit].append(abs(error))
    return {(*key, len(values)): float(np.mean(values)) for key, values in by_set.items()}


PAGE = """\
# What the near-region density is worth

Made by `python -m benchmarks.near_region_rows`, which explains it: mean absolute errors of rows
that were left out of the fit, and of validation sets, by the expansion without and with the
contrast of the near-region density, fitted to the same rows of {systems} systems.

| term | set | rows | without | with | unit |
| --- | --- | ---: | ---: | ---: | --- |"""


if __name__ == "__main__":
    main()
