"""PySCF's methods with clones: whatever PySCF does with libxc's TPSS, it does with the clone."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyscf", reason="the PySCF adapter's tests need PySCF")

import pyscf
from pyscf import dft, lib, mp
from pyscf.scf import addons

from tests.folders import copy_folder
from tests.pyscf_methods import (
    GEOMETRY,
    both,
    cation,
    installed,
    known,
    molecule,
    rks,
    tight,
    uks,
    water,
)
from xcnet.adapters import pyscf as adapter
from xcnet.errors import UnsupportedError

TPSS = "TPSS_clone", "TPSS"
PBE = "PBE_clone", "PBE"
PBE0 = "0.25*HF + 0.75*PBE_clone_x, PBE_clone_c", "PBE0"


@pytest.fixture(scope="module", autouse=True)
def clones() -> Iterator[None]:
    with installed():
        yield


def _lih(method: Any, xc: str) -> Any:
    return tight(method(molecule("Li 0 0 0; H 0 0 1.6"), xc=xc))


def _symmetric(method: Any, mol: Any, xc: str) -> Any:
    mol.build(symmetry=True, dump_input=False, parse_arg=False)
    return tight(method(mol, xc=xc))


def _plus_u(method: Any, mol: Any, xc: str) -> Any:
    return tight(method(mol, xc=xc, U_idx=["O 2p"], U_val=[3.0]))


#: Self-consistent methods, as objects ready to run.
METHODS: dict[str, Callable[[str], Any]] = {
    "RKS": rks,
    "UKS": uks,
    "ROKS": lambda xc: tight(dft.ROKS(cation(), xc=xc)),
    "GKS": lambda xc: tight(dft.GKS(cation(), xc=xc)),
    "DKS": lambda xc: _lih(dft.DKS, xc),
    "density fitting": lambda xc: rks(xc).density_fit(),
    "COSX": lambda xc: rks(xc).COSX(),
    "sf-x2c": lambda xc: uks(xc).sfx2c1e(),
    "x2c": lambda xc: _lih(dft.GKS, xc).x2c(),
    "PCM": lambda xc: rks(xc).PCM(),
    "ddCOSMO": lambda xc: rks(xc).ddCOSMO(),
    "SMD": lambda xc: rks(xc).SMD(),
    "symmetry": lambda xc: _symmetric(dft.RKS, water(), xc),
    "symmetry, open shell": lambda xc: _symmetric(dft.UKS, cation(), xc),
    "newton": lambda xc: uks(xc).newton(),
    "newton, ROKS": lambda xc: tight(dft.ROKS(cation(), xc=xc)).newton(),
    "smearing": lambda xc: addons.smearing_(uks(xc), sigma=0.01),
    "fractional occupation": lambda xc: addons.frac_occ(
        tight(dft.UKS(molecule("B 0 0 0", spin=1), xc=xc))
    ),
    "ghost atom": lambda xc: tight(dft.RKS(molecule("He 0 0 0; ghost-He 0 0 2"), xc=xc)),
    "core potential": lambda xc: tight(
        dft.RKS(molecule("Na 0 0 0; H 0 0 1.9", "lanl2dz", ecp={"Na": "lanl2dz"}), xc=xc)
    ),
    "one electron": lambda xc: tight(dft.UKS(molecule("H 0 0 0", "6-31g", spin=1), xc=xc)),
    "pickle": lambda xc: pickle.loads(pickle.dumps(rks(xc))),
    "deep copy": lambda xc: copy.deepcopy(rks(xc)),
    "to_uks": lambda xc: rks(xc).to_uks(),
    "to_gks": lambda xc: rks(xc).to_gks(),
    "to_ks": lambda xc: rks(xc).to_hf().to_ks(xc).set(conv_tol=1e-11),
    "undo": lambda xc: rks(xc).newton().undo_soscf(),
}
if hasattr(dft, "RKSpU"):  # PySCF 2.8 has it for crystals only
    METHODS["DFT+U"] = lambda xc: _plus_u(dft.RKSpU, water(), xc)
    METHODS["DFT+U, open shell"] = lambda xc: _plus_u(dft.UKSpU, cation(), xc)


@pytest.mark.parametrize("name", METHODS)
def test_methods_equal_libxc(name: str) -> None:
    ours, theirs = both(lambda xc: METHODS[name](xc).kernel(), TPSS)
    assert ours == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize("pair", [PBE, PBE0])
@pytest.mark.parametrize("name", ["UKS", "GKS", "DKS", "x2c"])
def test_other_families_equal_libxc(name: str, pair: tuple[str, str]) -> None:
    ours, theirs = both(lambda xc: METHODS[name](xc).kernel(), pair)
    assert ours == pytest.approx(theirs, abs=1e-9)


def test_multicollinear(monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest release of mcfun lacks two arguments of which PySCF 2.14 gives the defaults."""
    mcfun = pytest.importorskip("mcfun", reason="multicollinear functionals need mcfun")
    released = mcfun.eval_xc_eff

    def eval_xc_eff(
        *args: Any, collinear_threshold: Any = 0, collinear_samples: Any = 0, **kw: Any
    ) -> Any:
        return released(*args, **kw)

    monkeypatch.setattr(mcfun, "eval_xc_eff", eval_xc_eff)

    def energy(xc: str) -> float:
        mf = _lih(dft.GKS, xc).set(collinear="mcol", spin_samples=6)
        return float(mf.kernel())

    ours, theirs = both(energy, TPSS)
    assert ours == pytest.approx(theirs, abs=1e-9)


def _scanned(xc: str) -> Any:
    scanner = rks(xc).as_scanner()
    return [scanner(GEOMETRY), scanner(GEOMETRY.replace("0.763239", "0.78"))]


def _forces(xc: str) -> Any:
    gradients = rks(xc).nuc_grad_method().set(grid_response=True)
    return gradients.as_scanner()(water())[1]


def _restarted(xc: str, folder: Path) -> Any:
    first = rks(xc).set(chkfile=str(folder / f"{xc}.chk"))
    first.kernel()
    second = rks(xc)
    second.__dict__.update(lib.chkfile.load(first.chkfile, "scf"))
    second.init_guess = first.chkfile
    return second.kernel(second.from_chk(first.chkfile))


#: What is made from a converged object.
RESULTS: dict[str, Callable[[str], Any]] = {
    "scanner": _scanned,
    "gradient scanner": lambda xc: _forces(xc),
    "stability, closed shell": lambda xc: _eigenvalue(rks(xc)),
    "stability, open shell": lambda xc: _eigenvalue(uks(xc)),
    "MP2 on Kohn-Sham orbitals": lambda xc: mp.MP2(rks(xc).run().to_hf()).kernel()[0],
    "dipole moment": lambda xc: rks(xc).run().dip_moment(verbose=0),
    "orbital energies": lambda xc: uks(xc).run().mo_energy,
}


def _eigenvalue(mf: Any) -> Any:
    """Energy at the orbitals that the stability analysis returns."""
    mf.run()
    internal = mf.stability()[0]
    mf.stability(external=True)
    return mf.energy_tot(mf.make_rdm1(internal, mf.mo_occ))


@pytest.mark.parametrize("name", RESULTS)
def test_results_equal_libxc(name: str) -> None:
    ours, theirs = both(RESULTS[name], TPSS)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-8)


def test_checkpoint_files(tmp_path: Path) -> None:
    ours, theirs = both(lambda xc: _restarted(xc, tmp_path), TPSS)
    assert ours == pytest.approx(theirs, abs=1e-9)


# -- one object ------------------------------------------------------------------------------------

#: What is made from an attached object, and keeps its functional.
FROM_ATTACHED: dict[str, Callable[[Any], Any]] = {
    "to_gks": lambda mf: mf.to_gks(),
    "to_uks": lambda mf: mf.to_uks(),
    "and back": lambda mf: mf.to_uks().to_rks(),
    "density_fit": lambda mf: mf.density_fit(),
    "newton": lambda mf: mf.newton(),
    "x2c": lambda mf: mf.sfx2c1e(),
    "PCM": lambda mf: mf.PCM(),
    "copy": lambda mf: mf.copy(),
    "pickle of GKS": lambda mf: pickle.loads(pickle.dumps(mf.to_gks())),
}


@pytest.mark.parametrize("name", FROM_ATTACHED)
def test_what_is_made_from_an_attached_object(name: str) -> None:
    expected = FROM_ATTACHED[name](rks("TPSS")).kernel()
    adapter.uninstall()
    try:
        mf = adapter.attach(rks("TPSS_clone"))
        assert FROM_ATTACHED[name](mf).kernel() == pytest.approx(expected, abs=1e-9)
    finally:
        adapter.install()


def test_attached_objects_have_excitations_and_hessians() -> None:
    adapter.uninstall()
    try:
        mf = adapter.attach(rks("TPSS_clone")).run()
        assert np.isfinite(mf.TDDFT().run(nstates=1).e).all()
        with pytest.warns(UserWarning, match="finite differences of 18 gradients"):  # coarse grid
            assert mf.Hessian().kernel().shape == (3, 3, 3, 3)
        assert mf.nuc_grad_method().grid_response
    finally:
        adapter.install()


ANOTHER_PROCESS = """
import pickle, sys
mf = pickle.load(sys.stdin.buffer)
print(mf.nuc_grad_method().grid_response, mf.to_gks().kernel())
"""


def test_attached_objects_in_another_process() -> None:
    """They bring the adapter along: its methods, not only its functionals."""
    adapter.uninstall()
    try:
        mf = adapter.attach(rks("TPSS_clone"))
        command = [sys.executable, "-c", ANOTHER_PROCESS]
        done = subprocess.run(command, input=pickle.dumps(mf), capture_output=True, check=True)
        response, energy = done.stdout.split()
        assert response == b"True"
        assert float(energy) == pytest.approx(mf.kernel(), abs=1e-9)
    finally:
        adapter.install()


# -- mixtures --------------------------------------------------------------------------------------

#: Weighted terms (exact exchange last), and ways to write them.
MIXTURES = [
    (
        {"PBE_clone": 0.4, "NN-r2SCAN": 0.35, "M06L": 0.25},
        ["0.4*PBE_clone + 0.35*NN-r2SCAN + 0.25*M06-L", "M06L*0.25+.35*nn_r2scan+4e-1*pbe-clone"],
    ),
    (
        {"TPSS_clone": 1.0, "PBE": -0.5, "NN-r2SCAN": 0.5},
        ["TPSS_clone - 0.5*PBE + 0.5*NN-r2SCAN", "-0.5*pbe+.5*mgga_xc_nn_r2scan+TPSSclone"],
    ),
    ({"PBE_clone_x": 0.75, "PBE_clone_c": 1.0}, ["0.75*PBE_clone_x + PBE_clone_c + 0.25*HF"]),
]


@pytest.mark.parametrize(("weights", "texts"), MIXTURES)
def test_mixtures_are_weighted_sums(weights: dict[str, float], texts: list[str]) -> None:
    """On one density; a term alone is libxc's or a network's."""
    mf = rks("LDA,VWN").run()
    density = mf.make_rdm1()

    def energy(xc: str) -> float:
        return float(mf._numint.nr_rks(mf.mol, mf.grids, xc, density)[1])

    expected = sum(weight * energy(xc) for xc, weight in weights.items())
    for text in texts:
        assert energy(text) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    "xc",
    [
        "0.25*HF + 0.75*PBE_clone_x, PBE_clone_c",
        "0.25*HF + 0.75*PBE_clone_x, PBE_c",
        "PBE_clone_c + 0.75*PBE_clone_x + HF*0.25",
        "0.75*PBE_clone - 0.75*PBE_clone_c + PBE_clone_c + 0.25*HF",
    ],
)
def test_own_hybrid_is_pbe0(xc: str) -> None:
    ours, theirs = both(lambda each: rks(each).kernel(), (xc, "PBE0"))
    assert ours == pytest.approx(theirs, abs=1e-10)


def test_range_separation() -> None:
    ours, theirs = both(lambda xc: rks(f"{xc} + RSH(0.3, 0.6, -0.4)").kernel(), PBE)
    assert ours == pytest.approx(theirs, abs=1e-9)


# -- dispersion ------------------------------------------------------------------------------------

#: Parameters of PBE in Grimme's lists.
DISPERSION = {
    "D3BJ": {"s8": 0.7875, "a1": 0.4289, "a2": 4.4407},
    "D4": {"s8": 0.95948085, "a1": 0.38574991, "a2": 4.80688534},
}


def need_dispersion() -> None:
    pytest.importorskip("pyscf.dispersion", reason="dispersion needs pyscf-dispersion")
    if tuple(map(int, pyscf.__version__.split(".")[:2])) < (2, 12):
        pytest.skip("PySCF 2.11 reads suffixes of names without dashes only")


@pytest.fixture
def with_dispersion(tmp_path: Path) -> Iterator[None]:
    need_dispersion()
    for i, (method, parameters) in enumerate(DISPERSION.items()):
        record = {"method": method, "parameters": parameters}
        names = {"id": 199010 + i, "aliases": [f"My-PBE-{i}"]}
        name = f"gga_xc_pbe_{method.lower()}_record"
        copy_folder(tmp_path, name, "gga_xc_pbe_clone", dispersion=record, **names)
    with known(tmp_path):
        yield


@pytest.mark.usefixtures("with_dispersion")
@pytest.mark.parametrize(("name", "method"), [("My-PBE-0", "D3BJ"), ("My-PBE-1", "D4")])
def test_dispersion_of_the_record(name: str, method: str) -> None:
    def results(xc: str) -> Any:
        mf = rks(xc).run()
        assert mf.scf_summary["dispersion"] < -1e-5
        return [mf.e_tot, *mf.nuc_grad_method().set(grid_response=True).kernel().ravel()]

    for spelling in (f"{name}-{method}", f"{name.replace('-', '_')}-{method}".lower()):
        ours, theirs = both(results, (spelling, f"PBE-{method}"))
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-8)
    mf = rks(name).set(disp=method.lower())
    assert mf.kernel() == pytest.approx(theirs[0], abs=1e-9)


@pytest.mark.usefixtures("with_dispersion")
@pytest.mark.parametrize(
    ("xc", "message"),
    [
        ("PBE_clone-D3BJ", "PBE_clone has no such parameters"),
        ("My-PBE-0-D4", "no D4 dispersion correction"),
        ("My-PBE-0-D3ZERO", "no D3ZERO dispersion correction"),
        ("0.5*My-PBE-0 + 0.5*PBE-D3BJ", "is a mixture"),
    ],
)
def test_dispersion_without_parameters_is_refused(xc: str, message: str) -> None:
    mf = rks(xc).set(callback=lambda state: pytest.fail("a cycle was spent"))
    with pytest.raises(UnsupportedError, match=message) as caught:
        mf.kernel()
    assert "mf.disp = 'd3bj:pbe'" in str(caught.value)


def test_dispersion_of_another_functional() -> None:
    need_dispersion()
    ours = rks("PBE_clone").set(disp="d3bj:pbe").kernel()
    assert ours == pytest.approx(rks("PBE-D3BJ").kernel(), abs=1e-9)
    for asked, says in (("d3bj", "no D3BJ dispersion"), (True, "disp = True names no dispersion")):
        refused = rks("PBE_clone").set(disp=asked)
        with pytest.raises(UnsupportedError, match=says):
            refused.kernel()
        assert refused.grids.coords is None  # before any work
