"""Crystals: the clones' are libxc's, at the gamma point and with k-points."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyscf", reason="the PySCF adapter's tests need PySCF")

from pyscf.pbc import dft as pbc
from pyscf.pbc import gto

from tests.pyscf_methods import both, installed, known
from xcnet.adapters import pyscf as adapter
from xcnet.errors import UnsupportedError

TPSS = "TPSS_clone", "TPSS"
PBE = "PBE_clone", "PBE"
PBE0 = "0.25*HF + 0.75*PBE_clone_x, PBE_clone_c", "PBE0"


@pytest.fixture(scope="module", autouse=True)
def clones() -> Iterator[None]:
    with installed():
        yield


def _helium(**settings: Any) -> Any:
    settings = {"atom": "He 0 0 0; He 0 0 1.6", **settings}
    return gto.M(
        a=np.eye(3) * 4, basis="gth-szv", pseudo="gth-pade", mesh=[15] * 3, verbose=0, **settings
    )


def _diamond() -> Any:
    lattice = (np.ones((3, 3)) - np.eye(3)) * 1.7834
    atom = [("C", (0, 0, 0)), ("C", (0.8917, 0.8917, 0.8917))]
    return gto.M(a=lattice, atom=atom, basis="gth-szv", pseudo="gth-pade", mesh=[11] * 3, verbose=0)


def _chain(method: Any, cell: Any, xc: str) -> Any:
    return method(cell, xc=xc, kpts=cell.make_kpts([1, 1, 2]))


#: Self-consistent methods, as objects ready to run.
METHODS: dict[str, Callable[[str], Any]] = {
    "RKS": lambda xc: pbc.RKS(_helium(), xc=xc),
    "UKS": lambda xc: pbc.UKS(_helium(atom="H 0 0 0", spin=1), xc=xc),
    "ROKS": lambda xc: pbc.ROKS(_helium(atom="H 0 0 0", spin=1), xc=xc),
    "GKS": lambda xc: pbc.GKS(_helium(), xc=xc),
    "KRKS": lambda xc: _chain(pbc.KRKS, _helium(), xc),
    "KUKS": lambda xc: _chain(pbc.KUKS, _helium(), xc),
    "KROKS": lambda xc: _chain(pbc.KROKS, _helium(), xc),
    "KGKS": lambda xc: _chain(pbc.KGKS, _helium(), xc),
    "KRKS, diamond": lambda xc: _chain(pbc.KRKS, _diamond(), xc),
    "density fitting": lambda xc: _chain(pbc.KRKS, _helium(), xc).density_fit(),
    "newton": lambda xc: pbc.RKS(_helium(), xc=xc).newton(),
    "to_kscf": lambda xc: pbc.RKS(_helium(), xc=xc).to_kscf(),
}
if hasattr(pbc.KRKS, "multigrid_numint"):  # a newer PySCF than 2.11
    METHODS["multigrid"] = lambda xc: _chain(pbc.KRKS, _helium(), xc).multigrid_numint()


@pytest.mark.parametrize("name", METHODS)
def test_methods_equal_libxc(name: str) -> None:
    ours, theirs = both(lambda xc: METHODS[name](xc).kernel(), TPSS)
    assert ours == pytest.approx(theirs, abs=1e-8)


@pytest.mark.parametrize("pair", [("Slater_clone", "LDA,"), PBE, PBE0])
def test_other_families_equal_libxc(pair: tuple[str, str]) -> None:
    ours, theirs = both(lambda xc: METHODS["KRKS"](xc).kernel(), pair)
    assert ours == pytest.approx(theirs, abs=1e-8)


def test_plus_u() -> None:
    def energy(xc: str) -> float:
        cell = _helium()
        settings = {"U_idx": ["He 1s"], "U_val": [2.0]}
        return float(pbc.KRKSpU(cell, xc=xc, kpts=cell.make_kpts([1, 1, 2]), **settings).kernel())

    ours, theirs = both(energy, PBE)
    assert ours == pytest.approx(theirs, abs=1e-8)


@pytest.mark.parametrize("name", ["KRKS", "KUKS"])
def test_gradients_equal_libxc(name: str) -> None:
    ours, theirs = both(lambda xc: METHODS[name](xc).run().nuc_grad_method().kernel(), PBE)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-7)


def test_bands_equal_libxc() -> None:
    def bands(xc: str) -> Any:
        mf = METHODS["KRKS"](xc).run()
        return mf.get_bands(mf.cell.make_kpts([1, 1, 3]))[0]

    ours, theirs = both(bands, TPSS)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-7)


@pytest.mark.parametrize("way", ["to_uks", "to_gks", "to_kscf", "density_fit", "copy"])
def test_attached_crystals(way: str) -> None:
    expected = getattr(pbc.RKS(_helium(), xc="TPSS"), way)().kernel()
    adapter.uninstall()
    try:
        mf = adapter.attach(pbc.RKS(_helium(), xc="TPSS_clone"))
        assert getattr(mf, way)().kernel() == pytest.approx(expected, abs=1e-8)
    finally:
        adapter.install()


@pytest.mark.parametrize("name", ["KRKS", "KUKS"])
def test_gradients_of_meta_ggas_are_refused(name: str) -> None:
    with pytest.raises(UnsupportedError, match=r"TPSS_clone.*gradient of crystals.*Use a GGA"):
        METHODS[name]("TPSS_clone").nuc_grad_method()


@pytest.mark.parametrize("name", ["RKS", "UKS", "GKS", "KRKS", "KUKS", "KGKS"])
def test_nonlocal_functionals_are_refused_first(name: str, nagai2020_models: Path) -> None:
    with known(nagai2020_models):
        mf = METHODS[name]("NN-NRA-Nagai2020")
        mf.get_init_guess = lambda *args, **kwargs: pytest.fail("work was done")
        with pytest.raises(UnsupportedError, match=r"nonlocal.*method of crystals.*semilocal"):
            mf.kernel()
