"""``xcnet train``: from a recipe to a functional folder."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from xcnet import extras

EXIT_INTERRUPTED = 130


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``xcnet train``."""
    parser.epilog = "See also `xcnet train data --help` and `xcnet train reference --help`."
    parser.add_argument("recipe", help="recipe file (TOML), or name of a shipped one: nn_r2scan")
    parser.add_argument(
        "--resume", action="store_true", help="continue an interrupted training, if there is one"
    )
    parser.add_argument(
        "--device",
        default="auto",
        help="torch device of the fit: cpu, cuda ... (default: auto, cuda where torch sees such a "
        "GPU, else cpu); densities and refinement are computed on the CPU",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("models"),
        help="folder in which the functional's folder is made (default: models)",
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=None,
        help="folder of densities, checkpoint and report (default: the user's cache)",
    )
    parser.add_argument(
        "--threads",
        type=int,
        default=1,
        metavar="N",
        help="threads of PySCF and torch (default: 1, with which a training on the CPU gives the "
        "same bits every time)",
    )


def run(args: argparse.Namespace) -> int:
    """Train, report and export; exit code."""
    with extras.for_training():
        from xcnet.training import workflow
    try:
        written = workflow.train(
            *(args.recipe, args.output, args.data, args.device, args.resume, args.threads),
            say=lambda line: print(line, file=sys.stderr),
        )
    except KeyboardInterrupt:
        print("\ninterrupted; --resume continues where it was", file=sys.stderr)
        return EXIT_INTERRUPTED
    for path in written:
        print(path)
    return 0
