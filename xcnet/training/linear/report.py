"""What a fit reached, per set: in sample, held out, and functionals at the same densities."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xcnet.training.linear.fit import LinearProblem
from xcnet.training.linear.table import IntegralTable
from xcnet.training.loss import constraints, rows
from xcnet.training.loss.rows import Linear, Row

Array = npt.NDArray[np.float64]
#: Digits of errors, by unit.
DIGITS = {"kcal/mol": 2, "eV": 3, "mHa": 2, "e bohr": 4, "angstrom": 4}


@dataclass(frozen=True)
class Line:
    """Mean absolute errors of one set of rows, in its unit."""

    term: str
    set: str
    unit: str
    count: int
    total: int
    fit: float
    held_out: float | None
    largest: float
    worst: str
    beside: dict[str, float]


def lines(
    problem: LinearProblem,
    table: IntegralTable,
    coefficients: Array,
    held_out: Array | None,
    totals: dict[Any, int],
) -> Iterator[Line]:
    """One line for each term and set."""
    for linear, out in ((problem.fitted, held_out), (problem.validation, None)):
        errors = linear.matrix @ coefficients - linear.target if linear.rows else np.zeros(0)
        for group in dict.fromkeys((row.term, row.set) for row in linear.rows):
            index = np.array([i for i, r in enumerate(linear.rows) if (r.term, r.set) == group])
            yield _line(linear, index, errors, out, table, totals[group])


def _line(
    linear: Linear, index: Array, errors: Array, out: Array | None, table: IntegralTable, total: int
) -> Line:
    of = [linear.rows[i] for i in index]
    selected = errors[index]
    worst = int(np.argmax(np.abs(selected)))
    return Line(
        of[0].term,
        of[0].set,
        of[0].unit,
        len(of),
        total,
        float(np.mean(np.abs(selected))),
        None if out is None else float(np.mean(out[index])),
        float(selected[worst]),
        of[worst].name,
        {name: _mean(of, table, name) for name in table.family.beside},
    )


def _mean(of: Sequence[Row], table: IntegralTable, functional: str) -> float:
    return float(np.mean([abs(rows.errors(row, table, functional)) for row in of]))


def _errors(problem: LinearProblem, coefficients: Array) -> Array:
    return np.asarray(problem.fitted.matrix @ coefficients - problem.fitted.target)


def markdown(lines: Sequence[Line], problem: LinearProblem, coefficients: Array) -> str:
    """Page of a fit."""
    beside = problem.recipe.family.beside
    heads = ("term", "set", "unit", "rows", "fit", "held out", "largest", *beside)
    text = ["| " + " | ".join(heads) + " |", "| --- | --- | --- | ---: |"]
    text[-1] += " ---: |" * (3 + len(beside))
    for line in lines:
        digits = DIGITS[line.unit]
        numbers = [line.fit, line.held_out]
        shown = ["" if x is None else f"{x:.{digits}f}" for x in numbers]
        shown.append(f"{line.largest:+.{digits}f} ({line.worst})")
        shown += [f"{x:.{digits}f}" for x in line.beside.values()]
        start = [line.term, line.set, line.unit, f"{line.count} of {line.total}"]
        text.append("| " + " | ".join([*start, *shown]) + " |")
    alone = [
        f"{row.name} {error:+.{DIGITS[row.unit]}f} {row.unit}"
        for row, error in zip(problem.fitted.rows, _errors(problem, coefficients), strict=True)
        if row.tight
    ]
    broken = constraints.broken(problem.recipe, coefficients)
    shares = ", ".join(f"{part} {100 * share:.1f} %" for part, share in broken.items())
    sizes = problem.recipe.expansion.sizes()
    text += [
        "",
        *([f"Rows with a sigma of their own: {', '.join(alone)}.", ""] if alone else []),
        f"{sum(sizes.values())} coefficients ("
        + ", ".join(f"{part} {size}" for part, size in sizes.items())
        + f"), {len(problem.fitted.rows)} rows fitted. Share of the mesh of features where a bound "
        f"is broken: {shares}.",
    ]
    return "\n".join(text) + "\n"
