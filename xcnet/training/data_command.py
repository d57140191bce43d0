"""``xcnet train data``: get the data of a training set that is not shipped."""

from __future__ import annotations

import argparse
from pathlib import Path

from xcnet import extras


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``xcnet train data``."""
    parser.add_argument(
        "name", nargs="+", help="training or test sets, such as w4-17, bh876 or diet30"
    )
    parser.add_argument(
        "--from",
        dest="given",
        type=Path,
        metavar="FILE",
        help="JSON file of a set's records, or folder of such files, instead of downloading their "
        "public source",
    )


def run(args: argparse.Namespace) -> int:
    """Download or read, check and keep the data; exit code."""
    with extras.for_training():
        from xcnet.systems import public_data
    for name in args.name:
        print(public_data.install(name, args.given))
    return 0
