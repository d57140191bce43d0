"""The learning curve's draws: reactions alone are drawn, and each draw is the same again."""

from __future__ import annotations

import numpy as np

from benchmarks import general_curve
from xcnet.scf.fixed_density import Scheme
from xcnet.systems.molecules import atom
from xcnet.training.linear import recipe
from xcnet.training.linear.fit import LinearProblem
from xcnet.training.linear.preparation import Job
from xcnet.training.loss.rows import Linear, Row

JOB = Job(atom("H"), Scheme("r2scan", "def2-svp", "", 1, 1e-8), (1,))


def _row(term: str, number: int) -> Row:
    return Row(term, "a set", str(number), ((1.0, JOB, 1),), 0.0, "mHa", 1000.0, 0.5)


def _problem() -> LinearProblem:
    rows = tuple(_row("grids" if i % 3 == 0 else "energies", i) for i in range(60))
    fitted = Linear(rows, np.arange(60.0)[:, None], np.arange(60.0))
    none = fitted.subset(np.arange(0))
    return LinearProblem(recipe.load("general"), fitted, none, none, np.zeros(1))


def test_reactions_are_drawn_and_all_else_is_kept() -> None:
    problem = _problem()
    drawn = general_curve.draw(problem, 7, np.random.default_rng((11, 7, 0))).fitted
    assert [row.name for row in drawn.rows if row.term == "grids"] == [
        row.name for row in problem.fitted.rows if row.term == "grids"
    ]
    assert sum(row.term == "energies" for row in drawn.rows) == 7
    assert [row.name for row in drawn.rows] == [str(int(x)) for x in drawn.matrix[:, 0]]


def test_draws_are_the_same_for_all_fits() -> None:
    class Counted(general_curve.Watched):
        """Only the coefficients themselves are looked at here."""

        def __init__(self) -> None:
            pass

        def errors(self, coefficients: np.ndarray) -> dict[str, float]:
            return {"all": float(coefficients[0])}

    def sums(part: LinearProblem) -> np.ndarray:
        return np.array([part.fitted.target.sum()])

    problem = _problem()
    few, many = (general_curve.curve(problem, Counted(), sums, draws) for draws in (1, 3))
    assert list(few) == list(many) == [25, 40]  # of 40 reactions
    assert few == {25: many[25][:1], 40: many[40]}
    assert len({errors["all"] for errors in many[25]}) == 3
