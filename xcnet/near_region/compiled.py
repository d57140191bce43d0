"""Numba, found or explained: the one place that asks for it."""

from __future__ import annotations

import tempfile
from importlib import import_module
from types import ModuleType

from xcnet.errors import MissingPackageError


def loops(name: str) -> ModuleType:
    """One of this package's modules of compiled loops."""
    try:
        import numba
    except ImportError as error:
        raise MissingPackageError(
            "nonlocal functionals need the package numba: pip install 'xcnet[pyscf]', "
            "or pip install numba",
            package="numba",
        ) from error
    module = f"xcnet.near_region.{name}"
    try:
        return import_module(module)
    except RuntimeError:
        # Numba finds no folder to keep compiled code in: neither the package's nor the user's.
        numba.config.CACHE_DIR = tempfile.mkdtemp(prefix="xcnet-numba-")
        return import_module(module)
