"""Rows of the least-squares problem: sums of total energies, with known values.

At fixed densities a row is linear in the functional's energy density. It names densities and grids
rather than numbers, so that a linear expansion and a network are fitted to the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xcnet.training.linear.preparation import Job
from xcnet.training.linear.table import IntegralTable

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Row:
    """One sum of energies.

    Parameters
    ----------
    term : str
        Term of the loss: ``energies``, ``grids``, ``bonds`` or ``validation``.
    set, name : str
        Where it comes from.
    terms : tuple of (float, Job, int)
        Coefficient, what was calculated, grid level.
    reference : float
        Value of the sum, in ``unit``.
    unit : str
        Unit of the sum, ``per_hartree`` of them are one Hartree.
    sigma : float
        Error that counts 1.
    tight : bool
        Whether the sigma is its own, not its set's.
    """

    term: str
    set: str
    name: str
    terms: tuple[tuple[float, Job, int], ...]
    reference: float
    unit: str
    per_hartree: float
    sigma: float
    tight: bool = False

    def ready(self, table: IntegralTable) -> bool:
        """Whether all of it was calculated."""
        return all(table.has(job.name, level) for _, job, level in self.terms)


@dataclass(frozen=True)
class Linear:
    """Rows as a linear system in the columns of an expansion, in each row's unit.

    ``matrix @ coefficients`` against ``target``, which has taken up all that is fixed.
    """

    rows: tuple[Row, ...]
    matrix: Array
    target: Array

    @property
    def sigma(self) -> Array:
        """Errors that count 1."""
        return np.array([row.sigma for row in self.rows])

    def subset(self, kept: npt.NDArray[np.signedinteger[Any]]) -> Linear:
        """Some of the rows."""
        return Linear(tuple(self.rows[i] for i in kept), self.matrix[kept], self.target[kept])


def linear(rows: Iterable[Row], table: IntegralTable, exact_exchange: float = 0.0) -> Linear:
    """System of those rows that are `Row.ready`, with this share of their exchange exact."""
    ready = tuple(row for row in rows if row.ready(table))
    matrix = np.array([_sum(row, table, "columns") for row in ready])
    target = np.array([row.reference - float(_sum(row, table, "fixed")) for row in ready])
    if exact_exchange and ready:
        matrix[:, table.family.kept.parts()["exchange"]] *= 1.0 - exact_exchange
        exact = np.array([float(_sum(row, table, "exact_exchange")) for row in ready])
        target -= exact_exchange * exact
    return Linear(ready, matrix, target)


def errors(row: Row, table: IntegralTable, functional: str) -> float:
    """Error of a functional whose integrals were kept, such as r2SCAN, at the same densities."""
    total = float(_sum(row, table, "fixed")) + float(_sum(row, table, functional))
    return total - row.reference


def _sum(row: Row, table: IntegralTable, what: str) -> Array:
    parts = [c * table.value(job.name, level, what) for c, job, level in row.terms]
    return np.asarray(row.per_hartree * np.sum(parts, axis=0))
