"""Table of integrals: what fits need of every density, in one small file or from the cache.

The file can stand in for the ground states: fits of the linear expansion need nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xcnet.dispersion import Correction
from xcnet.errors import InputError
from xcnet.scf import fixed_density, kept
from xcnet.training.linear import integrals, preparation
from xcnet.training.linear.families import MGGA, RowsFamily
from xcnet.training.linear.preparation import Job

Array = npt.NDArray[np.float64]
#: D4's parameters, or none.
Parameters = Mapping[str, float] | None


@dataclass(frozen=True)
class DensityIntegrals:
    """One density, energies in Hartree.

    ``rest`` is without exchange and correlation, ``total`` with r2SCAN's; ``dispersion`` is D4's;
    ``columns`` and ``functionals`` are the integrals by grid level.
    """

    name: str
    rest: float
    total: float
    exact_exchange: float
    dispersion: float
    seconds: float
    levels: tuple[int, ...]
    columns: Array
    functionals: Array


@dataclass(frozen=True)
class IntegralTable:
    """Entries by the names of their files, see `fixed_density.key`; parameters of their D4."""

    entries: dict[str, DensityIntegrals] = field(default_factory=dict)
    dispersion: Parameters = None
    family: RowsFamily = MGGA

    def has(self, key: str, level: int) -> bool:
        """Whether there are integrals of a density on a grid."""
        return key in self.entries and level in self.entries[key].levels

    def value(self, key: str, level: int, what: str) -> Array:
        """``columns``, ``exact_exchange``, ``fixed`` (all but those) or a functional's energy."""
        entry = self.entries[key]
        place = entry.levels.index(level)
        if what == "columns":
            return entry.columns[place]
        if what == "fixed":
            return np.array(entry.rest + entry.dispersion)
        if what == "exact_exchange":
            return np.array(entry.exact_exchange)
        return np.array(entry.functionals[place][list(self.family.functionals).index(what)])


def collect(
    jobs: Iterable[Job], folder: Path, parameters: Parameters, family: RowsFamily = MGGA
) -> IntegralTable:
    """Table of those jobs that are done, with D4 energies of these parameters (none: zero)."""
    entries = {}
    for job in jobs:
        path = preparation.integrals_path(job, folder, family)
        if job.name not in entries and path.exists():
            entries[job.name] = _entry(job, folder, path, parameters)
    return IntegralTable(entries, parameters, family)


def _entry(job: Job, folder: Path, path: Path, parameters: Parameters) -> DensityIntegrals:
    state = fixed_density.read(preparation.state_path(job, folder))
    numbers = integrals.read(path)
    return DensityIntegrals(
        job.system.name,
        state.energies["rest"],
        state.energies["total"],
        state.energies["exact_exchange"],
        Correction("D4", parameters).energy(job.system) if parameters else 0.0,
        state.seconds,
        numbers.levels,
        numbers.columns,
        numbers.functionals,
    )


def beside(table: IntegralTable, parameters: Parameters) -> IntegralTable:
    """The same densities with D4's energies of these parameters, or without them.

    InputError if the table has energies of others: a table has no geometries.
    """
    if not parameters:
        entries = {k: replace(entry, dispersion=0.0) for k, entry in table.entries.items()}
        return IntegralTable(entries, None, table.family)
    if table.dispersion != parameters:
        raise InputError(
            f"the table has D4's energies with {table.dispersion or 'no parameters'}, the recipe "
            f"asks for {dict(parameters)}: make a table by this recipe",
            expected=dict(parameters),
            given=table.dispersion,
        )
    return table


_NUMBERS = ("rest", "total", "exact_exchange", "dispersion", "seconds")


def write(path: Path, table: IntegralTable) -> None:
    """Write the table: integrals of one grid each, one after the other."""
    entries = list(table.entries.values())
    facts = {
        "key": integrals.key(table.family),
        "functionals": list(table.family.functionals),
        "names": {key: entry.name for key, entry in table.entries.items()},
        "levels": [list(entry.levels) for entry in entries],
        "dispersion": table.dispersion and dict(table.dispersion),
    }
    arrays: kept.Arrays = {
        "facts": np.array(json.dumps(facts)),
        "numbers": np.array([[getattr(entry, name) for name in _NUMBERS] for entry in entries]),
        "columns": np.concatenate([entry.columns for entry in entries]),
        "functionals": np.concatenate([entry.functionals for entry in entries]),
    }
    kept.write(path, arrays)


def write_energies(path: Path, table: IntegralTable) -> None:
    """Write what was computed as JSON lines: a system each, energies in Hartree."""
    with path.open("w", encoding="utf-8") as stream:
        for key, entry in table.entries.items():
            numbers = {name: getattr(entry, name) for name in _NUMBERS}
            line = {"system": entry.name, "key": key, **numbers, "levels": list(entry.levels)}
            stream.write(json.dumps(line) + "\n")


def read(path: Path, family: RowsFamily = MGGA) -> IntegralTable:
    """Table of a file; InputError if it was altered, or other columns were integrated."""
    arrays = kept.read(path, ("facts", "numbers", "columns", "functionals"), "table of integrals")
    facts: dict[str, Any] = json.loads(str(arrays["facts"]))
    if facts["key"] != integrals.key(family):
        raise InputError(f"{path} has integrals of other columns", file=str(path))
    if "dispersion" not in facts:
        raise InputError(f"{path} does not say D4's parameters: make it again", file=str(path))
    entries, first = {}, 0
    rows = zip(facts["names"].items(), facts["levels"], arrays["numbers"], strict=True)
    for (key, name), levels, numbers in rows:
        last = first + len(levels)
        entries[key] = DensityIntegrals(
            name=name,
            levels=tuple(levels),
            columns=arrays["columns"][first:last],
            functionals=arrays["functionals"][first:last],
            **dict(zip(_NUMBERS, numbers.tolist(), strict=True)),
        )
        first = last
    return IntegralTable(entries, facts["dispersion"], family)
