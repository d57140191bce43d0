"""Learning curve of the general functional: reactions in training against validation errors.

Fits of the recipe ``general`` to random draws of its reactions, at r2SCAN's fixed densities; all
its rows of bonds and grids are in every fit. The linear expansion is fitted to all draws, networks,
a hundred times as slow, to all reactions.
``OMP_NUM_THREADS=1 python -m benchmarks.general_curve`` needs the integrals of ``xcnet train rows
make general``, takes five minutes, and writes ``benchmarks/results/general_curve.md`` and the
picture of the page [training](docs/training.md).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xcnet import paths
from xcnet.bench import tables
from xcnet.training import rows_command
from xcnet.training.linear import factors, fit, recipe, report, table
from xcnet.training.linear.fit import LinearProblem
from xcnet.training.linear.report import Line
from xcnet.training.linear.table import IntegralTable

Array = npt.NDArray[np.float64]
ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "general_curve.md"
PICTURE = ROOT / "docs" / "static" / "general_curve.png"
SIZES, SEED = (25, 50, 100, 200, 400), 11
DRAWS = {"linear expansion": 6, "networks": 0}
#: Validation sets that are shown, and how they are called.
SHOWN = {"w4-17": "W4-17, 15 molecules", "dbh22": "barriers, DBH22", "a24": "dimers, A24"}

TEXT = """\
# Learning curve of the general functional

Made by `python -m benchmarks.general_curve`, which explains it. Mean absolute errors of validation
sets at r2SCAN's densities in kcal/mol, mean over the draws.
"""
Errors = dict[str, float]
Curve = dict[int, list[Errors]]


def draw(problem: LinearProblem, size: int, rng: np.random.Generator) -> LinearProblem:
    """Problem with so many of its reactions, and all other rows."""
    of = problem.fitted.rows
    reactions = [i for i, row in enumerate(of) if row.term == "energies"]
    chosen = set(rng.permutation(reactions)[:size].tolist())
    kept = [i for i, row in enumerate(of) if row.term != "energies" or i in chosen]
    return replace(problem, fitted=problem.fitted.subset(np.array(kept)))


class Watched:
    """Validation sets of a recipe: what coefficients give there, and r2SCAN."""

    def __init__(self, problem: LinearProblem, integrals: IntegralTable) -> None:
        self.problem = replace(problem, fitted=problem.fitted.subset(np.arange(0)))
        self.integrals = integrals
        self.prior = {line.set: line.beside["r2SCAN"] for line in self.lines(problem.prior)}

    def lines(self, coefficients: Array) -> list[Line]:
        """One line for each set."""
        totals = dict.fromkeys(((row.term, row.set) for row in self.problem.validation.rows), 0)
        return list(report.lines(self.problem, self.integrals, coefficients, None, totals))

    def errors(self, coefficients: Array) -> Errors:
        """Mean absolute errors of the sets; ``all``: mean of them over r2SCAN's."""
        made = {line.set: line.fit for line in self.lines(coefficients)}
        return made | {"all": float(np.mean([made[name] / self.prior[name] for name in made]))}


def curve(
    problem: LinearProblem,
    watched: Watched,
    solve: Callable[[LinearProblem], Array],
    draws: int,
) -> Curve:
    """Errors of all draws by number of reactions; all reactions are one draw."""
    total = sum(row.term == "energies" for row in problem.fitted.rows)
    made: Curve = {}
    for size in (*(size for size in SIZES if size < total), total):
        if size < total and not draws:
            continue
        # Draw number k of a size is the same for all kinds of fit, however many each has.
        seeds = [(SEED, size, number) for number in range(1 if size == total else draws)]
        parts = [draw(problem, size, np.random.default_rng(seed)) for seed in seeds]
        made[size] = [watched.errors(solve(part)) for part in parts]
        print(size, f"{np.mean([e['all'] for e in made[size]]):.3f}", flush=True)
    return made


def page(curves: dict[str, Curve], prior: dict[str, float]) -> str:
    """Table of the mean over the draws."""
    names = {**SHOWN, "all": "all validation sets / r2SCAN's"}
    header = ["fit", "reactions", "draws", *names.values()]
    body = [
        [kind, str(size), str(len(draws)), *(f"{_mean(draws, name):.2f}" for name in names)]
        for kind, of in curves.items()
        for size, draws in of.items()
    ]
    body.append(["r2SCAN", "", "", *(f"{prior[name]:.2f}" for name in SHOWN), "1.00"])
    return f"{TEXT}\n{tables.markdown(header, body)}\n"


def _mean(draws: Sequence[Errors], name: str) -> float:
    return float(np.mean([errors[name] for errors in draws]))


def picture(curves: dict[str, Curve], prior: dict[str, float]) -> None:
    """Draw every validation set that is shown, and all relative to r2SCAN's."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.0, 3.4), layout="constrained")
    names = {**SHOWN, "all": "all validation sets"}
    places: Any = figure.subplots(1, len(names))
    for axes, (name, title) in zip(places, names.items(), strict=True):
        for (kind, of), colour in zip(curves.items(), ("tab:blue", "tab:orange"), strict=True):
            means = [_mean(draws, name) for draws in of.values()]
            axes.plot(list(of), means, "o-", color=colour, ms=4, label=kind)
            for size, draws in of.items():
                axes.plot([size] * len(draws), [e[name] for e in draws], ".", color=colour, ms=3)
        axes.axhline(prior.get(name, 1.0), color="gray", ls="--", lw=1, label="r2SCAN")
        axes.set(xscale="log", title=title, xlabel="reactions in training")
        sizes = list(next(iter(curves.values())))
        axes.set_xticks(sizes, [str(size) for size in sizes], fontsize=8)
        axes.minorticks_off()
        axes.set_ylim(bottom=0.0)
        axes.set_ylabel("error / r2SCAN's" if name == "all" else "mean absolute error, kcal/mol")
        axes.spines[["top", "right"]].set_visible(False)
    places[0].legend(frameon=False, fontsize=8)
    figure.savefig(PICTURE, dpi=130)


def main() -> None:
    """Write the result and the picture."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    chosen, folder = recipe.load("general"), paths.training_folder()
    integrals = table.collect(rows_command.jobs(chosen), folder, chosen.dispersion)
    linear, networks = fit.problem(chosen, integrals), factors.problem(chosen, integrals)
    kinds: dict[str, tuple[LinearProblem, Callable[[LinearProblem], Array]]] = {
        "linear expansion": (linear, lambda part: part.fit()),
        "networks": (networks, lambda part: factors.train(part)[1]),
    }
    curves = {}
    for kind, (problem, solve) in kinds.items():
        watched = Watched(problem, integrals)
        curves[kind] = curve(problem, watched, solve, DRAWS[kind])
    prior = watched.prior
    RESULT.write_text(page(curves, prior), encoding="utf-8")
    picture(curves, prior)


if __name__ == "__main__":
    main()
