"""What few molecules teach a functional: alternatives, other triples, and the learning curve.

Everything is a fit of the linear expansion of ``benchmarks/few_molecules.rows.toml`` at r2SCAN's
fixed densities. An alternative says which factors may leave r2SCAN's, how smoothly, and whether
only along the first principal directions: of all changes that the mesh holds equally likely, those
that change the atomization energies of W4-17's sixty molecules most (their accurate values are not
used).

``OMP_NUM_THREADS=1 python -m benchmarks.few_molecules`` needs the integrals of ``xcnet train rows
make benchmarks/few_molecules.rows.toml`` and writes ``benchmarks/results/few_molecules.md`` and the
picture of the page [training](docs/training.md). With ``--densities`` it first calculates what else
there is: all of the sixty and AE147.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

from benchmarks import few_molecules_page as page
from benchmarks.ae147_rows import Ae147, jobs
from xcnet import paths
from xcnet.training import rows_command
from xcnet.training.linear import fit, preparation, recipe, table
from xcnet.training.linear.fit import LinearProblem
from xcnet.training.linear.recipe import MeshSettings, RowsRecipe
from xcnet.training.linear.table import IntegralTable
from xcnet.training.loss import rows
from xcnet.training.loss.equations import Equations

Array = npt.NDArray[np.float64]
RECIPE = Path(__file__).with_suffix(".rows.toml")
THREE = ("H2O", "NH3", "NO")
#: Standard deviations of exchange, equal and opposite spins' correlation.
FACTORS = {
    "opposite spins": (0.005, 0.01, 1.0),
    "opposite spins, freer": (0.005, 0.01, 2.0),
    "opposite spins, stiffer": (0.005, 0.01, 0.5),
    "correlation": (0.005, 0.4, 0.4),
    "exchange": (0.1, 0.01, 0.01),
    "all": (0.1, 0.4, 0.2),
}
CURVATURES = (0.05, 0.1, 0.2, 0.5, 1.0)
DIRECTIONS = (0, 3)
HELD = 100.0  # a change off the directions counts so many times as much
SIZES, DRAWS, SEED = (3, 6, 12, 25), 20, 7
WIDER = (
    2.5  # kcal/mol that count 1 where there are more than three: a meta-GGA cannot have them all
)


@dataclass(frozen=True)
class Alternative:
    """What may change, how smoothly, in how many directions (0: all)."""

    factors: str
    curvature: float
    directions: int

    def name(self) -> list[str]:
        """Cells of a table."""
        return [self.factors, f"{self.curvature:g}", str(self.directions or "all")]


@dataclass(frozen=True)
class Prepared:
    """An alternative's problem, with what its fits share.

    A fit is far from as large as its coefficients are many: its rows are few, and the equations
    that hold it are solved once.
    """

    problem: LinearProblem
    held: Equations

    @cached_property
    def start(self) -> Array:
        """Coefficients without any row."""
        count = self.held.matrix.shape[1]
        return np.asarray(np.linalg.solve(self.held.matrix[:count], self.held.target[:count]))

    @cached_property
    def seen(self) -> Array:
        """What unit changes of the holding equations do to rows (rows, coefficients)."""
        triangle = self.held.matrix[: self.held.matrix.shape[1]]
        return np.asarray(np.linalg.solve(triangle.T, self.problem.fitted.matrix.T).T)

    @cached_property
    def reach(self) -> Array:
        """Coefficients that move each row at the least cost (coefficients, rows)."""
        triangle = self.held.matrix[: self.held.matrix.shape[1]]
        return np.asarray(np.linalg.solve(triangle, self.seen.T))

    def fit(self, kept: Sequence[int]) -> Array:
        """Coefficients fitted to some rows: what `LinearProblem.fit` gives without bounds."""
        places = np.array(kept)
        linear = self.problem.fitted.subset(places)
        seen, reach = self.seen[places], self.reach[:, places]
        off, weights = linear.target - linear.matrix @ self.start, np.ones(len(places))
        for _ in range(fit.REWEIGHTED):
            covariance = seen @ seen.T + np.diag(linear.sigma**2 / weights)
            coefficients = self.start + reach @ np.linalg.solve(covariance, off)
            weights = fit.robust(linear, coefficients)
        return np.asarray(coefficients)

    def evidence(self, kept: Sequence[int]) -> float:
        """Logarithm of how likely the prior holds these rows, but for a constant."""
        places = np.array(kept)
        linear = self.problem.fitted.subset(places)
        seen = self.seen[places] / linear.sigma[:, None]
        off = (linear.target - linear.matrix @ self.problem.prior) / linear.sigma
        covariance = seen @ seen.T + np.eye(len(off))
        return float(-0.5 * (off @ np.linalg.solve(covariance, off)) - 0.5 * _log_det(covariance))


def _log_det(matrix: Array) -> float:
    return float(np.linalg.slogdet(matrix)[1])


def prepare(problem: LinearProblem, chosen: Alternative) -> Prepared:
    """Problem whose rows are those of the recipe and W4-17's sixty, which only some fits take."""
    mesh = MeshSettings(*FACTORS[chosen.factors], chosen.curvature)
    problem = replace(problem, recipe=replace(problem.recipe, mesh=mesh))
    molecules = np.array([row.set == "w4-17" for row in problem.known.rows])
    held = problem.held()
    if chosen.directions:
        held = along(held, problem.known.matrix[molecules], problem.prior, chosen.directions)
    places = np.flatnonzero(molecules)
    both = rows.Linear(
        problem.fitted.rows + tuple(replace(problem.known.rows[i], sigma=WIDER) for i in places),
        np.concatenate([problem.fitted.matrix, problem.known.matrix[places]]),
        np.concatenate([problem.fitted.target, problem.known.target[places]]),
    )
    return Prepared(replace(problem, fitted=both), held)


def along(held: Equations, matrix: Array, prior: Array, count: int) -> Equations:
    """The same equations, stiff but for the first directions in which they let rows change most."""
    triangle = held.matrix[: len(prior)]
    seen = np.linalg.solve(triangle.T, matrix.T).T
    first = np.linalg.svd(seen, full_matrices=False)[2][:count]
    inside = first.T @ first
    change = (inside + HELD * (np.eye(len(prior)) - inside)) @ triangle
    return Equations(change, change @ prior)


def whole() -> RowsRecipe:
    """The recipe with all of the sixty, also those without densities at its time."""
    three = recipe.load(str(RECIPE))
    return replace(three, known=tuple(replace(chosen, without=()) for chosen in three.known))


class Study:
    """All alternatives at the densities that are there."""

    def __init__(self, base: RowsRecipe, integrals: IntegralTable, ae147: Ae147) -> None:
        listed = itertools.product(FACTORS, CURVATURES, DIRECTIONS)
        problem = fit.problem(base, integrals)
        self.prepared = {
            alternative: prepare(problem, alternative)
            for alternative in itertools.starmap(Alternative, listed)
        }
        self.ae147, self.integrals = ae147, integrals
        self.problem = next(iter(self.prepared.values())).problem
        named = list(enumerate(self.problem.fitted.rows))
        self.three = [i for i, row in named if row.name in THREE]
        self.own = [i for i, row in named if row.set != "w4-17"]
        self.atoms = [i for i, row in named if row.set == "ae18" or row.name in ("N+", "O+")]
        self.sixty = [i for i, row in named if row.set == "w4-17"]

    def errors(self, coefficients: Array, places: Sequence[int]) -> Array:
        """Errors of some rows, absolute, kcal/mol."""
        part = self.problem.fitted.subset(np.array(places))
        return np.abs(part.matrix @ coefficients - part.target)

    def validation(self, coefficients: Array) -> float:
        """Mean error of the fifteen."""
        part = self.problem.validation
        return float(np.abs(part.matrix @ coefficients - part.target).mean())

    def beside(self, functional: str, places: Sequence[int] | None) -> float:
        """Mean error of a functional at the same densities, of the fifteen if none are named."""
        whole = self.problem.fitted.rows
        of = self.problem.validation.rows if places is None else [whole[i] for i in places]
        return float(np.mean([abs(rows.errors(r, self.integrals, functional)) for r in of]))

    def chosen(self, kept: Sequence[int]) -> tuple[Alternative, Array]:
        """What the fifteen choose where these rows are fitted."""
        fits = {name: item.fit(kept) for name, item in self.prepared.items()}
        best = min(fits, key=lambda name: self.validation(fits[name]))
        return best, fits[best]

    def left_out(self, item: Prepared) -> float:
        """Mean error of the three, each left out."""
        errors = [
            float(self.errors(item.fit([i for i in self.own if i != place]), [place])[0])
            for place in self.three
        ]
        return float(np.mean(errors))


@dataclass(frozen=True)
class Judged:
    """An alternative by all criteria, kcal/mol; ``ae147`` against accurate theory, experiment."""

    alternative: Alternative
    left_out: float
    evidence: float
    validation: float
    three: float
    sixty: float
    ae147: tuple[float, float]


def judge(study: Study) -> list[Judged]:
    """All alternatives, trained on H2O, NH3, NO."""
    judged = []
    for alternative, item in study.prepared.items():
        c = item.fit(study.own)
        judged.append(
            Judged(
                alternative,
                study.left_out(item),
                item.evidence(study.own),
                study.validation(c),
                float(study.errors(c, study.three).mean()),
                float(study.errors(c, study.sixty).mean()),
                study.ae147.means(c),
            )
        )
    return judged


CRITERIA: dict[str, Callable[[Judged], float]] = {
    "leave-one-out": lambda j: j.left_out,
    "evidence": lambda j: -j.evidence,
    "the fifteen": lambda j: j.validation,
}


def correlations(judged: Sequence[Judged]) -> dict[str, float]:
    """Rank correlation of each criterion with the error of the sixty."""
    error = [j.sixty for j in judged]
    return {
        name: float(spearmanr([of(j) for j in judged], error).statistic)
        for name, of in CRITERIA.items()
    }


@dataclass(frozen=True)
class Draw:
    """One training: molecules, what the fifteen chose, and errors as in `Judged`."""

    molecules: tuple[str, ...]
    alternative: Alternative
    validation: float
    left: float
    ae147: tuple[float, float]


def draw(study: Study, molecules: Sequence[int]) -> Draw:
    """Train on some of the sixty molecules, and on the recipe's atoms."""
    alternative, c = study.chosen([*study.atoms, *molecules])
    left = [i for i in study.sixty if i not in molecules]
    names = tuple(study.problem.fitted.rows[i].name for i in molecules)
    error = float(study.errors(c, left).mean()) if left else float("nan")
    return Draw(names, alternative, study.validation(c), error, study.ae147.means(c))


def curve(study: Study) -> dict[int, list[Draw]]:
    """Trainings on random choices of the sixty, by their number; at last on all."""
    rng = np.random.default_rng(SEED)
    sizes = [*SIZES, 4 * len(study.sixty) // 5]
    chosen: dict[int, Any] = {
        size: [rng.choice(study.sixty, size, replace=False).tolist() for _ in range(DRAWS)]
        for size in sizes
    }
    chosen[len(study.sixty)] = [study.sixty]
    return {size: [draw(study, molecules) for molecules in of] for size, of in chosen.items()}


def triples(study: Study, count: int = DRAWS) -> list[Draw]:
    """Random triples of small molecules, at least one of them with carbon."""
    of = study.problem.fitted.rows
    symbols = {i: of[i].terms[0][1].system.symbols for i in study.sixty}
    small = [i for i in study.sixty if len(symbols[i]) <= 6]
    rng, found = np.random.default_rng(SEED), list[Draw]()
    while len(found) < count:
        triple = rng.choice(small, 3, replace=False).tolist()
        if any("C" in symbols[i] for i in triple):
            found.append(draw(study, triple))
    return sorted(found, key=lambda item: item.validation)


def main() -> None:
    """Write the result and the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--densities", action="store_true", help="calculate AE147's first")
    arguments = parser.parse_args()
    base, folder = whole(), paths.training_folder()
    if arguments.densities:
        with ThreadPoolExecutor(1) as pool:
            preparation.run([*rows_command.jobs(base), *jobs()], folder, pool, print)
    integrals = table.collect(rows_command.jobs(base), folder, base.dispersion)
    ae147 = Ae147.of(table.collect(jobs(), folder, None), base.expansion)
    study = Study(base, integrals, ae147)
    page.write(study, judge(study), triples(study), curve(study))


if __name__ == "__main__":
    main()
