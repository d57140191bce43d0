"""Derivatives by the nuclei: gradients, geometries, Hessians, frequencies; fields and magnetism."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyscf", reason="the PySCF adapter's tests need PySCF")

from pyscf import dft
from pyscf.dft.numint import BLKSIZE
from pyscf.hessian import thermo

from tests.pyscf_methods import (
    Array,
    both,
    cation,
    installed,
    molecule,
    rks,
    tight,
    uks,
    water,
)
from xcnet.adapters.pyscf import grid_noise
from xcnet.adapters.pyscf.hessian import LIMIT
from xcnet.errors import ConvergenceError, UnsupportedError

NN = "NN-metaGGA-Nagai2020"
NRA = "NN-NRA-Nagai2020"
PBE = "PBE_clone", "PBE"
TPSS = "TPSS_clone", "TPSS"
PBE0 = "0.25*HF + 0.75*PBE_clone_x, PBE_clone_c", "PBE0"
HYDROGEN = "H 0 0 0; H 0 0 0.76"
FLUORIDE = "H 0 0 0; F 0 0 0.95"


@pytest.fixture(scope="module", autouse=True)
def functionals(nagai2020_models: Path) -> Iterator[None]:
    with installed(nagai2020_models):
        yield


# -- gradients -------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [rks, uks])
@pytest.mark.parametrize("xc", [NN, "NN-r2SCAN", f"0.75*{NN} + 0.25*HF"])
def test_gradient_is_the_slope_of_the_energy(make: Any, xc: str) -> None:
    mf = tight(make(xc), 1).run()
    gradient = mf.nuc_grad_method().kernel()
    np.testing.assert_allclose(gradient.sum(axis=0), 0.0, atol=1e-8)
    scan = mf.as_scanner()
    for atom, axis in ((0, 2), (1, 1)):
        energies = []
        for step in (1e-3, -1e-3):
            coords = mf.mol.atom_coords()
            coords[atom, axis] += step
            energies.append(scan(mf.mol.set_geom_(coords, unit="Bohr", inplace=False)))
        slope = (energies[0] - energies[1]) / 2e-3
        assert gradient[atom, axis] == pytest.approx(slope, abs=1e-5)


@pytest.mark.parametrize(
    "build",
    [
        lambda mf: mf,
        lambda mf: mf.to_uks(),
        lambda mf: mf.density_fit(),
        lambda mf: mf.PCM(),
        lambda mf: mf.newton(),
        lambda mf: mf.sfx2c1e(),
    ],
    ids=["RKS", "UKS", "density fitting", "PCM", "newton", "sf-x2c"],
)
def test_grid_response_is_the_default_and_a_choice(build: Callable[[Any], Any]) -> None:
    assert not build(rks("PBE")).nuc_grad_method().grid_response
    ours = build(rks("PBE_clone")).run().nuc_grad_method()
    theirs = build(rks("PBE")).run().nuc_grad_method().set(grid_response=True)
    np.testing.assert_allclose(ours.kernel(), theirs.kernel(), rtol=0, atol=1e-7)
    for gradients in (ours, theirs):
        gradients.grid_response = False
    np.testing.assert_allclose(ours.kernel(), theirs.kernel(), rtol=0, atol=1e-7)


def test_other_gradients() -> None:
    def roks(xc: str) -> Any:
        mf = dft.ROKS(cation(), xc=xc)  # without degenerate orbitals, which grids turn as they like
        return tight(mf).newton().run().nuc_grad_method().set(grid_response=True).kernel()

    def plus_u(xc: str) -> Any:
        mf = dft.RKSpU(water(), xc=xc, U_idx=["O 2p"], U_val=[3.0])
        return tight(mf).run().nuc_grad_method().set(grid_response=True).kernel()

    for calculation in (roks, plus_u) if hasattr(dft, "RKSpU") else (roks,):
        ours, theirs = both(calculation, TPSS)
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)


# -- geometries ------------------------------------------------------------------------------------

RING = np.arange(6) * np.pi / 3


def _optimized(mf: Any) -> Any:
    """Molecule at rest, to ten times the default forces (4.5e-3 Hartree/bohr at most)."""
    optimizer = pytest.importorskip("pyscf.geomopt.geometric_solver", reason="needs geometric")
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # geometric's
        converged, geometry = optimizer.kernel(mf, convergence_set="GAU_LOOSE")
    assert converged
    return geometry


def _distances(mol: Any) -> Array:
    places = mol.atom_coords(unit="Angstrom")
    return np.asarray(np.linalg.norm(places[:, None] - places, axis=2))


def test_optimized_water() -> None:
    """Bond and angle near those of grid level 4, optimized with this adapter."""
    mf = tight(dft.RKS(molecule("O 0 0 0; H 0 0 1.05; H 1 0 -0.3", "def2-svp"), xc=NN), 1)
    distances = _distances(_optimized(mf.set(conv_tol=1e-9)))
    np.testing.assert_allclose(distances[0, 1:], 0.9742, atol=3e-3)
    assert distances[1, 2] == pytest.approx(2 * 0.9742 * np.sin(np.radians(102.29 / 2)), abs=0.01)


def test_optimized_benzene() -> None:
    """A hexagon, at rest for r2SCAN too, of which the network is a fit."""
    atoms = [("C", 1.44), ("H", 2.56)]
    text = "; ".join(
        f"{s} {r * np.cos(phi):.8f} {r * np.sin(phi):.8f} 0" for s, r in atoms for phi in RING
    )
    geometry = _optimized(tight(dft.RKS(molecule(text), xc="NN-r2SCAN")).density_fit())
    distances = _distances(geometry)
    assert np.ptp([distances[i, (i + 1) % 6] for i in range(6)]) < 3e-3
    theirs = tight(dft.RKS(geometry, xc="r2SCAN")).density_fit().run().nuc_grad_method()
    assert np.abs(theirs.set(grid_response=True).kernel()).max() < 5e-3


def test_another_state_on_the_way_is_warned_of() -> None:
    scan = rks(NN).nuc_grad_method().as_scanner()
    scan(molecule(FLUORIDE))
    scan(molecule(FLUORIDE, "6-31g"))  # nothing to compare with
    scan(molecule(FLUORIDE))
    scan(molecule("H 0 0 0; F 0 0 1.0"))  # a large step is none
    scan.base.energy_nuc = lambda: scan.mol.energy_nuc() + 0.01
    with pytest.warns(UserWarning, match="one of them is another electronic state"):
        scan(molecule("H 0 0 0; F 0 0 1.01"))
    assert scan.base.converged


# -- Hessians --------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [dft.RKS, dft.UKS])
def test_analytic_hessian_equals_libxc(make: Any) -> None:
    """The clone is smooth enough for PySCF's grid here: no differences, no warning."""
    mol = molecule(HYDROGEN)
    ours, theirs = both(lambda xc: tight(make(mol, xc=xc), 3).run().Hessian().kernel(), TPSS)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-8)


@pytest.mark.parametrize("make", [dft.RKS, dft.UKS])
def test_missing_response_of_the_grid_is_measured(make: Any) -> None:
    """By how much PySCF's Hessian breaks the sum rule of translations, without making one."""
    mf = tight(make(molecule(FLUORIDE), xc="NN-r2SCAN"), 1).run()
    hessian = mf.Hessian()
    broken = (hessian.hess_elec() + hessian.hess_nuc()).sum(axis=1)
    breach = grid_noise.breach(mf)
    assert np.abs(broken).max() > 10 * LIMIT
    np.testing.assert_allclose(breach, -broken, rtol=0, atol=0.1 * np.abs(broken).max())


def test_frequency_of_carbon_monoxide() -> None:
    """PySCF's analytic Hessian gives 2210.7/cm with NN-r2SCAN, differences give 2246.3."""
    mol = molecule("C 0 0 0; O 0 0 1.13", "def2-svp")
    mf = tight(dft.RKS(mol, xc="NN-r2SCAN").density_fit(), 3).run()
    with pytest.warns(UserWarning, match=r"12 gradients.*worth 0\.14 Hartree/bohr\^2 here"):
        hessian = mf.Hessian().kernel()
    wavenumbers = thermo.harmonic_analysis(mol, hessian)["freq_wavenumber"]
    np.testing.assert_allclose(wavenumbers, [2246.3], rtol=0, atol=2.0)


@pytest.mark.parametrize("make", [dft.RKS, lambda mol, xc: dft.RKS(mol, xc=xc).PCM()])
def test_differences_equal_the_analytic_hessian(make: Any, monkeypatch: Any) -> None:
    """PBE, once where nothing is smooth enough; without and with solvent."""
    monkeypatch.setattr("xcnet.adapters.pyscf.hessian.LIMIT", 0.0)
    mf = tight(make(molecule(FLUORIDE), xc="PBE_clone"), 3).run()
    before = mf.e_tot, mf.mol.atom_coords(), mf.mo_coeff.copy(), mf.grids.coords
    hessian = mf.Hessian()
    with pytest.warns(
        UserWarning, match="PBE_clone: Hessian by finite differences of 12 gradients"
    ):
        ours = hessian.kernel()
    assert hessian.de is ours
    after = mf.e_tot, mf.mol.atom_coords(), mf.mo_coeff, mf.grids.coords
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.warns(UserWarning, match="6 gradients"):
        part = mf.Hessian().kernel(atmlst=[1])
    theirs = tight(make(molecule(FLUORIDE), xc="PBE"), 3).run().Hessian().kernel()
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-4)
    np.testing.assert_allclose(part[0, 0], ours[1, 1], rtol=0, atol=1e-6)
    np.testing.assert_allclose(ours, ours.transpose(1, 0, 3, 2), rtol=0, atol=1e-12)


@pytest.mark.parametrize("symmetry", [False, True])
def test_hessian_of_roks(symmetry: bool) -> None:
    """Of a closed shell: that of RKS. PySCF has none for libxc's functionals."""
    mol = molecule(FLUORIDE, symmetry=symmetry)
    mf = tight(dft.ROKS(mol, xc="PBE_clone"), 3).run()
    with pytest.warns(UserWarning, match="because PySCF has none of ROKS"):
        ours = mf.Hessian().kernel()
    theirs = tight(dft.RKS(mol, xc="PBE"), 3).run().Hessian().kernel()
    np.testing.assert_allclose(ours[:, :, 2, 2], theirs[:, :, 2, 2], rtol=0, atol=2e-4)
    with pytest.raises(NotImplementedError):
        dft.ROKS(mol, xc="PBE").Hessian()


@pytest.mark.filterwarnings("ignore:.*Hessian by finite differences")
def test_differences_of_symmetric_molecules() -> None:
    """Same numbers with symmetry; run() instead of kernel(); before any SCF."""
    plain = tight(dft.RKS(molecule(HYDROGEN), xc=NN)).run()
    expected = plain.Hessian().kernel()
    symmetric = tight(dft.RKS(molecule(HYDROGEN, symmetry=True), xc=NN))
    along = symmetric.Hessian().run().de[0, 0, 2, 2]
    assert along == pytest.approx(expected[0, 0, 2, 2], abs=1e-4)


def test_frequencies_of_water() -> None:
    """Published NN-metaGGA by differences, libxc's TPSS beside, as PySCF's thermo prints them."""
    lines = {}
    for xc in (NN, "TPSS"):
        mf = tight(dft.RKS(water(basis="6-31g"), xc=xc), 1).run()
        with (
            pytest.warns(UserWarning, match="18 gradients")
            if xc == NN
            else contextlib.nullcontext()
        ):
            hessian = mf.Hessian().kernel()
        analysis = thermo.harmonic_analysis(mf.mol, hessian)
        assert analysis["freq_error"] == 0
        lines[xc] = analysis["freq_wavenumber"]
        assert thermo.thermo(mf, analysis["freq_au"])["ZPE"][0] > 0.02
    np.testing.assert_allclose(lines[NN], lines["TPSS"], rtol=0, atol=60.0)


def test_nonlocal_hessian_by_differences() -> None:
    pytest.importorskip("numba", reason="nonlocal descriptors need numba")
    mf = tight(dft.RKS(molecule(HYDROGEN), xc=NRA), 1).run()
    with pytest.warns(UserWarning, match="because it is nonlocal"):
        hessian = mf.Hessian().kernel()
    np.testing.assert_allclose(hessian.sum(axis=1), 0.0, atol=1e-4)
    assert hessian[0, 0, 2, 2] > 0.2


#: Environments and solvers that change a nonlocal functional's energy as they change TPSS's.
ENVIRONMENTS: dict[str, Callable[[str], Any]] = {
    "symmetry": lambda xc: dft.RKS(molecule(FLUORIDE, symmetry=True), xc=xc),
    "sf-x2c": lambda xc: dft.RKS(molecule(FLUORIDE), xc=xc).sfx2c1e(),
    "PCM": lambda xc: dft.RKS(molecule(FLUORIDE), xc=xc).PCM(),
}
if hasattr(dft, "RKSpU"):  # PySCF 2.8 has it for crystals only
    ENVIRONMENTS["DFT+U"] = lambda xc: dft.RKSpU(
        molecule(FLUORIDE), xc=xc, U_idx=["F 2p"], U_val=[3.0]
    )


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_environments_of_nonlocal_functionals(name: str) -> None:
    pytest.importorskip("numba", reason="nonlocal descriptors need numba")
    shifts = []
    for xc in (NRA, "TPSS"):
        mf = tight(ENVIRONMENTS[name](xc), 1)
        shifts.append(mf.kernel() - tight(dft.RKS(molecule(FLUORIDE), xc=xc), 1).kernel())
        assert mf.converged
        force = mf.nuc_grad_method().set(grid_response=True).kernel()[:, 2]
        assert force.sum() == pytest.approx(0.0, abs=1e-5)
    assert shifts[0] == pytest.approx(shifts[1], abs=2e-3)


@pytest.mark.filterwarnings("ignore:.*Hessian by finite differences")
def test_displaced_molecules_must_converge() -> None:
    mf = tight(dft.RKS(molecule(FLUORIDE), xc=NN)).run()
    with pytest.raises(ConvergenceError, match="atom 0 displaced"):
        mf.set(max_cycle=1).Hessian().kernel()


@pytest.mark.filterwarnings("ignore:.*Hessian by finite differences")
def test_displaced_molecules_must_stay_in_their_state() -> None:
    mf = tight(dft.RKS(molecule(FLUORIDE), xc=NN)).run()
    mf.e_tot -= 0.01
    with pytest.raises(ConvergenceError, match=r"another state was found, 0\.0[01]"):
        mf.Hessian().kernel()


# -- fields ----------------------------------------------------------------------------------------


@pytest.fixture
def properties() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "under testing"
        pytest.importorskip("pyscf.prop", reason="needs pyscf-properties")


@pytest.mark.usefixtures("properties")
@pytest.mark.parametrize("pair", [PBE, TPSS, PBE0])
def test_polarizability_equals_libxc(pair: tuple[str, str]) -> None:
    from pyscf.prop.polarizability import rks as closed
    from pyscf.prop.polarizability import uks as opened

    for module, make in ((closed, rks), (opened, uks)):
        ours, theirs = both(lambda xc: _polarizability(module, make(xc)), pair)  # noqa: B023
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)


def _polarizability(module: Any, mf: Any) -> Any:
    return module.Polarizability(mf.run()).polarizability()


@pytest.mark.usefixtures("properties")
def test_polarizability_is_the_slope_of_the_dipole_moment() -> None:
    """NN-NRA in a field: the response of a nonlocal functional."""
    pytest.importorskip("numba", reason="nonlocal descriptors need numba")
    from pyscf.prop.polarizability import rks as closed

    mf = tight(dft.RKS(molecule(FLUORIDE, "6-31g"), xc=NRA), 1).run()
    expected = closed.Polarizability(mf).polarizability()[2, 2]
    dipoles, position = [], mf.mol.intor("int1e_r")[2]
    for field in (1e-3, -1e-3):
        core = mf.get_hcore() + field * position
        moved = tight(dft.RKS(mf.mol, xc=NRA), 1).set(get_hcore=lambda *args, h=core: h).run()
        dipoles.append(moved.dip_moment(unit="AU", verbose=0)[2])
    assert (dipoles[0] - dipoles[1]) / 2e-3 == pytest.approx(expected, rel=5e-3)


@pytest.mark.usefixtures("properties")
def test_shielding_equals_libxc() -> None:
    """Uncoupled, on a grid of whole blocks: more pyscf-properties 0.1.0 cannot do on PySCF 2.14."""
    from pyscf.prop.nmr import rks as nmr

    def shielding(xc: str) -> Any:
        mf = tight(dft.RKS(molecule(FLUORIDE), xc=xc))
        mf.grids.build()
        rest = -len(mf.grids.weights) % BLKSIZE
        mf.grids.coords = np.vstack([mf.grids.coords, np.full((rest, 3), 1e4)])
        mf.grids.weights = np.append(mf.grids.weights, np.zeros(rest))
        mf.grids.non0tab = mf.grids.screen_index = mf.grids.make_mask(mf.mol, mf.grids.coords)
        return nmr.NMR(mf.run()).set(cphf=False).kernel()

    ours, theirs = both(shielding, PBE)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)


@pytest.mark.usefixtures("properties")
def test_magnetic_properties_of_meta_ggas_are_refused() -> None:
    from pyscf.prop.magnetizability import rks as magnetizability
    from pyscf.prop.nmr import uks as nmr

    for constructor, make, method in (
        (nmr.NMR, uks, "NMR shielding"),
        (magnetizability.Magnetizability, rks, "magnetizability"),
    ):
        with pytest.raises(UnsupportedError, match=rf"TPSS_clone.*{method}.*Use a GGA"):
            constructor(make("TPSS_clone"))


#: What PySCF has for no functional of this kind, and the way out.
REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "GKS gradient": (lambda: tight(dft.GKS(water(), xc=NN)).nuc_grad_method(), "Use UKS"),
    "DKS gradient": (lambda: tight(dft.DKS(water(), xc=NN)).nuc_grad_method(), "Use x2c"),
    "noncollinear GKS": (
        lambda: tight(dft.GKS(water(), xc=NN)).set(collinear="ncol").kernel(),
        "Use collinear = 'col'",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_before_any_cycle(name: str) -> None:
    call, way_out = REFUSED[name]
    with pytest.raises(NotImplementedError, match=f"{NN} .*{way_out}") as e:
        call()
    assert isinstance(e.value, UnsupportedError)
    assert e.value.context["method"]
