"""``xcnet bench SET``: calculate what is missing of a set, and print its table."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from xcnet import dispersion, extras
from xcnet.bench import plan, runner, statistics, tables
from xcnet.bench.store import Record, Store
from xcnet.bench.tasks import Task
from xcnet.errors import InputError, MissingPackageError
from xcnet.scf import executors
from xcnet.systems import benchmarks, sets
from xcnet.systems.sets import ENERGY, BenchmarkSet, Limits, Protocol

EXIT_NOT_CONVERGED = 1


def run(arguments: argparse.Namespace) -> int:
    """Run the set; exit code 1 when something has no converged result."""
    chosen = benchmarks.load(arguments.set)
    protocol, limits = _protocol(chosen, arguments), _limits(chosen, arguments)
    functionals = _names("--xc", arguments.xc)
    tasks = plan.plan(chosen, functionals, protocol, limits, _only(chosen, arguments))
    print(f"{chosen.title}\n{protocol.text()}")
    with Store(arguments.output or Path(f"{chosen.name}.jsonl")) as store:
        if store.repaired:
            print(f"xcnet: removed an unfinished last line of {store.path}", file=sys.stderr)
        todo = runner.remaining(tasks, store.records, arguments.retry)
        print(f"{len(tasks) - len(todo)} of {len(tasks)} results are in {store.path}")
        if todo:
            _calculate(todo, store, arguments)
        _print_tables(store.records, tasks)
        return _exit_code(store.records, tasks)


def _only(chosen: BenchmarkSet, arguments: argparse.Namespace) -> list[str] | None:
    """Names of the reactions to calculate; None for all."""
    if arguments.quick:
        if not chosen.quick:
            raise InputError(f"{chosen.name} has no small subset: leave out --quick, or use --only")
        return list(chosen.quick["only"])
    return _names("--only", arguments.only) if arguments.only else None


def _protocol(chosen: BenchmarkSet, arguments: argparse.Namespace) -> Protocol:
    """The set's protocol with what the user wants otherwise; a given grid is for all."""
    level = arguments.grid
    grid = {"grid_level": level, "finer_grids": False} if level is not None else {}
    if level is not None:
        grid["guess_grid_level"] = min(level, chosen.protocol.guess_grid_level)
    fit = "" if arguments.df == "none" else arguments.df
    return sets.changed(
        chosen.protocol,
        basis=arguments.basis,
        density_fit=fit,
        density=_density(chosen, arguments.density),
        **grid,
    )


def _density(chosen: BenchmarkSet, xc: str | None) -> str | None:
    """Functional of the densities: one of libxc, whose name says what it is."""
    if xc is None:
        return None
    if chosen.quantity != ENERGY:
        raise InputError(f"--density is for energies; {chosen.name} needs each functional's own")
    if plan.describe(xc).model:
        raise InputError(f"--density {xc}: give a functional of libxc, or HF", given=xc)
    if dispersion.split(xc)[1]:
        raise InputError(
            f"--density {xc}: no density depends on dispersion, whose energy would count twice; "
            "leave out the suffix",
            given=xc,
        )
    return xc


def _limits(chosen: BenchmarkSet, arguments: argparse.Namespace) -> Limits:
    return Limits(
        arguments.memory or chosen.limits.memory_gb, arguments.time or chosen.limits.seconds
    )


def _names(option: str, values: Sequence[str]) -> list[str]:
    """Names of a repeatable option, each once, in their order."""
    names = dict.fromkeys(name.strip() for value in values for name in value.split(","))
    names.pop("", None)
    if not names:
        raise InputError(f"{option} names nothing")
    return list(names)


def _calculate(todo: Sequence[Task], store: Store, arguments: argparse.Namespace) -> None:
    jobs = arguments.jobs
    place: AbstractContextManager[Any] = (
        executors.dask(arguments.dask, jobs) if arguments.dask else executors.threads(jobs)
    )
    width = max(len(task.molecule.name) for task in todo)
    with place as executor, _bar(todo, arguments.quiet) as bar:

        def report(task: Task, record: Record) -> None:
            bar.clear()
            print(_line(record, width), flush=True)
            bar.update(task.cost)

        runner.run(todo, store, executor, arguments.threads, report)


def _bar(todo: Sequence[Task], quiet: bool) -> Any:
    """Progress in estimated cost, so that the remaining time means something."""
    try:
        from tqdm import tqdm
    except ImportError as error:
        raise MissingPackageError(
            f"the progress display needs tqdm: {extras.hint('bench')}", package="tqdm"
        ) from error
    return tqdm(
        total=sum(task.cost for task in todo),
        disable=quiet or not sys.stderr.isatty(),
        file=sys.stderr,
        leave=False,
        bar_format="{percentage:3.0f}% |{bar}| {elapsed} < {remaining}",
    )


def _line(record: Record, width: int) -> str:
    start = f"{record['system']:<{width}}  {record['xc']}"
    if record["status"] != "converged":
        return f"{start}  {record['status'].upper()}: {statistics.explain(record)}"
    if "values" in record:
        values = " ".join(f"{value:.6g}" for value in record["values"])
        return f"{start}  {values}  {record['cycles']} cycles  {record['seconds']:.1f} s"
    cycles = f"{record['guess_cycles']}+{record['cycles']}"
    how = f"{cycles} cycles  {record['rungs'][-1][0]}  " if record["rungs"] else ""
    return f"{start}  {record['energy']:.8f} Ha  {how}{record['seconds']:.1f} s"


def _print_tables(records: Sequence[Record], tasks: Sequence[Task]) -> None:
    """Tables of this run's functionals."""
    keys = {(task.set, task.xc, task.model, task.protocol) for task in tasks}
    mine = [
        r for r in records if (r["set"], r["xc"], r["model"], Protocol(**r["protocol"])) in keys
    ]
    for section in statistics.sections(mine):
        print(f"\n{tables.text(section)}")


def _exit_code(records: Sequence[Record], tasks: Sequence[Task]) -> int:
    left = runner.remaining(tasks, records, retry=True)
    for task in left:
        print(f"xcnet: {task.molecule.name} with {task.xc} has no result", file=sys.stderr)
    return EXIT_NOT_CONVERGED if left else 0
