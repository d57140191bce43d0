"""Numba, found or explained: the one place that asks for it."""

from __future__ import annotations

import tempfile
from importlib import import_module
from types import ModuleType

from xcnet.errors import MissingPackageError


def loops(name: str) -> ModuleType:
    """One of this package's modules of compiled loops, by its name in the package."""
    numba = _numba()
    module = f"xcnet.operators.{name}"
    try:
        return import_module(module)
    except RuntimeError:
        # Numba finds no folder to keep compiled code in: neither the package's nor the user's.
        numba.config.CACHE_DIR = tempfile.mkdtemp(prefix="xcnet-numba-")
        return import_module(module)


def require() -> None:
    """Stop if Numba cannot be used: for hosts, before they compute anything.

    Raises
    ------
    MissingPackageError
        It is not installed, or refuses the packages beside it.
    """
    _numba()


def _numba() -> ModuleType:
    try:
        import numba
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            f"nonlocal functionals need {error.name}: pip install {error.name}", package="numba"
        ) from error
    except ImportError as error:
        # Each version of Numba refuses versions of numpy that are newer than itself.
        raise MissingPackageError(
            f"nonlocal functionals need numba, which is installed but refuses to be used: {error}. "
            "A newer one takes newer versions of numpy: pip install --upgrade numba",
            package="numba",
        ) from error
    return numba
