"""``xcnet train data``: get the data of a training set that is not shipped."""

from __future__ import annotations

import argparse
from pathlib import Path

from xcnet import extras
from xcnet.errors import MissingPackageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``xcnet train data``."""
    parser.add_argument("name", help="training set, such as w4-17")
    parser.add_argument(
        "--from",
        dest="given",
        type=Path,
        metavar="FILE",
        help="JSON file of the set's records, instead of downloading their public source",
    )


def run(args: argparse.Namespace) -> int:
    """Download or read, check and keep the data; exit code."""
    try:
        from xcnet.systems import public_data
    except ImportError as error:
        raise MissingPackageError(
            f"training needs {error.name}: {extras.hint('train')}", package=error.name
        ) from error
    print(public_data.install(args.name, args.given))
    return 0
