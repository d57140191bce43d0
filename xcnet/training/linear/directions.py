"""Few numbers by few energies: directions in which r2SCAN changes, at its fixed densities.

A recipe of them (TOML) has ``[energies.SET]`` and ``[validation.SET]`` as recipes of rows have
them, and ``[directions]``: ``names`` among `xcnet.training.form.directed`, whose numbers the
energies determine by least squares, and ``ridge``: numbers that change the energies by their mean
error, on average, count so much beside them.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from xcnet.scf import fixed_density, kept
from xcnet.scf.fixed_density import FixedDensity
from xcnet.training.form.directed import (
    DIRECTIONS,
    LOCAL_DIRECTIONS,
    NEAR_REGION_DIRECTIONS,
    EnergyParts,
    parts,
)
from xcnet.training.form.features.correlation import NEAR_REGION
from xcnet.training.linear import integrals, preparation, table
from xcnet.training.linear.preparation import Job
from xcnet.training.linear.recipe import Chosen, RowsRecord, reading, sets_of
from xcnet.training.loss import energies, rows
from xcnet.training.loss.rows import Row

Array = npt.NDArray[np.float64]
NAMES, LEVEL = tuple(DIRECTIONS), 3
LOCAL = tuple(LOCAL_DIRECTIONS)
LEAST_DENSITY = 1e-10


@dataclass(frozen=True)
class DirectionsRecipe:
    """All of it; ``sha256`` is the file's."""

    energies: tuple[Chosen, ...]
    validation: tuple[Chosen, ...]
    names: tuple[str, ...]
    ridge: float
    record: RowsRecord
    sha256: str

    def chosen(self) -> Iterator[Chosen]:
        """All sets of energies."""
        yield from self.energies
        yield from self.validation

    @property
    def near_region(self) -> bool:
        """Whether a direction has the near-region density."""
        return any(name in NEAR_REGION_DIRECTIONS for name in self.names)

    @property
    def considered(self) -> tuple[str, ...]:
        """All directions of this kind: those that the chosen ones were chosen from."""
        return NAMES if self.near_region else LOCAL

    @property
    def places(self) -> list[int]:
        """Its directions among those."""
        return [self.considered.index(name) for name in self.names]


def load(source: str) -> DirectionsRecipe | None:
    """Recipe of a file, or a shipped one by its name; None if it is one of rows.

    Raises
    ------
    InputError
        There is no such file, or it is not such a recipe.
    """
    with reading(source) as path:
        data = path.read_bytes()
        record = tomllib.loads(data.decode())
        if "directions" not in record:
            return None
        settings, facts = record.pop("directions"), record.pop("record")
        if unknown := set(settings["names"]) - set(NAMES):
            raise ValueError(f"direction {', '.join(unknown)} is none of {'; '.join(NAMES)}")
        sets = {name: sets_of(record.pop(name)) for name in ("energies", "validation")}
        if record:
            raise ValueError(f"[directions] has nothing to do with {', '.join(record)}")
        return DirectionsRecipe(
            **sets,
            names=tuple(settings["names"]),
            ridge=settings["ridge"],
            record=RowsRecord(**facts | {"densities": tuple(facts["densities"])}),
            sha256=hashlib.sha256(data).hexdigest(),
        )


@dataclass(frozen=True)
class Changes:
    """What all directions change of some energies (N, directions), and r2SCAN's errors (N,).

    Both in kcal/mol.
    """

    names: tuple[str, ...]
    changes: Array
    errors: Array

    def after(self, places: Sequence[int], numbers: Array) -> Array:
        """Errors (N,) with these numbers of some directions."""
        return np.asarray(self.errors + self.changes[:, places] @ numbers)

    def mean(self, places: Sequence[int], numbers: Array) -> float:
        """Mean absolute error with them."""
        return float(np.abs(self.after(places, numbers)).mean())


def of_density(state: FixedDensity, names: Sequence[str] = LOCAL) -> Array:
    """Energies of some directions at a density, Hartree."""
    total = np.zeros(len(names))
    near_region = any(name in NEAR_REGION_DIRECTIONS for name in names)
    for made, volume in _parts(state, near_region):
        total += [float(volume @ DIRECTIONS[name](made)) for name in names]
    return total


def _parts(state: FixedDensity, near_region: bool) -> Iterator[tuple[EnergyParts, torch.Tensor]]:
    """Of each block of a density's points, with electrons (N,) at them."""
    descriptor = NEAR_REGION if near_region else None
    for rho, sigma, tau, weights, *near in integrals.points(state, LEVEL, descriptor):
        n = rho.sum(axis=1)
        dense = n > LEAST_DENSITY
        given = (rho, sigma, tau, *(values[:, None] for values in near))
        made = parts(*(torch.from_numpy(x[dense]) for x in given))
        yield made, torch.from_numpy(n[dense] * weights[dense])


class Known:
    """Changes of the densities in a folder, each computed once.

    Parameters
    ----------
    folder : path
    names : sequence of str
        The directions.
    """

    def __init__(self, folder: Path, names: Sequence[str] = LOCAL) -> None:
        self.folder, self._names = folder, names
        self._kept: dict[str, Array] = {}

    def has(self, job: Job) -> bool:
        """Whether there is a density."""
        return preparation.state_path(job, self.folder).exists()

    def of(self, terms: Iterable[tuple[float, Job]]) -> Array:
        """Change (directions,) of a sum of energies, Hartree."""
        return np.asarray(np.sum([factor * self._of(job) for factor, job in terms], axis=0))

    def _of(self, job: Job) -> Array:
        if job.name not in self._kept:
            state = fixed_density.read(preparation.state_path(job, self.folder))
            self._kept[job.name] = of_density(state, self._names)
        return self._kept[job.name]

    def of_sets(self, chosen: Iterable[Chosen]) -> Changes:
        """Of the reactions that are there, of some sets."""
        named = [row for one in chosen for row in energies.rows(one, "energies")]
        jobs = [job for row in named for _, job, _ in row.terms]
        known = table.collect(jobs, self.folder, None)
        ready = [row for row in named if row.ready(known)]
        return Changes(
            tuple(row.name for row in ready),
            np.array([self._row(row) for row in ready]),
            np.array([rows.errors(row, known, "r2SCAN") for row in ready]),
        )

    def _row(self, row: Row) -> Array:
        return row.per_hartree * self.of((factor, job) for factor, job, _ in row.terms)


def numbers(fitted: Changes, places: Sequence[int], ridge: float) -> Array:
    """Numbers of some directions by least squares."""
    size = np.abs(fitted.changes[:, places]).mean(axis=0) / np.abs(fitted.errors).mean()
    matrix = fitted.changes[:, places] / size
    held = ridge * np.eye(len(places))
    target = np.concatenate([-fitted.errors, np.zeros(len(places))])
    return np.asarray(np.linalg.lstsq(np.vstack([matrix, held]), target, rcond=None)[0] / size)


def write(path: Path, **groups: Changes) -> None:
    """Keep changes and errors of groups of energies in one file."""
    arrays: kept.Arrays = {
        f"{group}_{name}": np.asarray(value)
        for group, of in groups.items()
        for name, value in vars(of).items()
    }
    kept.write(path, arrays)
