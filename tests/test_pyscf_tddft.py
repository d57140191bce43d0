"""Excited states: the clones' are libxc's, whatever the spins; refused where derivatives lack."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyscf", reason="the PySCF adapter's tests need PySCF")

from pyscf import dft
from pyscf.data.nist import HARTREE2EV

from tests.folders import read_record, seal, up_to
from tests.pyscf_methods import MODELS, both, cation, installed, known, molecule, rks, tight, uks
from xcnet.errors import UnsupportedError

PAIRS = [
    ("Slater_clone", "LDA,"),
    ("PBE_clone", "PBE"),
    ("TPSS_clone", "TPSS"),
    ("0.25*HF + 0.75*PBE_clone_x, PBE_clone_c", "PBE0"),
]
TPSS = PAIRS[2]


@pytest.fixture(scope="module", autouse=True)
def clones() -> Iterator[None]:
    with installed():
        yield


def _excited(make: Callable[[Any], Any], mf: Any, **settings: Any) -> Any:
    return make(mf.run()).set(nstates=3, verbose=0, **settings)


#: Excited states of an expression.
KINDS: dict[str, Callable[[str], Any]] = {
    "TDA, singlets": lambda xc: _excited(lambda mf: mf.TDA(), rks(xc)),
    "TDA, triplets": lambda xc: _excited(lambda mf: mf.TDA(), rks(xc), singlet=False),
    "TDDFT, singlets": lambda xc: _excited(lambda mf: mf.TDDFT(), rks(xc)),
    "TDDFT, triplets": lambda xc: _excited(lambda mf: mf.TDDFT(), rks(xc), singlet=False),
    "TDA, UKS": lambda xc: _excited(lambda mf: mf.TDA(), uks(xc)),
    "TDDFT, UKS": lambda xc: _excited(lambda mf: mf.TDDFT(), uks(xc)),
}
#: The same with less usual references, for one functional.
OTHERS: dict[str, Callable[[str], Any]] = {
    "density fitting": lambda xc: _excited(lambda mf: mf.TDA(), rks(xc).density_fit()),
    "PCM": lambda xc: _excited(lambda mf: mf.TDA(), rks(xc).PCM()),
    "GKS": lambda xc: _excited(lambda mf: mf.TDDFT(), tight(dft.GKS(cation(), xc=xc))),
    "DKS": lambda xc: _excited(
        lambda mf: mf.TDA(), tight(dft.DKS(molecule("H 0 0 0; H 0 0 0.8"), xc=xc))
    ),
}


def _electronvolts(excited: Any) -> Any:
    excited.kernel()
    return np.asarray(excited.e) * HARTREE2EV


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("kind", KINDS)
def test_excitations_equal_libxc(kind: str, pair: tuple[str, str]) -> None:
    ours, theirs = both(lambda xc: _electronvolts(KINDS[kind](xc)), pair)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", OTHERS)
def test_excitations_of_other_references(kind: str) -> None:
    ours, theirs = both(lambda xc: _electronvolts(OTHERS[kind](xc)), TPSS)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)


def test_oscillator_strengths() -> None:
    ours, theirs = both(
        lambda xc: KINDS["TDDFT, singlets"](xc).run().oscillator_strength(), PAIRS[1]
    )
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-8)


@pytest.mark.parametrize("pair", [PAIRS[0], TPSS])
@pytest.mark.parametrize("kind", ["TDA, singlets", "TDA, triplets", "TDDFT, UKS"])
def test_gradients_equal_libxc(kind: str, pair: tuple[str, str]) -> None:
    ours, theirs = both(lambda xc: KINDS[kind](xc).run().nuc_grad_method().kernel(state=2), pair)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-8)


def test_published_network_beside_m06_l(nagai2020_models: Path) -> None:
    """Within half an electronvolt of M06-L's, which TPSS's are not."""
    with known(nagai2020_models):
        for singlet in (True, False):
            ours, theirs = both(
                lambda xc: _electronvolts(
                    _excited(lambda mf: mf.TDA(), rks(xc, basis="6-31g"), singlet=singlet)  # noqa: B023
                ),
                ("NN-metaGGA-Nagai2020", "M06L"),
            )
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=0.5)


# -- derivatives that are missing ------------------------------------------------------------------


@pytest.fixture
def shortened(tmp_path: Path) -> Iterator[None]:
    """PBE with derivatives up to vxc, and up to fxc."""
    for i, last in enumerate(("vxc", "fxc")):
        folder = tmp_path / f"gga_xc_{last}_only"
        shutil.copytree(MODELS / "gga_xc_pbe_clone", folder)
        record = read_record(folder)
        record |= {"name": folder.name, "id": 199020 + i, "aliases": [f"{last}-only"]}
        seal(record | up_to(record, last), folder)
    with known(tmp_path):
        yield


#: What is asked for, and what it needs.
MISSING: dict[str, tuple[Callable[[], Any], str]] = {
    "TDA": (lambda: rks("vxc-only").TDA(), "TDDFT needs fxc"),
    "TDDFT, UKS": (lambda: uks("vxc-only").TDDFT(), "TDDFT needs fxc"),
    "newton": (lambda: rks("vxc-only").newton(), r"newton\(\) needs fxc. Use DIIS"),
    "gradient": (
        lambda: rks("fxc-only").TDA().nuc_grad_method(),
        "the gradient of excited states needs kxc. Use a functional with kxc",
    ),
}


@pytest.mark.usefixtures("shortened")
@pytest.mark.parametrize("name", MISSING)
def test_missing_derivatives_are_named_before_any_work(name: str) -> None:
    call, needed = MISSING[name]
    with pytest.raises(UnsupportedError, match=f"[vf]xc-only has derivatives.*{needed}"):
        call()


@pytest.mark.usefixtures("shortened")
def test_energies_and_forces_need_no_more_than_vxc() -> None:
    mf = rks("vxc-only").run()
    assert mf.e_tot == pytest.approx(rks("PBE").kernel(), abs=1e-9)
    assert np.isfinite(mf.nuc_grad_method().kernel()).all()


@pytest.mark.parametrize("symmetry", [False, True])
@pytest.mark.parametrize("method", ["TDA", "TDDFT"])
def test_excitations_of_roks_are_refused(method: str, symmetry: bool) -> None:
    """PySCF has None in their place."""
    mol = molecule("H 0 0 0; H 0 0 0.8", symmetry=symmetry)
    refused = getattr(dft.ROKS(mol, xc="TPSS_clone"), method)
    with pytest.raises(UnsupportedError, match=r"TPSS_clone .* TDDFT of ROKS for no.* Use UKS"):
        refused(nstates=1)
    assert getattr(dft.ROKS(mol, xc="TPSS"), method) is None
