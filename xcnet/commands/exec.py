"""``xcnet exec -- PROGRAM ARGUMENTS``: a program that finds xcnet's functionals in its libxc.

The C library is preloaded: it answers for the functionals of the index and passes everything else
on to the libxc that the program is linked to. The program takes this process's place, with its
exit status and signals.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

from xcnet import shared_library
from xcnet.commands.exec_checks import check_program
from xcnet.commands.exec_index import index
from xcnet.errors import NativeError, ProgramError, UnsupportedError

PRELOAD = "LD_PRELOAD"
#: Programs that have no room for numbers of six digits.
SMALL_NUMBERS = frozenset({"abinit"})
#: Names the index for the preloaded library.
INDEX = "XCNET_INDEX"
#: What the library does when an evaluation fails.
ON_FAILURE = "XCNET_ON_FAILURE"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    parser.usage = (
        "xcnet exec [--id NUMBER=NAME ...] [--on-failure {stop,nan}] -- PROGRAM [ARGUMENT ...]"
    )
    parser.description = (
        "Run a program that is linked dynamically to libxc; xcnet's functionals have their names "
        "and numbers there (`xcnet list` shows both)."
    )
    parser.add_argument(
        "--id",
        action="append",
        default=[],
        metavar="NUMBER=NAME",
        help="give a functional a number that is free in libxc, for programs that have room for "
        "three digits (Abinit); repeatable",
    )
    parser.add_argument(
        "--on-failure",
        choices=("stop", "nan"),
        help="what happens when a functional cannot be evaluated: the program is stopped (so it is "
        f"by default), or gets NaN; also {ON_FAILURE}",
    )
    parser.add_argument("words", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    parser.set_defaults(refuse=parser.error)


def run(arguments: argparse.Namespace) -> int:
    """Become the program; returns only by an error.

    Raises
    ------
    ProgramError
        The program is not there, or cannot be given functionals.
    NativeError, MissingPackageError
        The library, or ONNX Runtime, is missing, or nothing can be kept.
    UnknownFunctionalError, UnsupportedError
        A number cannot be given to a functional.
    """
    words = arguments.words[arguments.words[:1] == ["--"] :]
    if not words:
        arguments.refuse("name the program to run, after --")
    if not sys.platform.startswith("linux"):
        raise UnsupportedError("xcnet exec needs Linux, whose loader can preload a library")
    program = find_program(words[0])
    if program.name in SMALL_NUMBERS and not arguments.id:
        raise ProgramError(
            f"{program.name} reads libxc's numbers as three digits each, and would take 100210 for "
            "two functionals: give yours a small number, as in xcnet exec --id 901=NN-metaGGA -- "
            f"{program.name} (ixc -901)",
            file=str(program),
        )
    library = shared_library.path()
    kept = index(arguments.id)
    for left_out in kept.warnings:
        print(f"xcnet: left out: {left_out}", file=sys.stderr)
    environment = {
        **os.environ,
        PRELOAD: preload(library, os.environ.get(PRELOAD, "")),
        INDEX: kept.path,
        **({ON_FAILURE: arguments.on_failure} if arguments.on_failure else {}),
    }
    warning = check_program(program, library, environment)
    if warning:
        print(f"xcnet: warning: {warning}", file=sys.stderr)
    return _become(program, words, environment)


def find_program(name: str) -> Path:
    """Program's file, found as a shell finds it.

    Raises
    ------
    ProgramError
        There is none, or it may not be executed.
    """
    program = shutil.which(name)
    if program is not None:
        return Path(program).absolute()
    path = Path(name)
    if os.sep in name and path.is_dir():
        raise ProgramError(f"{name} is a folder, not a program", file=name)
    if os.sep in name and path.exists():
        raise ProgramError(f"{name} is not executable (chmod +x makes it so)", file=name)
    where = "no such file" if os.sep in name else "no program of this name on the PATH"
    raise ProgramError(f"{name}: {where}", file=name)


def preload(library: Path, others: str) -> str:
    """LD_PRELOAD with the library after what is there: a sanitizer has to be first.

    Raises
    ------
    NativeError
        The library's path has a character that separates the entries of LD_PRELOAD.
    """
    if any(character in str(library) for character in ": \t\n"):
        raise NativeError(
            f"{library} cannot be preloaded, because its path has a space or a colon: install "
            "xcnet in another folder",
            file=str(library),
        )
    entries = others.replace(":", " ").split()
    return ":".join([*(entry for entry in entries if entry != str(library)), str(library)])


def _become(program: Path, words: list[str], environment: dict[str, str]) -> int:
    try:
        os.execve(program, words, environment)
    except OSError as error:
        raise ProgramError(
            f"{program} cannot be started: {error.strerror}", file=str(program)
        ) from error
