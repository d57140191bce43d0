"""``xcnet train rows``: ground states and integrals of a recipe's rows, and the linear baseline."""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from xcnet import extras
from xcnet.errors import InputError
from xcnet.paths import training_folder

if TYPE_CHECKING:
    from xcnet.training.linear.directions import DirectionsRecipe
    from xcnet.training.linear.families import RowsFamily
    from xcnet.training.linear.preparation import Job
    from xcnet.training.linear.recipe import RowsRecipe
    from xcnet.training.linear.table import IntegralTable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``xcnet train rows``."""
    add = parser.add_argument
    add("action", choices=("make", "plan", "table", "fit", "train"), help="make: calculate what "
        "is missing, smallest systems first, going on where an earlier run ended; plan: what is "
        "missing and what it costs; table: write all integrals to --table, and energies beside "
        "it as JSON lines; fit: the linear baseline; train: networks instead of it, exported to "
        "--output. Of a recipe of directions: make, plan, and train: its functional")  # fmt: skip
    add("recipe", help="recipe of rows (TOML), or name of a shipped one: general, "
        "gga, hybrid, nra, three, three_nra")  # fmt: skip
    add("--table", type=Path, metavar="FILE", help="file of integrals: written by table; read by "
        "fit and train beside those of this machine")  # fmt: skip
    add("--report", type=Path, metavar="FILE", help="page that fit and train write (default: "
        "printed)")  # fmt: skip
    add("--output", type=Path, default=Path(), metavar="FOLDER", help="where train makes the "
        "functional's folder (default: here)")  # fmt: skip
    add("--held-out", action="store_true", help="train: also errors of rows that were left out, by "
        "five more fits (fit always has them)")  # fmt: skip
    add("--jobs", type=int, default=1, metavar="N", help="processes of make (default: 1)")
    add("--dask", nargs="?", const="local", metavar="ADDRESS", help="run make on this Dask "
        "scheduler, or without an address on a local cluster")  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Do the action; exit code 1 when a system has no result."""
    with extras.for_training():
        from xcnet.training.linear import directions, recipe
    if along := directions.load(args.recipe):
        return _directed(along, args)
    chosen = recipe.load(args.recipe)
    if args.action in ("make", "plan"):
        return {"make": _make, "plan": _plan}[args.action](jobs(chosen), chosen.family, args)
    actions = {"table": _table, "fit": _fit, "train": _train}
    return actions[args.action](chosen, args)


def jobs(chosen: RowsRecipe) -> list[Job]:
    """Everything that a recipe's rows need."""
    from xcnet.training.linear import recipe
    from xcnet.training.loss import bonds, grids

    return [*recipe.jobs(chosen.chosen()), *grids.jobs(chosen), *bonds.jobs(chosen)]


def _directed(chosen: DirectionsRecipe, args: argparse.Namespace) -> int:
    from xcnet.training import directions_command
    from xcnet.training.linear import families, recipe

    if args.action in ("make", "plan"):
        needed = recipe.jobs(chosen.chosen())
        return {"make": _make, "plan": _plan}[args.action](needed, families.MGGA, args)
    if args.action != "train" or args.table or args.report or args.held_out:
        raise InputError(
            f"{args.recipe} is a recipe of directions, whose energies need densities: it has make, "
            "plan and train, without --table, --report and --held-out"
        )
    return directions_command.train(chosen, args.output)


def _make(needed: list[Job], family: RowsFamily, args: argparse.Namespace) -> int:
    from xcnet.training.linear import preparation

    with _executor(args) as executor:
        failed = preparation.run(needed, training_folder(), executor, _say, family)
    for name, reason in failed.items():
        _say(f"{name} has no result: {reason}")
    return 1 if failed else 0


@contextmanager
def _executor(args: argparse.Namespace) -> Iterator[Executor]:
    from xcnet.scf import executors
    from xcnet.training.linear import preparation

    if args.dask:
        with executors.dask(args.dask, args.jobs) as executor:
            yield executor
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(args.jobs, context, preparation.limit_memory)
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _plan(needed: list[Job], family: RowsFamily, args: argparse.Namespace) -> int:
    from xcnet.training.linear import preparation

    needed = preparation.unique(needed)
    left = [job for job in needed if not preparation.done(job, training_folder(), family)]
    hours, done = sum(job.cost for job in left) / 3600, len(needed) - len(left)
    print(f"{done} of {len(needed)} systems are done; {hours:.1f} hours are left")
    return 0


def _table(chosen: RowsRecipe, args: argparse.Namespace) -> int:
    from xcnet.training.linear import table

    integrals = _everything(chosen, args.table if args.table and args.table.exists() else None)
    path = args.table or Path("integrals.npz")
    table.write(path, integrals)
    table.write_energies(path.with_suffix(".jsonl"), integrals)
    print(f"{len(integrals.entries)} systems in {path} and {path.with_suffix('.jsonl')}")
    return 0


def _everything(chosen: RowsRecipe, path: Path | None) -> IntegralTable:
    from xcnet.training.linear import table

    here = table.collect(jobs(chosen), training_folder(), chosen.dispersion, chosen.family)
    if not path:
        return here
    earlier = table.beside(table.read(path, chosen.family), chosen.dispersion)
    entries = earlier.entries | here.entries
    return table.IntegralTable(entries, chosen.dispersion, chosen.family)


def _fit(chosen: RowsRecipe, args: argparse.Namespace) -> int:
    from xcnet.training.linear import fit, report

    integrals = _everything(chosen, args.table)
    problem = fit.problem(chosen, integrals)
    coefficients = problem.fit()
    held_out = problem.held_out(report=_say)
    lines = report.lines(problem, integrals, coefficients, held_out, _totals(chosen, integrals))
    _write(report.markdown(list(lines), problem, coefficients), args.report)
    return 0


def _train(chosen: RowsRecipe, args: argparse.Namespace) -> int:
    from xcnet.scf.densities import file_sha256
    from xcnet.training.linear import factors, report, table
    from xcnet.training.publish import general

    if args.held_out and (chosen.known or chosen.network.start):
        raise InputError(
            "no --held-out with [known] or where networks start from others: the rows that were "
            "left out would be in what the fit begins with"
        )
    folder = args.output / chosen.record.name
    if folder.exists():
        raise InputError(f"{folder} exists: remove it, or name another --output", file=str(folder))
    start = general.start(chosen)
    integrals = _everything(chosen, args.table)
    problem = factors.problem(chosen, integrals, start)
    module, coefficients = factors.train(problem, _say, start)
    held_out = None
    if args.held_out:
        held_out = problem.held_out(lambda rest: factors.train(rest)[1], 1, _say)
    totals = _totals(chosen, integrals)
    lines = list(report.lines(problem, integrals, coefficients, held_out, totals))
    errors = factors.truncation(module, coefficients, problem.recipe.expansion)
    beyond = ", ".join(f"{part} {error:.1e}" for part, error in errors.items())
    note = f"\nErrors are of the factors' expansion, off the factors by at most {beyond}.\n"
    _write(report.markdown(lines, problem, coefficients) + note, args.report)
    args.output.mkdir(parents=True, exist_ok=True)
    weights, used = (args.output / f"{chosen.record.name}{end}" for end in (".npz", ".rows.npz"))
    general.save_weights(module, weights)
    table.write(used, integrals)
    jobs_of = (job for row in problem.fitted.rows for _, job, _ in row.terms)
    elements = {element for job in jobs_of for element in job.system.symbols}
    general.publish(chosen, module, lines, elements, file_sha256(used), weights, folder)
    _say(f"{folder}, its weights in {weights}, its integrals in {used}")
    return 0


def _totals(chosen: RowsRecipe, integrals: IntegralTable) -> Counter[tuple[str, str]]:
    """Number of a recipe's rows, ready or not, by term and set."""
    from xcnet.training.linear import fit

    return Counter(
        (row.term, row.set) for group in fit.all_rows(chosen, integrals) for row in group
    )


def _write(page: str, path: Path | None) -> None:
    if path:
        path.write_text(page, encoding="utf-8")
    else:
        print(page)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
