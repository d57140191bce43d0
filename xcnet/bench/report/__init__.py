"""``xcnet bench report``: results files in, one HTML page, its figures and README tables out."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from xcnet.bench import sets, statistics, store
from xcnet.bench.statistics import Section
from xcnet.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this action's arguments."""
    add = parser.add_argument
    add(
        "results",
        nargs="*",
        type=Path,
        metavar="FILE",
        help="results files (default: SET.jsonl of all sets in this folder)",
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
    add("--readme", type=Path, metavar="FILE", help="put the tables between its bench marks too")


def run(arguments: argparse.Namespace) -> int:
    """Write the report."""
    from xcnet.bench.report import page, readme

    sections = read(arguments.results or default_files(Path()))
    if arguments.xc:
        names = {name.strip() for value in arguments.xc for name in value.split(",")}
        _choose(sections, names)
    pair = tuple(arguments.scatter.split(",")) if arguments.scatter else ()
    path = page.write(sections, arguments.output, pair)
    print(f"{len(sections)} sets: {path}")
    if arguments.readme:
        changed = readme.update(arguments.readme, sections)
        print(f"{arguments.readme} {'updated' if changed else 'is up to date'}")
    return 0


def default_files(folder: Path) -> list[Path]:
    """Results files with the names that ``xcnet bench SET`` gives them.

    Raises
    ------
    InputError
        If there is none.
    """
    found = [path for name in sets.names() if (path := folder / f"{name}.jsonl").is_file()]
    if not found:
        raise InputError(
            f"no results file ({', '.join(f'{name}.jsonl' for name in sets.names())}) in "
            f"{folder.resolve()}; name one, or make one with xcnet bench SET --xc NAME"
        )
    return found


def read(files: Sequence[Path]) -> list[Section]:
    """Sections of all files together."""
    return statistics.sections(record for path in files for record in store.read(path))


def _choose(sections: Sequence[Section], names: set[str]) -> None:
    for section in sections:
        kept = [c for c in section.columns if c.label.removesuffix("-D3(BJ)") in names]
        section.columns[:] = kept
    if not any(section.columns for section in sections):
        raise InputError(f"no results of {', '.join(sorted(names))}", given=sorted(names))
