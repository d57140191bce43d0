"""``xcnet bench report``: results files in, one HTML page, its figures and README tables out."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from xcnet.bench import statistics, store
from xcnet.bench.statistics import Section
from xcnet.bench.store import Record
from xcnet.errors import InputError
from xcnet.systems import benchmarks


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this action's arguments."""
    add = parser.add_argument
    add(
        "results",
        nargs="*",
        type=Path,
        metavar="FILE",
        help="results files (default: SET.jsonl of all sets and speed.jsonl in this folder)",
    )
    add(
        "--output",
        type=Path,
        default=Path("bench-report"),
        metavar="FOLDER",
        help="where index.html and the PNG files go (default: %(default)s)",
    )
    add("--xc", action="append", metavar="NAME,NAME...", help="only these functionals")
    add(
        "--scatter",
        metavar="A,B",
        help="functionals of the scatter plot (default: the best two of each set)",
    )
    add(
        "--readme",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="put the tables between its bench marks too; may be given again",
    )
    add(
        "--pictures",
        type=Path,
        metavar="FOLDER",
        help="folder of the two pictures that README and pages show",
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the report."""
    from xcnet.bench.report import page, readme

    sections, speed = read(arguments.results or default_files(Path()))
    if arguments.xc:
        names = {name.strip() for value in arguments.xc for name in value.split(",")}
        _choose(sections, names)
    pair = tuple(arguments.scatter.split(",")) if arguments.scatter else ()
    path = page.write(sections, speed, arguments.output, pair)
    print(path)
    for document in arguments.readme:
        changed = readme.update(document, sections, speed)
        print(f"{document} {'updated' if changed else 'is up to date'}")
    if arguments.pictures:
        for picture in page.pictures(sections, speed, arguments.pictures):
            print(picture)
    return 0


def default_files(folder: Path) -> list[Path]:
    """Results files of a folder, with the names that ``xcnet bench`` gives them.

    Raises
    ------
    InputError
        If there is none.
    """
    names = [f"{name}.jsonl" for name in (*benchmarks.names(), "speed")]
    paths = [path for name in names if (path := folder / name).is_file()]
    if not paths:
        raise InputError(
            f"no results file ({', '.join(names)}) in {folder.resolve()}; name one, or make one "
            "with xcnet bench SET --xc NAME"
        )
    return paths


def read(files: Sequence[Path]) -> tuple[list[Section], list[Record]]:
    """Accuracy sections of all files together, and their records of speed."""
    records = [record for path in files for record in store.read(path)]
    speed = [record for record in records if "speed" in record]
    return statistics.sections(r for r in records if "speed" not in r), speed


def _choose(sections: Sequence[Section], names: set[str]) -> None:
    for section in sections:
        kept = [c for c in section.columns if names & {c.label, c.xc}]
        section.columns[:] = kept
        section.troubles[:] = [r for r in section.troubles if r["xc"] in names]
    if not any(section.columns for section in sections):
        raise InputError(f"no results of {', '.join(sorted(names))}", given=sorted(names))
