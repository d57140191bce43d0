"""``xcnet psi4``: run Psi4 with every registered functional, or have every run of Psi4 do so."""

from __future__ import annotations

import argparse
import os
import shutil
import site
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from xcnet.commands import psi4_hook
from xcnet.errors import InputError, InstallError, MissingPackageError

#: Files of the hook in a folder of installed packages.
MODULE = "_xcnet_psi4_hook"
FILES = (f"{MODULE}.py", f"{MODULE}.pth")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    parser.add_argument(
        "--install-hook",
        action="store_true",
        help="have every Psi4 that this Python runs know the functionals, without a line of input",
    )
    parser.add_argument("--remove-hook", action="store_true", help="undo --install-hook")
    parser.add_argument(
        "--self-test",
        action="store_true",
        help="check all that the adapter needs of this Psi4: a minute, with a line for each check",
    )
    parser.add_argument(
        "arguments",
        nargs=argparse.REMAINDER,
        metavar="INPUT ...",
        help="input file, then Psi4's own arguments: xcnet psi4 input.dat -n 4",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run Psi4 and return its exit code; or put or take away the hook."""
    words = [word for word in arguments.arguments if word != "--"]
    if sum((arguments.install_hook, arguments.remove_hook, arguments.self_test, bool(words))) != 1:
        raise InputError("give an input file, or --install-hook, --remove-hook or --self-test")
    if arguments.install_hook:
        return _install()
    if arguments.remove_hook:
        return _remove()
    if arguments.self_test:
        return _self_test()
    launcher = [sys.executable, psi4_hook.__file__, _program(), *words]
    return subprocess.run(launcher, check=False).returncode


def _self_test() -> int:
    """Run the adapter's own checks as an input file, as all others are run."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "self_test.dat"
        path.write_text("from xcnet.adapters.psi4 import selftest\nexit(selftest.run())\n")
        words = [sys.executable, psi4_hook.__file__, _program(), str(path)]
        return subprocess.run(words, check=False, cwd=folder).returncode


def _program() -> str:
    """Psi4's own script."""
    program = shutil.which("psi4")
    if program is None:
        raise MissingPackageError(
            "no program `psi4` on the PATH: see https://psicode.org/installs", package="psi4"
        )
    return program


def _install() -> int:
    folder = _folder()
    code = Path(psi4_hook.__file__).read_text(encoding="utf-8")
    try:
        (folder / FILES[0]).write_text(code, encoding="utf-8")
        (folder / FILES[1]).write_text(f"import {MODULE}; {MODULE}.activate()\n", encoding="utf-8")
    except OSError as error:
        raise InstallError(f"{folder} cannot be written: {error}", folder=str(folder)) from error
    print(f"installed: every Psi4 run by {sys.executable} now knows xcnet's functionals ({folder})")
    program = shutil.which("psi4")
    if program is not None and not _is_run_here(Path(program)):
        print(f"The program {program} names another Python: use {sys.executable} {program} INPUT")
    return 0


def _is_run_here(program: Path) -> bool:
    """Whether a script's first line names this Python."""
    with program.open(encoding="utf-8", errors="replace") as script:
        named = Path(script.readline().removeprefix("#!").strip())
    if named.name == "env" or not named.is_file():
        return True  # `env python`: the one that is found first, as this one was
    # A virtual environment's interpreter is often the system's very file.
    return named.samefile(sys.executable) and sys.prefix == sys.base_prefix


def _remove() -> int:
    present = [path for folder in _folders() for name in FILES if (path := folder / name).exists()]
    try:
        # The file that is read at every start of Python goes first.
        for path in sorted(present, key=lambda path: path.suffix == ".py"):
            path.unlink()
    except OSError as error:
        raise InstallError(f"{path} cannot be removed: {error}", file=str(path)) from error
    print("\n".join(f"removed {path}" for path in present) or "the hook is not installed")
    return 0


def _folder() -> Path:
    """Folder of installed packages that this user can write to: Python's own or the user's."""
    folder = next((f for f in _folders() if os.access(f, os.W_OK)), None)
    if folder is None and site.ENABLE_USER_SITE:
        folder = Path(site.getusersitepackages())
        folder.mkdir(parents=True, exist_ok=True)
    if folder is None:
        raise InstallError(
            f"none of {', '.join(map(str, _folders()))} can be written",
            folder=str(_folders()[0]),
        )
    return folder


def _folders() -> list[Path]:
    own = Path(sysconfig.get_path("purelib"))
    return [own, Path(site.getusersitepackages())] if site.ENABLE_USER_SITE else [own]
