"""Nonlocal functionals in PySCF: the published NN-NRA, and its network with the continuum."""

from __future__ import annotations

import json
import math
import pickle
import shutil
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("pyscf", reason="the PySCF adapter's tests need PySCF")
pytest.importorskip("numba", reason="nonlocal descriptors need numba")

from pyscf import dft, gto
from pyscf.dft import numint

from tests.folders import read_record, seal
from xcnet import cli, registry
from xcnet.adapters import pyscf as adapter
from xcnet.errors import MissingInputError

Array = npt.NDArray[np.float64]

NRA = "NN-NRA-Nagai2020"
CONTINUUM = "NN-NRA-continuum"
WATER = "O 0 0 0.119262; H 0 0.763239 -0.477047; H 0 -0.763239 -0.477047"
HYDROXYL = "O 0 0 0; H 0.2 0.1 0.97"
AMIDOGEN = "N 0 0 0; H 0 0.8 0.63; H 0 -0.8 0.63"  # a radical whose hole has one place
#: The closed shells of G2/97 from H2 to SO2 and SiH4 that the adapter's defaults must converge.
CLOSED_SHELLS = (
    "H2 LiH Li2 LiF CH4 NH3 H2O HF N2 CO HCN C2H2 H2CO F2 CO2 HCl PH3 SH2 SiH4 SO2"
).split()


@pytest.fixture(scope="module")
def folders(nagai2020_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published functionals, and NN-NRA's network with the continuum descriptor."""
    folder = tmp_path_factory.mktemp("nonlocal") / "models"
    shutil.copytree(nagai2020_models, folder)
    name = "mgga_xc_nn_nra_continuum"
    shutil.copytree(folder / "mgga_xc_nn_nra_nagai2020", folder / name)
    record = read_record(folder / name)
    record |= {"name": name, "id": 199002, "aliases": [CONTINUUM]}
    record["descriptors"] = {"near_region": {"definition": "continuum", "sigma_bohr": 0.2}}
    seal(record, folder / name)
    return folder


@pytest.fixture(autouse=True)
def installed(folders: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(registry.MODEL_PATH_VARIABLE, str(folders))
    adapter.install()
    yield
    adapter.uninstall()


def _molecule(atom: Any = WATER, spin: int = 0, basis: str = "6-31g") -> Any:
    return gto.M(atom=atom, spin=spin, basis=basis, verbose=0)


def _object(method: str, mol: Any, xc: str = NRA, level: int = 1) -> Any:
    mf = getattr(dft, method)(mol, xc=xc)
    mf.grids.level = level
    mf.conv_tol = 1e-10
    return mf


def _converged(method: str, mol: Any, xc: str = NRA, level: int = 1) -> Any:
    mf = _object(method, mol, xc, level)
    assert adapter.converge(mf).converged
    return mf


# -- energies ------------------------------------------------------------------------------------


def test_published_energy() -> None:
    """The prototype's value with PySCF 2.14's default grid; -76.2248 in the authors' program."""
    mf = _converged("RKS", _molecule(), level=3)
    assert mf.e_tot == pytest.approx(-76.22480676, abs=1e-7)
    assert np.linalg.norm(mf.dip_moment(verbose=0)) == pytest.approx(2.5, abs=0.5)


def test_energy_equals_the_published_formula(nagai2020_weights: Path) -> None:
    """All pairs of points, and the network from the authors' file."""
    mf = _converged("RKS", _molecule(), level=0)
    ao = numint.eval_ao(mf.mol, mf.grids.coords, deriv=1)
    rho = numint.eval_rho(mf.mol, ao, mf.make_rdm1(), xctype="MGGA", with_lapl=False)
    exc = _published_formula(nagai2020_weights, rho, mf.grids.coords, mf.grids.weights)
    energy = float(mf.grids.weights * rho[0] @ exc)
    assert mf.scf_summary["exc"] == pytest.approx(energy, abs=1e-9)


def _published_formula(folder: Path, rho: Array, coords: Array, weights: Array) -> Array:
    """Energy per particle (N,) of NN-NRA for a closed shell, by the text beside its weights."""
    import torch

    state = torch.load(folder / "NNNRA", map_location="cpu", weights_only=True)
    layer = {name: value.double().numpy() for name, value in state.items()}
    near = np.empty_like(rho[0])
    for part in np.array_split(np.arange(len(coords)), 40):
        distance = np.linalg.norm(coords[part, None] - coords, axis=2) / 0.2
        kernel = np.where(distance < math.log(1000), np.exp(-distance), 0.0)
        near[part] = kernel @ (weights * rho[0])
    n, sigma, tau = rho[0], (rho[1:4] ** 2).sum(axis=0) + 4e-7, rho[4]
    u = np.cbrt(n + 1e-7)
    s = (np.sqrt(sigma) + 1e-7) / u**4
    t = (tau + 1e-7) / (u**5 * 2)
    x = np.log(np.stack([u, np.ones_like(u), s, t, np.maximum(near, 0.0) + 1e-7], axis=1))
    for i in (1, 2, 3, 4):
        x = x @ layer[f"fc{i}.weight"].T + layer[f"fc{i}.bias"]
        x = np.where(x > 0, x, np.expm1(np.minimum(x, 0.0)))
    result: Array = -(x[:, 0] + 1.0) * np.cbrt(n)
    return result


def test_closed_shell_is_the_same_in_every_method() -> None:
    mol = _molecule()
    energies = [_converged(method, mol).e_tot for method in ("RKS", "UKS", "ROKS")]
    np.testing.assert_allclose(energies, energies[0], rtol=0, atol=1e-9)
    fitted = _object("RKS", mol).density_fit()
    assert fitted.kernel() == pytest.approx(energies[0], abs=1e-4)


def test_expressions_add_up() -> None:
    """At one density: energy and potential of a mixture are the mixture of its parts'."""
    mol = _molecule()
    mf = _object("RKS", mol, "PBE")
    density = mf.get_init_guess()
    mf.grids.build(with_non0tab=True)  # PySCF 2.11 would prune it for PBE

    def parts(xc: str) -> tuple[float, Array]:
        _, energy, matrix = mf._numint.nr_rks(mol, mf.grids, xc, density)
        return energy, matrix

    mixture = parts(f"0.4*{NRA} + 0.2*{CONTINUUM} + 0.3*NN-metaGGA-Nagai2020 + .2*HF + 0.1*PBE")
    weights = {NRA: 0.4, CONTINUUM: 0.2, "NN-metaGGA-Nagai2020": 0.3, "PBE": 0.1}
    terms = {xc: parts(xc) for xc in weights}
    energy = sum(w * terms[xc][0] for xc, w in weights.items())
    assert mixture[0] == pytest.approx(energy, abs=1e-10)
    expected = sum(w * terms[xc][1] for xc, w in weights.items())
    np.testing.assert_allclose(mixture[1], expected, rtol=0, atol=1e-10)
    assert mf._numint.libxc.hybrid_coeff(f"0.8*{NRA} + 0.2*HF") == pytest.approx(0.2)


# -- derivatives ---------------------------------------------------------------------------------


def _difference(function: Any, step: float) -> Any:
    """Central difference of fourth order at 0."""
    values = [np.asarray(function(k * step)) for k in (-2, -1, 1, 2)]
    return (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * step)


@pytest.mark.parametrize("xc", [NRA, CONTINUUM, f"0.8*{NRA}+0.2*HF+0.1*GGA_C_LYP"])
@pytest.mark.parametrize("method", ["RKS", "UKS"])
def test_potential_and_response_are_derivatives(method: str, xc: str) -> None:
    """Along the way from the guess to the self-consistent density, where all densities are."""
    spin = int(method == "UKS")
    mf = _converged(method, _molecule(HYDROXYL, 1) if spin else _molecule(), NRA)
    density = np.asarray(mf.make_rdm1())
    along = np.asarray(mf.get_init_guess()) - density
    ni, mol, grids = mf._numint, mf.mol, mf.grids

    def at(x: float) -> Any:
        return ni.nr_vxc(mol, grids, xc, density + x * along, spin=spin)

    potential = at(0.0)[2]
    energy_slope = _difference(lambda x: at(x)[1], 1e-4)
    assert np.sum(potential * along) == pytest.approx(energy_slope, abs=1e-8)
    response = ni.nr_fxc(mol, grids, xc, density, along, spin=spin, hermi=1)
    # The network's second derivatives jump at the kinks of ELU, hence the short step.
    slope = _difference(lambda x: at(x)[2], 1e-5)
    np.testing.assert_allclose(response, slope, rtol=0, atol=1e-6)


@pytest.mark.parametrize("method", ["RKS", "UKS"])
def test_newton_converges_to_the_same_energy(method: str) -> None:
    mol = _molecule() if method == "RKS" else _molecule(AMIDOGEN, 1)
    plain = _converged(method, mol)
    second = _object(method, mol).newton()
    second.kernel(plain.get_init_guess())
    assert second.converged
    assert second.e_tot == pytest.approx(plain.e_tot, abs=1e-8)


@pytest.mark.parametrize(
    ("method", "atom", "xc"),
    [
        ("RKS", WATER, NRA),
        ("UKS", HYDROXYL, NRA),
        ("RKS", "H 0 0 0; F 0 0.3 0.9", f"0.8*{CONTINUUM}+0.2*HF"),
    ],
)
def test_gradient_equals_finite_differences(method: str, atom: str, xc: str) -> None:
    mf = _object(method, _molecule(atom, int(method == "UKS")), xc, level=3)
    mf.conv_tol_grad = 1e-6
    assert adapter.converge(mf).converged
    gradients = mf.nuc_grad_method()
    assert gradients.grid_response
    force = gradients.kernel()
    np.testing.assert_allclose(force.sum(axis=0), 0.0, atol=1e-6)
    scanner, place = mf.as_scanner(), mf.mol.atom_coords()

    def energy(x: float) -> float:
        moved = place.copy()
        moved[1] += x * np.array([0.0, 0.6, 0.8])
        return float(scanner(mf.mol.set_geom_(moved, unit="Bohr", inplace=False)))

    slope = (energy(2e-3) - energy(-2e-3)) / 4e-3
    assert force[1] @ [0.0, 0.6, 0.8] == pytest.approx(slope, abs=1e-5)


def test_geometry_optimization() -> None:
    pytest.importorskip("geometric")
    from pyscf.geomopt.geometric_solver import optimize

    mf = _object("RKS", _molecule("H 0 0 0; H 0 0 0.8"), level=2)
    relaxed = optimize(mf, maxsteps=8)
    length = np.linalg.norm(np.diff(relaxed.atom_coords(unit="Angstrom"), axis=0))
    assert length == pytest.approx(0.75, abs=0.02)
    final = _converged("RKS", relaxed, level=2).nuc_grad_method().kernel()
    assert np.abs(final).max() < 5e-4


# -- self-consistency ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", CLOSED_SHELLS)
def test_closed_shells_converge(name: str) -> None:
    from ase.build import molecule

    atoms = molecule(name)
    geometry = list(zip(atoms.get_chemical_symbols(), atoms.positions, strict=True))
    mol = _molecule(geometry, basis="def2-svp")
    mf = dft.RKS(mol, xc=NRA).density_fit()
    assert adapter.converge(mf).converged


@pytest.mark.parametrize(("symbol", "spin"), [("C", 2), ("N", 3), ("O", 2), ("F", 1)])
def test_atoms_converge(symbol: str, spin: int) -> None:
    mf = dft.UKS(_molecule(symbol, spin, "def2-svp"), xc=NRA)
    mf.grids.level = 2
    assert adapter.converge(mf).converged


def test_run(tmp_path: Path) -> None:
    words = ["H2O", "NH3", "--xc", NRA, "--basis", "6-31g", "--grid", "2", "--quiet"]
    assert cli.main(["run", *words, "--json", str(tmp_path / "result.json")]) == 0
    results = json.loads((tmp_path / "result.json").read_text())["results"]
    assert all(result["converged"] for result in results)


# -- grids ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("xc", [NRA, CONTINUUM])
def test_pruning_by_density_keeps_the_shells(xc: str) -> None:
    mol = _molecule()
    pruned = _object("RKS", mol, xc)
    pruned.small_rho_cutoff = 1e-5
    assert pruned.kernel() == pytest.approx(_converged("RKS", mol, xc).e_tot, abs=1e-10)
    plain = _object("RKS", mol, "PBE")
    plain.small_rho_cutoff = 1e-5
    plain.kernel()
    assert len(plain.grids.weights) < len(pruned.grids.weights)


def test_atoms_of_the_points_are_found() -> None:
    """As with PySCF 2.8, which does not keep them."""
    mf = _object("RKS", _molecule("H 0 0 0; F 0 0 0.92"), CONTINUUM)
    density = mf.get_init_guess()
    expected = mf.energy_tot(density)
    mf.grids.build(with_non0tab=True)
    mf.grids.atm_idx = mf.grids.quadrature_weights = None
    assert mf.energy_tot(density) == pytest.approx(expected, abs=1e-12)


def test_points_that_are_not_shells() -> None:
    """The grid sum takes any points, the continuum says what it lacks."""
    mol = _molecule("H 0 0 0; F 0 0 0.92")
    for xc, error in ((NRA, None), (CONTINUUM, MissingInputError)):
        mf = _object("RKS", mol, xc)
        mf.grids.build()
        mf.grids.coords = mf.grids.coords + 1e-3
        mf.grids.atm_idx = None
        with nullcontext() if error is None else pytest.raises(error, match="which atom"):
            assert mf.energy_tot(mf.get_init_guess()) < -90.0


def test_sparse_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """PySCF leaves out orbitals that vanish in a block: of large molecules, here of any."""
    mol = _molecule("; ".join(f"He 0 0 {3 * i}" for i in range(6)))
    mf = _object("RKS", mol, level=0)
    mf.grids.build(with_non0tab=True)
    density = mf.get_init_guess()
    dense = mf._numint.nr_rks(mol, mf.grids, NRA, density)[2]
    monkeypatch.setattr(numint, "SWITCH_SIZE", 0)
    sparse = mf._numint.nr_rks(mol, mf.grids, NRA, density, max_memory=1)[2]
    np.testing.assert_allclose(sparse, dense, rtol=0, atol=1e-9)


def test_pickled_objects_go_on() -> None:
    mf = _converged("RKS", _molecule("H 0 0 0; H 0 0 0.74"))
    again = pickle.loads(pickle.dumps(mf))
    assert again.kernel(mf.make_rdm1()) == pytest.approx(mf.e_tot, abs=1e-9)
