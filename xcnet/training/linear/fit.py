"""The linear expansion fitted to all rows at once, and how well it does on rows it has not seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from xcnet.training.linear.recipe import RowsRecipe
from xcnet.training.linear.table import IntegralTable
from xcnet.training.loss import bonds, constraints, curvature, energies, grids, prior, rows
from xcnet.training.loss.equations import Equations, compressed, solve, together
from xcnet.training.loss.rows import Linear, Row

Array = npt.NDArray[np.float64]
Places = npt.NDArray[np.signedinteger[Any]]
FOLDS, REPEATS, SEED = 5, 8, 2024
REWEIGHTED = 5  # fits, each with the weights that the errors before give
SPARSE = 4.0  # rows of more than so many sigmas count as if they were that far: few spoil none


@dataclass(frozen=True)
class LinearProblem:
    """Rows to fit, rows to look at, and rows of which the prior's energies are known.

    All in the columns of the recipe's expansion.
    """

    recipe: RowsRecipe
    fitted: Linear
    validation: Linear
    known: Linear
    prior: Array

    def fit(
        self, kept: Places | None = None, constrained: bool = True, held: Equations | None = None
    ) -> Array:
        """Coefficients fitted to some rows (all of them if none are named).

        Rows far off count less (Huber's loss by repeated weights), so that a multireference
        molecule does not decide. ``held`` is `held`'s result where many fits share it.
        """
        problem = self if kept is None else replace(self, fitted=self.fitted.subset(kept))
        weights = np.ones(len(problem.fitted.rows))
        held = held or self.held()
        for _ in range(REWEIGHTED):
            equations = problem.equations(weights, held)
            coefficients = _solve(self.recipe, equations, constrained)
            weights = robust(problem.fitted, coefficients)
        return coefficients

    def held(self) -> Equations:
        """`fixed` and the uniform gas, `compressed`."""
        gas = constraints.uniform_gas(self.recipe)
        return compressed(together([self.fixed(), gas]))

    def fixed(self) -> Equations:
        """Equations beside the rows: prior and curvature."""
        terms = prior.equations, curvature.equations
        return together([term(self.recipe, self.prior) for term in terms])

    def equations(self, weights: Array, fixed: Equations) -> Equations:
        """The fitted rows with these weights, and the other equations."""
        scale = np.sqrt(weights) / self.fitted.sigma
        data = Equations(self.fitted.matrix * scale[:, None], self.fitted.target * scale)
        return together([data, fixed])

    def held_out(
        self,
        by: Callable[[LinearProblem], Array] | None = None,
        repeats: int = REPEATS,
        report: Callable[[str], None] = lambda _: None,
    ) -> Array:
        """Mean error of each fitted row when it was left out (rows,), in five folds, repeatedly.

        ``by`` gives the coefficients that some of the rows lead to: those of `fit` by default.
        """
        if by is None:
            held = self.held()
            return self.held_out(lambda problem: problem.fit(held=held), repeats, report)
        rng, total = np.random.default_rng(SEED), np.zeros(len(self.fitted.rows))
        for repeat in range(repeats):
            fold = _folds(self.fitted.rows, rng)
            for number in range(FOLDS):
                kept, out = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
                coefficients = by(replace(self, fitted=self.fitted.subset(kept)))
                part = self.fitted.subset(out)
                total[out] += np.abs(part.matrix @ coefficients - part.target)
                done = repeat * FOLDS + number + 1
                report(f"cross-validation: {done} of {repeats * FOLDS} fits")
        return total / repeats


def robust(linear: Linear, coefficients: Array) -> Array:
    """Weights of the rows' squares in Huber's loss (rows,): less for those far off.

    Rows with a sigma of their own hold the fit, wherever it starts.
    """
    off = np.abs(linear.matrix @ coefficients - linear.target) / linear.sigma
    weights = np.minimum(1.0, SPARSE / np.maximum(off, 1e-12))
    return np.where([row.tight for row in linear.rows], 1.0, weights)


def _folds(of: Sequence[Row], rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Fold of each row; all rows of one system's bonds and grids, or of one reaction, together."""
    groups = [(row.set, row.name.partition(":")[0]) for row in of]
    names = {group: i for i, group in enumerate(dict.fromkeys(groups))}
    folds = rng.permutation(len(names)) % FOLDS
    return np.array([folds[names[group]] for group in groups])


def _solve(recipe: RowsRecipe, equations: Equations, constrained: bool) -> Array:
    return constraints.bounded(recipe, equations) if constrained else solve(equations)


def all_rows(recipe: RowsRecipe, table: IntegralTable) -> tuple[list[Row], list[Row]]:
    """Rows to fit and to look at, ready or not; bonds where their force constants are known."""
    fitted = [row for chosen in recipe.energies for row in energies.rows(chosen, "energies")]
    fitted += [*grids.rows(recipe), *bonds.rows(recipe, table)]
    return fitted, [
        row for chosen in recipe.validation for row in energies.rows(chosen, "validation")
    ]


def problem(recipe: RowsRecipe, table: IntegralTable) -> LinearProblem:
    """Problem of all rows that are ready, with the coefficients nearest to the prior."""
    ready = gather(recipe, table)
    return LinearProblem(recipe.expanded(), *ready, nearest(recipe, ready, table))


def gather(recipe: RowsRecipe, table: IntegralTable) -> tuple[Linear, Linear, Linear]:
    """Rows that are ready, in the columns of the recipe's expansion.

    Those to fit, those to look at, those of which the prior's energies are known.
    """
    places = recipe.expansion.within(recipe.family.kept)
    known = [row for chosen in recipe.known for row in energies.rows(chosen, "known")]
    fitted, watched, others = (
        columns(rows.linear(group, table, recipe.exact_exchange), places)
        for group in (*all_rows(recipe, table), known)
    )
    return fitted, watched, others


def nearest(recipe: RowsRecipe, ready: Iterable[Linear], table: IntegralTable) -> Array:
    """Coefficients of the recipe's expansion, whose columns the rows have, nearest to the prior.

    By its energies of the rows to fit and of those that are known.
    """
    fitted, _, known = ready
    wanted = [
        linear.target + np.array([rows.errors(row, table, recipe.prior) for row in linear.rows])
        for linear in (fitted, known)
    ]
    return prior.coefficients(
        recipe,
        np.concatenate([fitted.matrix, known.matrix]),
        np.concatenate(wanted),
        np.concatenate([fitted.sigma, known.sigma]),
    )


def columns(linear: Linear, places: npt.NDArray[np.int64]) -> Linear:
    """Rows in some of their columns."""
    if not linear.rows:
        return Linear((), np.zeros((0, len(places))), np.zeros(0))
    return Linear(linear.rows, linear.matrix[:, places], linear.target)
