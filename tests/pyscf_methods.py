"""Small systems for PySCF's methods, and one calculation with each of two names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pyscf import dft, gto

from xcnet import registry
from xcnet.adapters import pyscf as adapter

Array = npt.NDArray[np.float64]

MODELS = Path(__file__).resolve().parent / "models"
GEOMETRY = "O 0 0 0.119262; H 0 0.763239 -0.477047; H 0 -0.763239 -0.477047"


@contextmanager
def known(*folders: Path) -> Iterator[None]:
    """Clones and the functionals in more folders known by name."""
    with pytest.MonkeyPatch.context() as patch:
        path = ":".join(str(folder) for folder in (MODELS, *folders))
        patch.setenv(registry.MODEL_PATH_VARIABLE, path)
        yield


@contextmanager
def installed(*folders: Path) -> Iterator[None]:
    """The same, with the adapter installed."""
    with known(*folders):
        adapter.install()
        yield
        adapter.uninstall()


def molecule(atom: str = GEOMETRY, basis: str = "sto-3g", **settings: Any) -> Any:
    return gto.M(atom=atom, basis=basis, verbose=0, **settings)


def water(**settings: Any) -> Any:
    return molecule(**settings)


def cation(**settings: Any) -> Any:
    return molecule(charge=1, spin=1, **settings)


def tight(mf: Any, level: int = 0) -> Any:
    mf.grids.level = level
    mf.conv_tol = 1e-11
    return mf


def rks(xc: str, **settings: Any) -> Any:
    return tight(dft.RKS(water(**settings), xc=xc))


def uks(xc: str, **settings: Any) -> Any:
    return tight(dft.UKS(cation(**settings), xc=xc))


def both(calculation: Callable[[str], Any], pair: tuple[str, str]) -> tuple[Array, Array]:
    """Numbers of a calculation with a clone and with libxc's own."""
    ours, theirs = (np.asarray(calculation(xc), dtype=float) for xc in pair)
    assert np.isfinite(theirs).all()
    return ours, theirs
