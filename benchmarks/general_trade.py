"""What more weight on atomization energies costs the general functional elsewhere.

Fits of the recipe ``general`` by the linear expansion at r2SCAN's fixed densities, with the sigma
of W4-17's atomization energies times a factor. ``OMP_NUM_THREADS=1 python -m
benchmarks.general_trade`` needs the integrals of ``xcnet train rows make general``, takes two
minutes, and writes ``benchmarks/results/general_trade.md`` and the picture of the page
[training](docs/training.md).
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.general_curve import Errors, Watched
from xcnet import paths
from xcnet.bench import tables
from xcnet.training import rows_command
from xcnet.training.linear import fit, recipe, table
from xcnet.training.linear.fit import LinearProblem
from xcnet.training.linear.recipe import RowsRecipe

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "general_trade.md"
PICTURE = ROOT / "docs" / "static" / "general_trade.png"
SET, FACTORS = "w4-17", (0.2, 0.35, 0.6, 1.0, 1.7, 3.0)
#: Validation sets, and one of the fit.
SHOWN = {
    "w4-17": "W4-17",
    "dbh22": "barriers, DBH22",
    "bh28": "barriers, BH28",
    "a24": "dimers, A24",
}
FITTED = {"bh876": "barriers fitted, BH876", "hb49": "dimers fitted, HB49", "bonds": "bonds, mÅ"}

TEXT = """\
# More weight on atomization energies

Made by `python -m benchmarks.general_trade`, which explains it. Mean absolute errors in kcal/mol of
validation sets, and of rows that were fitted, by the factor on sigma of W4-17's atomization
energies; 1 is the recipe.
"""


def weighted(chosen: RowsRecipe, factor: float) -> RowsRecipe:
    """Recipe with another sigma of the set."""
    energies = tuple(
        replace(of, sigma=factor * of.sigma) if of.set == SET else of for of in chosen.energies
    )
    return replace(chosen, energies=energies)


def fitted(problem: LinearProblem, coefficients: np.ndarray) -> Errors:
    """Mean absolute errors of `FITTED` in the rows that are fitted."""
    errors = np.abs(problem.fitted.matrix @ coefficients - problem.fitted.target)
    rows = problem.fitted.rows
    kinds = np.array([row.term if row.term == "bonds" else row.set for row in rows])
    energies = np.array([row.term in ("bonds", "energies") for row in rows])
    return {
        name: (1000.0 if name == "bonds" else 1.0)
        * float(errors[(kinds == name) & energies].mean())
        for name in FITTED
    }


def page(made: dict[float, Errors], prior: Errors) -> str:
    """Table of all factors."""
    names = {**SHOWN, **FITTED}
    body = [
        [f"{factor:g}", *(f"{errors[name]:.2f}" for name in names)]
        for factor, errors in made.items()
    ]
    body.append(["r2SCAN", *(f"{prior[name]:.2f}" if name in prior else "" for name in names)])
    return f"{TEXT}\n{tables.markdown(['factor', *names.values()], body)}\n"


def picture(made: dict[float, Errors], prior: Errors) -> None:
    """Errors of the validation sets over r2SCAN's by factor."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, 3.6), layout="constrained")
    axes = figure.subplots()
    for name, title in SHOWN.items():
        axes.plot(
            list(made), [e[name] / prior[name] for e in made.values()], "o-", ms=4, label=title
        )
    axes.axvline(1.0, color="gray", ls=":", lw=1)
    axes.set(
        xscale="log",
        xlabel="sigma of atomization energies / the recipe's",
        ylabel="error / r2SCAN's",
    )
    axes.set_xticks(FACTORS, [f"{x:g}" for x in FACTORS])
    axes.minorticks_off()
    axes.set_ylim(bottom=0.0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(PICTURE, dpi=130)


def main() -> None:
    """Write the result and the picture."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    chosen, folder = recipe.load("general"), paths.training_folder()
    integrals = table.collect(rows_command.jobs(chosen), folder, chosen.dispersion)
    made: dict[float, Errors] = {}
    for factor in FACTORS:
        problem = fit.problem(weighted(chosen, factor), integrals)
        watched, coefficients = Watched(problem, integrals), problem.fit()
        made[factor] = watched.errors(coefficients) | fitted(problem, coefficients)
        print(
            factor, {name: round(made[factor][name], 3) for name in (*SHOWN, *FITTED)}, flush=True
        )
    RESULT.write_text(page(made, watched.prior), encoding="utf-8")
    picture(made, watched.prior)


if __name__ == "__main__":
    main()
