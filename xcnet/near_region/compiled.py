"""Numba, found or explained: the one place that asks for it."""

from __future__ import annotations

from types import ModuleType

from xcnet.errors import MissingPackageError


def grid_sum_loops() -> ModuleType:
    """Compiled loops of the grid sum."""
    _require_numba()
    from xcnet.near_region import grid_sum_loops

    return grid_sum_loops


def multipole_loops() -> ModuleType:
    """Compiled loops of the continuum."""
    _require_numba()
    from xcnet.near_region import multipole_loops

    return multipole_loops


def _require_numba() -> None:
    try:
        import numba  # noqa: F401
    except ImportError as error:
        raise MissingPackageError(
            "nonlocal functionals need the package numba: pip install 'xcnet[pyscf]', "
            "or pip install numba",
            package="numba",
        ) from error
