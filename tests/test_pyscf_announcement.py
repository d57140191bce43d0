"""What PySCF prints about a neural functional, and its advice on grids."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyscf import dft, gto
from pyscf.pbc import dft as pbc_dft
from pyscf.pbc import gto as pbc_gto

import xcnet
from tests.folders import copy_folder
from xcnet import registry
from xcnet.adapters import pyscf as adapter
from xcnet.errors import ArgumentTypeError

NAME = "gga_x_noisy"


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    copy_folder(tmp_path, NAME, grid_level=4, aliases=["Noisy-X"])
    monkeypatch.setenv(registry.MODEL_PATH_VARIABLE, str(tmp_path))
    adapter.install()
    yield
    adapter.uninstall()


def printed(mf: Any, verbose: int) -> str:
    mf.stdout = mf.mol.stdout = io.StringIO()
    mf.verbose = verbose
    mf.dump_flags()
    text = mf.stdout.getvalue()
    assert isinstance(text, str)
    return text


def helium() -> Any:
    return gto.M(atom="He", basis="sto-3g", verbose=0)


@pytest.mark.parametrize("method", [dft.RKS, dft.UKS, dft.ROKS, dft.GKS])
def test_name_version_and_citation(method: Any) -> None:
    text = printed(method(helium(), xc="0.5*Noisy-X + 0.5*PBE"), 4)
    spec = registry.find(NAME).spec
    assert spec is not None
    for part in ("Noisy-X = gga_x_noisy", spec.files["exc.onnx"][:12], xcnet.__version__):
        assert part in text
    assert text.count("Phys. Rev. Lett. 77, 3865 (1996)") >= 1
    assert spec.citations[0].doi in text
    assert "Noisy-X =" not in printed(method(helium(), xc="Noisy-X"), 3)


def test_crystals_too() -> None:
    cell = pbc_gto.M(atom="He", a=[[3, 0, 0], [0, 3, 0], [0, 0, 3]], basis="gth-szv", verbose=0)
    text = printed(pbc_dft.RKS(cell, xc="Noisy-X"), 4)
    assert "Noisy-X = gga_x_noisy" in text
    assert "WARN" not in text


def test_crystals_on_atomic_grids_get_advice_too() -> None:
    cell = pbc_gto.M(atom="He", a=[[3, 0, 0], [0, 3, 0], [0, 0, 3]], basis="gth-szv", verbose=0)
    mf = pbc_dft.KRKS(cell, cell.make_kpts([1, 1, 2]), xc="Noisy-X")
    mf.grids = pbc_dft.BeckeGrids(cell)
    assert "Noisy-X is made for grid level 4 or finer" in printed(mf, 3)
    mf.grids.level = 4
    assert "WARN" not in printed(mf.copy(), 3)


def test_gradients_of_excited_states_lack_the_response_of_the_grid() -> None:
    hydrogen = gto.M(atom="H 0 0 0; H 0 0 0.74", basis="6-31g", verbose=0)
    for xc in ("Noisy-X", "PBE"):
        excited = dft.RKS(hydrogen, xc=xc).run().TDA().run(nstates=1)
        expected = (
            pytest.warns(UserWarning, match="Noisy-X: gradient of an excited state without")
            if xc == "Noisy-X"
            else contextlib.nullcontext()
        )
        with expected:
            assert np.isfinite(excited.nuc_grad_method().kernel()).all()


def test_grid_below_the_recommended_one_is_warned_of_once() -> None:
    mf = dft.RKS(helium(), xc="Noisy-X")
    assert "Noisy-X is made for grid level 4 or finer, and this is level 3" in printed(mf, 3)
    assert printed(mf, 3) == ""
    assert "WARN" in printed(mf.copy(), 3)
    assert printed(mf.copy(), 0) == ""


@pytest.mark.parametrize(
    "settings",
    [{"xc": "PBE"}, {"level": 4}, {"level": 9}, {"atom_grid": (30, 110)}],
)
def test_no_advice_where_there_is_none_to_give(settings: dict[str, Any]) -> None:
    mf = dft.RKS(helium(), xc=settings.pop("xc", "Noisy-X"))
    mf.grids.set(**settings)
    assert "WARN" not in printed(mf, 3)


def test_names_that_are_only_read_for_pyscf_change_nothing_else() -> None:
    mf = dft.RKS(helium(), xc="PBE_x, PBE_c").run()
    assert mf.e_tot == pytest.approx(dft.RKS(helium(), xc="PBE").kernel(), abs=1e-12)
    mf.grids.level = 1
    assert "WARN" not in printed(mf, 3)
    assert not mf.nuc_grad_method().grid_response


def test_self_consistency_gives_the_advice() -> None:
    mf = dft.RKS(helium(), xc="Noisy-X").set(stdout=io.StringIO(), verbose=3)
    mf.kernel()
    mf.kernel()
    assert mf.stdout.getvalue().count("grid level 4 or finer") == 1


IODINE = {"atom": "I 0 0 0; H 0 0 1.6", "basis": "lanl2dz", "ecp": {"I": "lanl2dz"}}
FLUORIDE_AND_GHOST = {
    "atom": "F 0 0 0; H 0 0 0.9; ghost-I 0 0 3",
    "basis": {"default": "sto-3g", "ghost-I": gto.basis.load("sto-3g", "H")},
}


def _output(method: Any, settings: dict[str, Any], xc: str) -> str:
    mf = method(gto.M(verbose=3, **settings), xc=xc).set(stdout=io.StringIO())
    mf.grids.level = 1
    mf.kernel()
    mf.kernel()
    return str(mf.stdout.getvalue())


@pytest.mark.parametrize("method", [dft.RKS, dft.UKS, dft.GKS])
def test_elements_outside_the_training_data_are_named_once(method: Any) -> None:
    text = _output(method, IODINE, "NN-metaGGA")
    assert text.count("(its training data lack I)") == 1


@pytest.mark.parametrize(("settings", "xc"), [(FLUORIDE_AND_GHOST, "NN-metaGGA"), (IODINE, "PBE")])
def test_what_is_inside_is_not_warned_of(settings: dict[str, Any], xc: str) -> None:
    assert "training data" not in _output(dft.RKS, settings, xc)


def test_elements_of_crystals_are_named() -> None:
    cell = pbc_gto.M(atom="He", a=[[3, 0, 0], [0, 3, 0], [0, 0, 3]], basis="gth-szv", verbose=3)
    mf = pbc_dft.RKS(cell, xc="NN-LSDA").set(stdout=io.StringIO())
    mf.kernel()
    assert "NN-LSDA was not trained for this (its training data lack He)" in mf.stdout.getvalue()


@pytest.mark.parametrize("xc", [100211, ("NN-GGA", "NN-GGA")])
def test_a_text_is_asked_for(xc: Any) -> None:
    with pytest.raises(ArgumentTypeError, match=r"PySCF needs a text, mf\.xc = '"):
        dft.RKS(helium(), xc=xc).kernel()
    assert dft.RKS(helium(), xc="100211").kernel() == dft.RKS(helium(), xc="NN-GGA").kernel()
