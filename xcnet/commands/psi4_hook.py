"""Loads the Psi4 adapter as soon as Psi4 has been imported.

``xcnet psi4 --install-hook`` copies this file into Python's folder of packages, where a ``.pth``
file has it run at every start of Python: it imports nothing but the standard library, and nothing
of it shows until Psi4 is imported. ``xcnet psi4 input.dat`` runs it as a program.
"""

from __future__ import annotations

import importlib
import sys

_ADAPTER = "xcnet.adapters.psi4"


class _Finder:
    """Finds Psi4 as Python would, and has the adapter loaded after it."""

    def __init__(self, strict: bool) -> None:
        self.strict = strict

    def find_spec(self, name, path=None, target=None):  # type: ignore[no-untyped-def]
        """Specification of the module ``psi4``; of no other."""
        if name != "psi4":
            return None
        import importlib.util

        sys.meta_path.remove(self)
        try:
            spec = importlib.util.find_spec(name)
        finally:
            sys.meta_path.insert(0, self)  # who only asks where Psi4 is may import it later
        if spec is None or spec.loader is None:
            return None
        original = spec.loader.exec_module

        def exec_module(module):  # type: ignore[no-untyped-def]
            original(module)
            self.load()

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec

    def load(self) -> None:
        """Import the adapter; unless strict, Psi4 goes on without it when that fails."""
        try:
            importlib.import_module(_ADAPTER)
        except Exception as error:
            message = f"xcnet: its functionals are not available in Psi4: {error}"
            if self.strict:
                sys.exit(message)
            print(message, file=sys.stderr)


def activate(strict: bool = False) -> None:
    """Have the adapter loaded after Psi4, whenever that is imported in this process."""
    if "psi4" not in sys.modules and not any(isinstance(f, _Finder) for f in sys.meta_path):
        sys.meta_path.insert(0, _Finder(strict))


def main() -> None:
    """Run Psi4's script, named by the first argument, with the adapter."""
    import os
    import runpy

    del sys.argv[0]
    sys.path[0] = os.path.dirname(os.path.abspath(sys.argv[0]))
    activate(strict=True)
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except ImportError as error:
        with open(sys.argv[0], encoding="utf-8", errors="replace") as script:
            own = script.readline().strip().removeprefix("#!")
        sys.exit(
            f"xcnet: {sys.executable} cannot load Psi4: {error}\n"
            f"Psi4 needs the Python that it was built for; {sys.argv[0]} names {own}. "
            "Install xcnet there, and run its `xcnet psi4`."
        )


if __name__ == "__main__":
    main()
