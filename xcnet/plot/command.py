"""``xcnet plot``: the enhancement factor of a functional, and its energy along a bond."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from xcnet.errors import InputError

FORMATS = ("png", "svg")
ROW = 3.4  # inches


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    add = parser.add_argument
    add("name", help="name, alias, id or expression")
    add("--vs", metavar="NAME", help="another functional to stand beside it: SCAN, M06-L ...")
    add(
        "--bond",
        metavar="MOLECULE",
        help="also the energy density along the bond of the first two atoms: N2, an XYZ file ...",
    )
    add("--rs", type=float, default=1.0, help="Wigner-Seitz radius, bohr (default: %(default)s)")
    add("--dark", action="store_true", help="for dark backgrounds")
    add(
        "--output",
        type=Path,
        action="append",
        metavar="FILE",
        help="PNG or SVG, by its suffix; several if repeated (default: NAME.png and NAME.svg)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Draw, and print the files' names."""
    from xcnet.page import draw_as
    from xcnet.plot import curves, figures

    if not 1e-3 <= arguments.rs <= 1e3:
        raise InputError(f"--rs {arguments.rs} is not between 0.001 and 1000 bohr", argument="rs")
    stem = arguments.name.replace("/", "_").replace(" ", "")
    outputs = arguments.output or [Path(f"{stem}.{suffix}") for suffix in FORMATS]
    for path in outputs:
        if path.suffix[1:].lower() not in FORMATS:
            raise InputError(f"--output {path}: the suffix must be .png or .svg", given=str(path))
    functionals = curves.open_all([n for n in (arguments.name, arguments.vs) if n])
    pair = [curves.factors(f, label, arguments.rs) for label, f in functionals.items()]
    along = curves.bond(arguments.bond, functionals, _show) if arguments.bond else None
    _show("")
    rows = 1 if along is None else 2
    for path in outputs:
        content = draw_as(
            figures.both,
            (pair, along),
            "dark" if arguments.dark else "light",
            ROW * rows,
            width=9.0,
            panels=(rows, 2),
            file_format=path.suffix[1:].lower(),
        )
        try:
            path.write_bytes(content)
        except OSError as error:
            raise InputError(f"cannot write {path}: {error.strerror}", file=str(path)) from error
        print(path)
    return 0


def _show(text: str) -> None:
    """Say on a terminal what is done now, over what was said before."""
    if sys.stderr.isatty():
        print(f"\r{text:<79.79}", end="\r", file=sys.stderr, flush=True)
