"""AE147 at fixed densities: what a functional changes of r2SCAN's self-consistent energies.

A functional's error of an atomization energy is r2SCAN's self-consistent one, with the protocol of
``xcnet bench ae147``, and the difference of both functionals' energies at r2SCAN's densities in
def2-TZVP. Members whose densities are not there are left out, and counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xcnet.bench import statistics, store
from xcnet.bench.statistics import Column
from xcnet.systems import benchmarks
from xcnet.systems.units import KCAL_PER_HARTREE
from xcnet.training.linear import expansion
from xcnet.training.linear.expansion import Orders
from xcnet.training.linear.preparation import COMPACT, Job
from xcnet.training.linear.table import IntegralTable

Array = npt.NDArray[np.float64]
RECORDS = Path(__file__).resolve().parent / "results" / "ae147.jsonl"
SUBSET, BASE, LEVEL = "AE147", "r2SCAN", 3


def jobs() -> list[Job]:
    """All densities of the set."""
    reactions = benchmarks.of_set(benchmarks.load("ae147"))
    systems = {system.name: system for reaction in reactions for _, system in reaction.terms}
    return [Job(system, COMPACT, (LEVEL,)) for system in systems.values()]


@dataclass(frozen=True)
class Ae147:
    """Members that are there; energies in kcal/mol.

    ``matrix`` times coefficients less ``base`` is what a functional changes; ``errors`` are the
    self-consistent ones against accurate theory and against experiment, by functional, and
    ``whole`` the mean absolute ones of the whole set.
    """

    members: tuple[str, ...]
    total: int
    matrix: Array
    base: Array
    errors: dict[str, tuple[Array, Array]]
    whole: dict[str, tuple[float, float]]

    @classmethod
    def of(cls, table: IntegralTable, orders: Orders) -> Ae147:
        """All members with integrals in a table."""
        (section,) = statistics.sections(store.read(RECORDS))
        places = orders.within(expansion.KEPT)
        wanted = set(section.subsets[SUBSET])
        rows = [
            (reaction.name, _sum(table, terms, "columns"), _sum(table, terms, BASE))
            for reaction in section.reactions
            if reaction.name in wanted
            for terms in [[(n, Job(system, COMPACT, (LEVEL,))) for n, system in reaction.terms]]
            if all(table.has(job.name, LEVEL) for _, job in terms)
        ]
        names = [name for name, _, _ in rows]
        columns = list(zip(section.accurate, section.columns, strict=True))
        errors = {a.label: (_errors(a, names), _errors(e, names)) for a, e in columns}
        everything = section.subsets[SUBSET]
        whole = {a.label: (_mean(a, everything), _mean(e, everything)) for a, e in columns}
        matrix = np.array([row[places] for _, row, _ in rows]).reshape(len(rows), len(places))
        base = np.array([energy for _, _, energy in rows])
        return cls(tuple(names), len(wanted), matrix, base, errors, whole)

    def means(self, coefficients: Array) -> tuple[float, float]:
        """Mean absolute errors of a functional, against accurate theory and experiment."""
        change = self.matrix @ coefficients - self.base
        accurate, experiment = self.errors[BASE]
        return (
            float(np.abs(accurate + change).mean()),
            float(np.abs(experiment + change).mean()),
        )

    def measured(self, functional: str) -> tuple[float, float]:
        """Those of a functional that was calculated self-consistently, of the same members.

        Members that it does not converge for are left out.
        """
        accurate, experiment = self.errors[functional]
        return float(np.nanmean(np.abs(accurate))), float(np.nanmean(np.abs(experiment)))


def _mean(column: Column, names: Sequence[str]) -> float:
    return float(np.nanmean(np.abs(_errors(column, names))))


def _errors(column: Column, names: Sequence[str]) -> Array:
    return np.array([column.errors.get(name, np.nan) for name in names])


def _sum(table: IntegralTable, terms: Sequence[tuple[float, Job]], what: str) -> Array:
    parts = [n * table.value(job.name, LEVEL, what) for n, job in terms]
    return np.asarray(KCAL_PER_HARTREE * np.sum(parts, axis=0))
