"""A descriptor with a graph of channels before it and atoms in it, which nothing in Psi4 names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("psi4", reason="these tests need Psi4")
pytest.importorskip("numba", reason="nonlocal descriptors need numba")

from tests import toys
from tests.psi4.calculations import energy, gradient, molecule
from xcnet import registry

HUBS = "toy-hubs"


@pytest.fixture(scope="module", autouse=True)
def known() -> Iterator[None]:
    """The toys and their functional are known."""
    with toys.known(), pytest.MonkeyPatch.context() as patch:
        patch.setenv(registry.MODEL_PATH_VARIABLE, str(toys.FOLDER / "models"))
        registry.refresh()
        yield
    registry.refresh()


@pytest.mark.parametrize(
    ("atoms", "multiplicity"),
    [("H 0 0 0; F 0 0.6 1.6", 1), ("N 0 0 0; H 0 1.5 1.2; H 0 -1.5 1.2", 2)],
)
def test_gradient_equals_finite_differences(atoms: str, multiplicity: int) -> None:
    options = {"e_convergence": 1e-10, "d_convergence": 1e-8}
    lines = [line.split() for line in atoms.split(";")]
    place = np.array([[float(x) for x in line[1:]] for line in lines])
    along = np.zeros_like(place)
    along[1] = 0.0, 0.6, 0.8

    def moved(by: float) -> Any:
        rows = zip([line[0] for line in lines], place + by * along, strict=True)
        text = "; ".join(f"{symbol} {x:.12f} {y:.12f} {z:.12f}" for symbol, (x, y, z) in rows)
        return molecule(text, 0, multiplicity, "no_com\nno_reorient\nsymmetry c1")

    force = gradient(HUBS, moved(0.0), options=options)
    np.testing.assert_allclose(force.sum(axis=0), 0.0, atol=1e-6)
    energies = [energy(HUBS, moved(by), options=options) for by in (-2e-3, 2e-3)]
    slope = (energies[1] - energies[0]) / 4e-3
    assert (force * along).sum() == pytest.approx(slope, abs=1e-5)
