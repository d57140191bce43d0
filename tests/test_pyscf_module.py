"""PySCF's module ``dft.libxc`` after install(), and what asks it: MC-PDFT, users' scripts."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyscf", reason="the PySCF adapter's tests need PySCF")

from pyscf import dft, gto, scf
from pyscf.dft import libxc

from tests.pyscf_methods import installed
from xcnet.adapters import pyscf as adapter
from xcnet.adapters.pyscf import hooks
from xcnet.errors import UnknownFunctionalError, UnsupportedError

# PySCF 2.8's own, in its CASSCF, with numpy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array_wrap__ must accept:DeprecationWarning")

RHO = np.array([[0.3, 0.2], [0.1, 0.0], [0.0, 0.1], [0.05, 0.1], [0.3, 0.1]])
EVALUATIONS = ("eval_xc", "eval_xc1", "eval_xc_eff")
HYDROXYL = "O 0 0 0; H 0 0 0.97"


@pytest.fixture(scope="module", autouse=True)
def functionals() -> Iterator[None]:
    with installed():
        yield


@pytest.mark.parametrize(
    "xc", ["NN-metaGGA", "0.75*NN-GGA + 0.25*HF", "RSH(0.3, 0.2, -0.1) + 0.9*TPSS_clone"]
)
@pytest.mark.parametrize("name", hooks.QUESTIONS)
def test_module_answers_as_objects_do(name: str, xc: str) -> None:
    ni = dft.RKS(gto.M(atom="He", verbose=0), xc=xc)._numint
    rows = (RHO if libxc.is_meta_gga(xc) else RHO[:4],)
    extra = rows if name in EVALUATIONS else (2,) if name == "test_deriv_order" else ()
    ours = getattr(libxc, name)(xc, *extra)
    expected = getattr(ni.libxc, name)(xc, *extra)
    if name not in EVALUATIONS:
        assert ours == expected
        return
    blocks = [(a, b) for a, b in zip(ours, expected, strict=True) if isinstance(b, np.ndarray)]
    assert blocks
    for a, b in blocks:
        np.testing.assert_array_equal(a, b)


def test_keywords_and_near_names() -> None:
    exc = libxc.eval_xc("TPSS_clone", RHO, spin=0, deriv=1)[0]
    np.testing.assert_allclose(exc, libxc.eval_xc("TPSS", RHO, spin=0, deriv=1)[0], rtol=1e-10)
    with pytest.raises(UnknownFunctionalError, match=r"'NN-metaGAA'\. Did you mean NN-metaGGA"):
        libxc.xc_type("NN-metaGAA")
    assert libxc.parse_xc("PBE")[1] == ((101, 1), (130, 1))


def test_module_is_as_before_after_uninstall() -> None:
    adapter.uninstall()
    try:
        with pytest.raises(KeyError, match="'NN' not found"):
            libxc.xc_type("NN-metaGGA")
        assert inspect.unwrap(libxc.parse_xc).__code__.co_filename == libxc.__file__
    finally:
        adapter.install()


# -- MC-PDFT ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mcpdft() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("pyscf.mcpdft", reason="this PySCF has no MC-PDFT")


@pytest.fixture(scope="module")
def hydroxyl() -> Any:
    return scf.ROHF(gto.M(atom=HYDROXYL, spin=1, basis="sto-3g", verbose=0)).run()


def _energy(mcpdft: Any, mf: Any, functional: str) -> float:
    mc = mcpdft.CASSCF(mf, functional, 3, 3, grids_attr={"atom_grid": (20, 50)})
    return float(mc.kernel()[0])


@pytest.mark.parametrize(
    ("ours", "theirs", "near"),
    [
        ("tTPSS_clone", "tTPSS", 1e-9),
        ("tPBE_clone", "tPBE", 1e-9),
        ("ftPBE_clone", "ftPBE", 1e-9),
        ("tNN-r2SCAN", "tr2SCAN", 1e-3),
    ],
)
def test_mcpdft_equals_libxc(
    mcpdft: Any, hydroxyl: Any, ours: str, theirs: str, near: float
) -> None:
    assert _energy(mcpdft, hydroxyl, ours) == pytest.approx(
        _energy(mcpdft, hydroxyl, theirs), abs=near
    )


@pytest.mark.parametrize("functional", ["tNN-metaGGA", "ftNN-GGA"])
def test_mcpdft_of_shipped_functionals(mcpdft: Any, hydroxyl: Any, functional: str) -> None:
    assert _energy(mcpdft, hydroxyl, functional) == pytest.approx(-74.64, abs=0.05)


def test_mcpdft_of_nonlocal_functionals_is_refused(mcpdft: Any, hydroxyl: Any) -> None:
    with pytest.raises(UnsupportedError, match=r"NN-NRA is nonlocal.*MC-PDFT of PySCF"):
        mcpdft.CASSCF(hydroxyl, "tNN-NRA", 3, 3)
