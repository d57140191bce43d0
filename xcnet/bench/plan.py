"""From a set and functionals to tasks, with everything checked that can be before the first one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from xcnet import dispersion
from xcnet.bench.tasks import Task, ordered
from xcnet.scf.molecule import build
from xcnet.systems import benchmarks
from xcnet.systems.reactions import systems
from xcnet.systems.sets import BenchmarkSet, Limits, Protocol


@dataclass(frozen=True)
class Described:
    """What tasks need to know of a functional."""

    model: str
    grid_level: int


@cache
def describe(xc: str) -> Described:
    """Check that PySCF can use the functional; the hash of its values and the grid it needs."""
    from xcnet.scf import calculation

    record = calculation.check_functional(xc)
    return Described(
        model="+".join(neural["values_sha256"] for neural in record["neural"]),
        grid_level=max([0, *(neural["grid_level"] for neural in record["neural"])]),
    )


def grid_level(xc: str, protocol: Protocol) -> int:
    """Level that the functional is integrated with."""
    own = describe(xc).grid_level if protocol.finer_grids else 0
    return max(protocol.grid_level, own)


def plan(
    chosen: BenchmarkSet,
    functionals: Sequence[str],
    protocol: Protocol,
    limits: Limits,
    only: Sequence[str] | None = None,
) -> list[Task]:
    """All tasks of a set.

    Raises
    ------
    UnknownFunctionalError, ExpressionError, UnsupportedError
        For a functional that cannot be used.
    InputError
        For a basis set that is unknown or lacks an element.
    MissingPackageError
    """
    if chosen.dispersion:  # the tables need it: what is missing is said before any work
        for xc in functionals:
            dispersion.of(xc, dispersion.method(xc, chosen.dispersion))
    molecules = systems(benchmarks.of_set(chosen, only))
    for molecule in molecules:
        build(molecule, protocol.basis)
    tasks = [
        Task(
            set=chosen.name,
            molecule=molecule,
            xc=xc,
            model=describe(xc).model,
            protocol=protocol,
            grid_level=grid_level(xc, protocol),
            limits=limits,
            quantity=chosen.quantity,
        )
        for xc in functionals
        for molecule in molecules
    ]
    return ordered(tasks, functionals)
