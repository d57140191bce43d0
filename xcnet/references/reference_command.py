"""``xcnet train reference``: make the accurate energies and densities of a training set again."""

from __future__ import annotations

import argparse
from pathlib import Path

from xcnet import extras

SET = "three-molecules"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``xcnet train reference``."""
    parser.add_argument("name", nargs="?", default=SET, help="training set (default: %(default)s)")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("references"),
        metavar="FOLDER",
        help="where the two files are made, and an interrupted run is continued "
        "(default: references)",
    )


def run(args: argparse.Namespace) -> int:
    """Compute, write, and compare with what is shipped; exit code."""
    with extras.for_training():
        from xcnet.references import accurate_making
    for path in accurate_making.make_set(args.name, args.output):
        print(path)
    for line in accurate_making.comparison(args.name, args.output):
        print(line)
    return 0
