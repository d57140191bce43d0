"""``xcnet bench``: run a benchmark set, show results, measure speed."""

from __future__ import annotations

import argparse
import importlib
import os
from pathlib import Path

from xcnet.systems import benchmarks

LEAST_MEMORY = 0.5  # GB, for Python, PySCF and ONNX Runtime without a molecule

#: Actions beside the sets: module and line of help.
ACTIONS = {
    "report": ("xcnet.bench.report", "tables and figures of results files"),
    "speed": ("xcnet.bench.speed", "time compute, Fock builds and whole calculations"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the sets and the other actions with their arguments."""
    actions = parser.add_subparsers(metavar="SET|ACTION", required=True)
    for name in benchmarks.names():
        title = benchmarks.load(name).title
        action = actions.add_parser(name, help=title, description=f"{title}.")
        _add_set_arguments(action)
        action.set_defaults(act="xcnet.bench.accuracy", set=name)
    for name, (module, text) in ACTIONS.items():
        action = actions.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        importlib.import_module(module).add_arguments(action)
        action.set_defaults(act=module)


def _add_set_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--xc", action="append", required=True, metavar="NAME,NAME...", help="functionals")
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--quick", action="store_true", help="the set's small representative subset")
    part.add_argument(
        "--only", action="append", metavar="NAME,NAME...", help="only these of the set"
    )
    add("--output", type=Path, metavar="FILE", help="results file, added to (default: SET.jsonl)")
    add("--retry", action="store_true", help="do again what failed or did not converge")
    add("--dask", nargs="?", const="local", metavar="ADDRESS", help="run on this Dask scheduler "
        "(tcp://...), or without an address on a local cluster")  # fmt: skip
    add("--jobs", type=_count, default=min(2, os.cpu_count() or 1), metavar="N",
        help="calculations at once on this machine (default: %(default)s)")  # fmt: skip
    add("--threads", type=_count, default=1, help="threads of each (default: %(default)s)")
    add("--basis", help="another basis set than the protocol's")
    add(
        "--grid", type=int, choices=range(10), metavar="0-9", help="grid level, for all functionals"
    )
    add("--df", metavar="BASIS", help="another auxiliary basis; 'none': no density fitting")
    add("--density", metavar="NAME", help="energies at the density of this functional, made once")
    add("--memory", type=_memory, metavar="GB", help="memory limit of a calculation")
    add("--time", type=_positive, metavar="SECONDS", help="time limit of a calculation")
    add("--quiet", action="store_true", help="no progress display")


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text} is not a positive whole number")
    return int(text)


def _positive(text: str) -> float:
    value = float(text)
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def _memory(text: str) -> float:
    value = _positive(text)
    if value < LEAST_MEMORY:
        raise argparse.ArgumentTypeError(
            f"{text} GB do not hold the program: {LEAST_MEMORY} at least"
        )
    return value


def run(arguments: argparse.Namespace) -> int:
    """Run the chosen action."""
    code: int = importlib.import_module(arguments.act).run(arguments)
    return code
