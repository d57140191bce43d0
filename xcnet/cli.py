"""The command ``xcnet``: picks the subcommand's module, and turns errors into one line.

A subcommand is a module with ``add_arguments(parser)`` and ``run(arguments) -> exit code``. It is
imported only when it was asked for, and imports heavy packages only when it runs.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import xcnet
from xcnet.errors import XCNetError

EXIT_ERROR = 2  # 1 is "ran, but did not converge"
EXIT_INTERRUPTED = 130

#: Subcommand, of one or two words -> its module and its line of help.
COMMANDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "list": ("xcnet.commands.list", "list functionals: neural ones and libxc's"),
        "info": ("xcnet.commands.info", "show what is known of a functional"),
        "cite": ("xcnet.commands.cite", "how to cite a functional"),
        "check": ("xcnet.check.command", "measure what a functional or a folder promises"),
        "plot": ("xcnet.plot.command", "draw enhancement factors and energies along a bond"),
        "models": ("xcnet.commands.models", "install, remove and locate neural functionals"),
        "psi4": ("xcnet.commands.psi4", "run Psi4 with these functionals, or hook them into it"),
        "run": ("xcnet.job", "compare functionals on molecules, in PySCF"),
        "exec": ("xcnet.commands.exec", "run a program with the functionals in its libxc"),
        "bench": ("xcnet.bench.command", "measure accuracy and speed of functionals"),
        "train": ("xcnet.training.command", "train a functional from a recipe"),
        "train data": ("xcnet.training.data_command", "get the data of a training set"),
        "train rows": (
            "xcnet.training.rows_command",
            "energies of many systems at fixed densities, and what is linear in them",
        ),
        "train reference": (
            "xcnet.references.reference_command",
            "make the accurate energies and densities of a training set again",
        ),
    }
)
#: Subcommands whose further words belong to the program that they run.
RUNNERS = frozenset({"exec"})


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    words = sys.argv[1:] if argv is None else list(argv)
    chosen = next((word for word in words if not word.startswith("-")), "")
    words, chosen = _join_pair(words, chosen)
    own = words.index(chosen) if chosen in RUNNERS else len(words)
    debug = "--debug" in words[:own] or bool(os.environ.get("XCNET_DEBUG"))
    words = [word for word in words[:own] if word != "--debug"] + words[own:]
    try:
        arguments = _parser(chosen).parse_args(words)
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except XCNetError as error:
        if debug:
            raise
        print(f"xcnet: {error}", file=sys.stderr)
        return EXIT_ERROR
    except KeyboardInterrupt:
        if debug:
            raise
        print("xcnet: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader (`| head`) has enough; Python's flush at exit must not complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def _join_pair(words: list[str], chosen: str) -> tuple[list[str], str]:
    """Make one word of a subcommand that has two, such as ``train data``."""
    first = words.index(chosen) if chosen else 0
    pair = " ".join(words[first : first + 2])
    if pair not in COMMANDS:
        return words, chosen
    return [*words[:first], pair, *words[first + 2 :]], pair


def _parser(chosen: str) -> argparse.ArgumentParser:
    """Parser that knows every subcommand's name and the chosen one's arguments."""
    parser = argparse.ArgumentParser(
        prog="xcnet", description="Neural exchange-correlation functionals, served like libxc's."
    )
    parser.add_argument("--version", action="version", version=f"xcnet {xcnet.__version__}")
    parser.add_argument(
        "--debug",
        action="store_true",
        help="show the traceback of an error, anywhere on the line (or set XCNET_DEBUG)",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, (module_name, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        if name == chosen:
            module = importlib.import_module(module_name)
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    return parser


if __name__ == "__main__":
    sys.exit(main())
