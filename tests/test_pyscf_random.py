"""Random density matrices, as in PySCF's own tests: clones give what libxc gives.

A third of the points has a negative density of one spin or of both. libxc sets it to its threshold
and keeps the rest of that channel, its tau above all. TPSS correlation has no definite value then:
libxc takes tau times ((1 +- zeta) n/2 rho_s)^(5/3), which would be 1 if 1 +- zeta, a share of
1e-14, were not rounded by some percent. So libxc's energy changes by 1e-5 Hartree with the last
bits of its input, and its derivatives by the absent density (1e11) are nothing else. All that is
definite is equal to 1e-9: energies and potentials where no channel is absent, and energies where
an absent one has no tau.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyscf", reason="the PySCF adapter's tests need PySCF")

from pyscf.dft import libxc

from tests.pyscf_methods import Array, installed, uks

PAIRS = {
    "LDA": ("Slater_clone", "LDA,"),
    "GGA": ("PBE_clone", "PBE"),
    "MGGA": ("TPSS_clone", "TPSS"),
}
ROWS = {"LDA": 1, "GGA": 4, "MGGA": 5}


@pytest.fixture(scope="module")
def mf() -> Iterator[Any]:
    with installed():
        yield uks("PBE").run()


@pytest.fixture(scope="module")
def matrices(mf: Any) -> Array:
    random = np.random.default_rng(7).normal(size=(2, mf.mol.nao, mf.mol.nao))
    return np.asarray(mf.make_rdm1() + 0.3 * (random + random.transpose(0, 2, 1)))


@pytest.fixture(scope="module")
def rho(mf: Any, matrices: Array) -> Array:
    """Density, gradient and tau, (spins, 5, N)."""
    orbitals = mf._numint.eval_ao(mf.mol, mf.grids.coords, deriv=1)
    rows = [
        mf._numint.eval_rho(mf.mol, orbitals, matrix, xctype="MGGA", with_lapl=False)
        for matrix in matrices
    ]
    assert (np.array(rows)[:, 0] < 0).any(axis=0).mean() > 0.3
    return np.array(rows)


def _energy(mf: Any, rho: Array, values: Array) -> float:
    return float(mf.grids.weights @ (rho[:, 0].sum(axis=0) * values[0]))


@pytest.mark.parametrize("kind", PAIRS)
def test_energies(mf: Any, rho: Array, matrices: Array, kind: str) -> None:
    """As equal as libxc is to itself with other last bits: that matters for TPSS alone."""
    ours, theirs = (mf._numint.nr_uks(mf.mol, mf.grids, xc, matrices)[1] for xc in PAIRS[kind])
    random = np.random.default_rng(3)
    rows = rho[:, : ROWS[kind]]
    again = []
    for _ in range(16):
        other = rows * (1.0 + 2.0**-52 * random.integers(-4, 5, rows.shape))
        again.append(_energy(mf, other, libxc.eval_xc1(PAIRS[kind][1], other, 1, 0)))
    noise = float(np.ptp(again))
    assert (noise > 1e-6) == (kind == "MGGA")
    assert ours == pytest.approx(theirs, abs=1e-9 + noise)


@pytest.mark.parametrize("kind", PAIRS)
def test_energies_without_tau_of_absent_channels(mf: Any, rho: Array, kind: str) -> None:
    """Point by point, also where one spin or both are absent."""
    definite = rho.copy()
    definite[:, 4][rho[:, 0] <= 0.0] = 0.0
    rows = definite[:, : ROWS[kind]]
    ours = mf._numint.libxc.eval_xc1(PAIRS[kind][0], rows, 1, 0)[0]
    theirs = libxc.eval_xc1(PAIRS[kind][1], rows, 1, 0)[0]
    density = rho[:, 0].sum(axis=0)
    np.testing.assert_allclose(density * ours, density * theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", PAIRS)
def test_potentials_where_no_channel_is_absent(
    mf: Any, rho: Array, matrices: Array, kind: str
) -> None:
    """More than half of the points, with densities and taus as far from any state as elsewhere."""
    grids = mf.grids.copy()
    present = (rho[:, 0] > 0.0).all(axis=0)
    assert present.mean() > 0.5
    grids.weights = np.where(present, grids.weights, 0.0)
    ours, theirs = (mf._numint.nr_uks(mf.mol, grids, xc, matrices) for xc in PAIRS[kind])
    assert ours[1] == pytest.approx(theirs[1], abs=1e-9)
    np.testing.assert_allclose(ours[2], theirs[2], rtol=0, atol=1e-9 * np.abs(theirs[2]).max())
