"""What fits need of every system, made once: its ground state, and integrals at that density.

The systems come smallest first, so that a fit has rows at any time; a run that is ended goes on
with what is left. Both run through an executor, of this machine or of Dask; the files are written
here.
"""

from __future__ import annotations

import json
import math
import resource
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future, as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from xcnet.errors import XCNetError
from xcnet.scf import fixed_density
from xcnet.scf.fixed_density import FixedDensity, Scheme
from xcnet.systems.elements import SYMBOLS
from xcnet.systems.molecules import Molecule
from xcnet.training.linear import families, integrals
from xcnet.training.linear.families import MGGA, RowsFamily
from xcnet.training.linear.integrals import Integrals

GIB = 1 << 30
MEMORY_GB = 6
STATES, INTEGRALS = "ground-states", "integrals"
#: A ground state's grid: enough where errors of 0.01 kcal/mol do not count, and where they do. The
#: density's error changes energies in second order of what the functional's potential is off.
FIT = "def2-universal-jkfit"
COARSE = Scheme("r2scan", "def2-tzvppd", FIT, 1, 1e-8)
COMPACT = Scheme("r2scan", "def2-tzvp", FIT, 1, 1e-8)
FINE = Scheme("r2scan", "def2-tzvppd", FIT, 2, 1e-9)
FIELD = Scheme("r2scan", "def2-tzvppd", FIT, 2, 1e-11)
ATOMS = Scheme("r2scan", "def2-qzvppd", "", 3, 1e-9)


@dataclass(frozen=True)
class Job:
    """One system to do.

    Parameters
    ----------
    system : Molecule
    scheme : Scheme
    levels : tuple of int
        Grid levels of its integrals.
    weight : float
        Of its cost in the order of jobs: less than 1 is earlier.
    """

    system: Molecule
    scheme: Scheme
    levels: tuple[int, ...]
    weight: float = 1.0

    @property
    def name(self) -> str:
        """Name of its files."""
        return fixed_density.key(self.system, self.scheme)

    @property
    def cost(self) -> float:
        """Processor seconds, roughly: fitted to records of AE147 (general_functional)."""
        compact = self.scheme.basis == COMPACT.basis
        size = sum(_functions(symbol, compact) for symbol in self.system.symbols)
        spin = 0.48 if self.system.spin else 0.0
        return math.exp(-10.13 + 2.37 * math.log(size) + spin)


def _functions(symbol: str, compact: bool) -> int:
    """Functions of def2-TZVPPD, or def2-TZVP, roughly."""
    number = SYMBOLS.index(symbol)
    row = 0 if number <= 2 else 1 if number <= 10 else 2 if number <= 18 else 3
    return ((6, 31, 37, 48) if compact else (17, 40, 50, 65))[row]


def unique(jobs: Iterable[Job]) -> list[Job]:
    """Each density once, with all levels that anybody wants, as early as anybody wants it."""
    by_name: dict[str, Job] = {}
    for job in jobs:
        other = by_name.get(job.name, job)
        levels = tuple(sorted({*job.levels, *other.levels}))
        weight = min(job.weight, other.weight)
        by_name[job.name] = replace(job, levels=levels, weight=weight)
    return list(by_name.values())


def done(job: Job, folder: Path, family: RowsFamily = MGGA) -> bool:
    """Whether both files of a job are there, with all levels."""
    path = integrals_path(job, folder, family)
    return path.exists() and set(job.levels) <= set(integrals.read(path).levels)


def state_path(job: Job, folder: Path) -> Path:
    """File of a job's ground state."""
    return folder / STATES / f"{job.name}.npz"


def integrals_path(job: Job, folder: Path, family: RowsFamily = MGGA) -> Path:
    """File of a job's integrals."""
    return folder / INTEGRALS / integrals.key(family) / f"{job.name}.npz"


def run(
    jobs: Iterable[Job],
    folder: Path,
    executor: Executor,
    report: Callable[[str], None],
    family: RowsFamily = MGGA,
) -> dict[str, str]:
    """Do what is left of the jobs; reasons of those that failed, by the systems' names."""
    ordered = sorted(unique(jobs), key=lambda job: job.weight * job.cost)
    left = [job for job in ordered if not done(job, folder, family)]
    report(f"{len(ordered) - len(left)} of {len(ordered)} systems are done")
    futures: dict[Future[Any], Job] = {}
    failed: dict[str, str] = {}
    for job in left:
        path = state_path(job, folder)
        futures[executor.submit(calculate, to_json(job), str(path), family.name)] = job
    for count, future in enumerate(as_completed(futures), 1):
        job = futures[future]
        try:
            state, calculated, seconds = future.result()
        except (XCNetError, MemoryError) as error:
            failed[job.system.name] = f"{type(error).__name__}: {error}"
            report(f"{job.system.name}: {failed[job.system.name]}")
            continue
        if state is not None:
            fixed_density.write(state_path(job, folder), state)
        integrals.write(integrals_path(job, folder, family), calculated)
        report(
            f"{count}/{len(left)} {job.system.name} {seconds:.1f} s, expected {job.cost:.1f}, "
            f"at {time.strftime('%H:%M:%S')}"
        )
    return failed


def calculate(
    text: str, path: str, family: str = MGGA.name
) -> tuple[FixedDensity | None, Integrals, float]:
    """Ground state (None if the file of it is there), integrals, processor seconds of a job."""
    start, job = time.process_time(), from_json(text)
    kept = Path(path)
    made = None if kept.exists() else fixed_density.solve(job.system, job.scheme)
    state = made or fixed_density.read(kept)
    made_of = integrals.calculate(state, job.levels, families.FAMILIES[family])
    return made, made_of, time.process_time() - start


def limit_memory() -> None:
    """Keep a worker's memory within the bound: what needs more fails by itself, alone."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_GB * GIB, MEMORY_GB * GIB))


def to_json(job: Job) -> str:
    """The job as text, to travel to another process or machine."""
    return json.dumps(asdict(job))


def from_json(text: str) -> Job:
    """Inverse of `to_json`."""
    data = json.loads(text)
    return Job(
        fixed_density.molecule_of(data["system"]),
        Scheme(**data["scheme"]),
        tuple(data["levels"]),
        data["weight"],
    )
