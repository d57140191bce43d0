"""Numba, found or explained: the one place that asks for it."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from xcnet.errors import MissingPackageError


def loops(name: str) -> ModuleType:
    """One of this package's modules of compiled loops."""
    try:
        import numba  # noqa: F401
    except ImportError as error:
        raise MissingPackageError(
            "nonlocal functionals need the package numba: pip install 'xcnet[pyscf]', "
            "or pip install numba",
            package="numba",
        ) from error
    return import_module(f"xcnet.near_region.{name}")
