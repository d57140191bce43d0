"""``xcnet check``: one report of all that a functional promises."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from xcnet import check
from xcnet.check import results, robustness
from xcnet.errors import InputError

EXIT_FAILED = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    add = parser.add_argument
    add("name", help="name, alias, id or expression; or a functional folder, with a / in its path")
    add("--html", type=Path, metavar="FILE", help="write the report as a page too")
    add(
        "--back",
        default="",
        metavar="ADDRESS",
        help="page that the one of --html links to at its top",
    )
    add("--json", type=Path, metavar="FILE", help="write the results for programs")
    add(
        "--points",
        type=_count,
        default=robustness.FULL,
        metavar="N",
        help="densities of the robustness section (default: %(default)s)",
    )
    add("--scf", action="store_true", help="also the noise of self-consistent energies, in PySCF")
    add("--quiet", action="store_true", help="no progress display")


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text} is not a positive whole number")
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    """Check; exit code 1 when something failed."""
    if arguments.html:  # what it needs is missed now, not after a million densities
        from xcnet.check import page
    with _progress(arguments.points, arguments.quiet) as (progress, stage):
        report = check.run(
            arguments.name,
            arguments.points,
            in_molecules=True,
            scf=arguments.scf,
            progress=progress,
            stage=stage,
        )
    print(f"{report.name}, xcnet {report.version}\n")
    print(results.text(report.results))
    if arguments.json:
        _write(arguments.json, json.dumps(_document(report), indent=2, allow_nan=False) + "\n")
    if arguments.html:
        _write(arguments.html, page.render(report, arguments.back))
    print(f"\n{results.summary(report.results)}")
    return EXIT_FAILED if report.failures else 0


def _document(report: check.Report) -> dict[str, object]:
    rows = [asdict(result) for result in report.results]
    for row in rows:
        if row["value"] is not None and not math.isfinite(row["value"]):
            row["value"] = None  # no number of JSON
    return {"format": 1, "name": report.name, "version": report.version, "results": rows}


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}", file=str(path)) from error


@contextmanager
def _progress(
    total: int, quiet: bool
) -> Iterator[tuple[Callable[[int], None], Callable[[str], None]]]:
    """Bar of the densities, and what is done now, on a terminal, where tqdm is installed."""
    silent = (lambda done: None, lambda text: None)
    if quiet or not sys.stderr.isatty():
        yield silent
        return
    try:
        from tqdm import tqdm
    except ImportError:
        yield silent
        return
    with tqdm(total=total, file=sys.stderr, leave=False, unit=" densities", unit_scale=True) as bar:
        yield bar.update, bar.set_description
