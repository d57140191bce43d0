"""NN-NRA in Psi4: against `xcnet`, PySCF and finite differences; and what is refused."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("psi4", reason="these tests need Psi4")
pytest.importorskip("numba", reason="nonlocal descriptors need numba")

import psi4

import xcnet
from tests.folders import read_record, seal
from tests.psi4.calculations import HYDROGEN, WATER, energy, gradient, molecule, run, water
from xcnet import registry
from xcnet.adapters.psi4 import nonlocal_hooks
from xcnet.adapters.psi4.nonlocal_grid import molecular_grid
from xcnet.adapters.psi4.nonlocal_orbitals import KeptOrbitals
from xcnet.errors import InputError, UnsupportedError

Array = npt.NDArray[np.float64]

NRA = "nn-nra-nagai2020"
KEY = "MGGA_XC_NN_NRA_NAGAI2020"
CONTINUUM = "MGGA_XC_NN_NRA_CONTINUUM"
AMIDOGEN = "N 0 0 0; H 0 1.5 1.2; H 0 -1.5 1.2"
#: Integrals without density fitting, as PySCF's.
EXACT = {"scf_type": "pk"}
FINE = {"dft_radial_points": 99, "dft_spherical_points": 590}
MEDIUM = {"dft_radial_points": 50, "dft_spherical_points": 194}


@pytest.fixture(scope="module", autouse=True)
def continuum(
    published_networks: None, nagai2020_models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """NN-NRA's network with the continuum descriptor is known as well."""
    parent = tmp_path_factory.mktemp("continuum")
    folder = parent / CONTINUUM.lower()
    shutil.copytree(nagai2020_models / KEY.lower(), folder)
    record = read_record(folder)
    record |= {"name": folder.name, "id": 199002, "aliases": ["NN-NRA-continuum"]}
    record["descriptors"] = {"near_region": {"definition": "continuum", "sigma_bohr": 0.2}}
    seal(record, folder)
    with pytest.MonkeyPatch.context() as patch:
        known = os.environ[registry.MODEL_PATH_VARIABLE]
        patch.setenv(registry.MODEL_PATH_VARIABLE, f"{known}:{parent}")
        registry.refresh()
        yield
    registry.refresh()


# -- the same numbers as elsewhere ---------------------------------------------------------------


def _order(wfn: Any, mol: Any) -> list[int]:
    """Psi4's function that each of PySCF's is: the same atom, momentum, shell and component."""

    def keys(shells: Any) -> list[tuple[int, ...]]:
        seen: dict[tuple[int, int], int] = {}
        result: list[tuple[int, ...]] = []
        for atom, momentum in shells:
            number = seen[atom, momentum] = seen.get((atom, momentum), -1) + 1
            result += [(atom, momentum, number, m) for m in range(2 * momentum + 1)]
        return result

    basis = wfn.basisset()
    theirs = [(basis.shell_to_center(i), basis.shell(i).am) for i in range(basis.nshell())]
    ours = [(mol.bas_atom(i), mol.bas_angular(i)) for i in range(mol.nbas)]
    place = {key: i for i, key in enumerate(keys(theirs))}
    return [place[key] for key in keys(ours)]


def _pyscf(atoms: Any, charge: int = 0, spin: int = 0) -> Any:
    """The molecule, and a Kohn-Sham object with NN-NRA."""
    gto = pytest.importorskip("pyscf.gto", reason="these tests compare Psi4 with PySCF")
    from pyscf import dft

    import xcnet.adapters.pyscf

    mol = gto.M(atom=atoms, unit="B", basis="6-31g", charge=charge, spin=spin, verbose=0)
    mf = (dft.UKS if spin else dft.RKS)(mol, xc=NRA)
    xcnet.adapters.pyscf.attach(mf)
    return mf


@pytest.mark.parametrize("charge", [0, 1])
def test_equal_on_identical_densities_points_and_weights(charge: int) -> None:
    """Energy and matrices from PySCF's orbitals, and energy from `xcnet.functional` alone."""
    _, wfn = run(psi4.energy, NRA, molecule(WATER, charge, 1 + charge), return_wfn=True)
    field = nonlocal_hooks.field_of(wfn)
    assert field is not None
    points = field.grid.grid.points
    place = wfn.molecule().geometry().np
    atoms = [[wfn.molecule().symbol(i), x] for i, x in enumerate(place)]
    mf = _pyscf(atoms, charge, charge)
    mf.grids.coords, mf.grids.weights, mf.grids.atm_idx = points.coords, points.weights, None
    mf.grids.non0tab = mf.grids.make_mask(mf.mol, points.coords)
    order = _order(wfn, mf.mol)
    density = np.array([wfn.Da_subset("AO").np, wfn.Db_subset("AO").np])
    density = density[:, order][:, :, order]
    ni = mf._numint
    if charge:
        _, expected, matrices = ni.nr_uks(mf.mol, mf.grids, mf.xc, density)
    else:
        _, expected, matrices = ni.nr_rks(mf.mol, mf.grids, mf.xc, density.sum(axis=0))
    assert field.energy(wfn) == pytest.approx(expected, abs=1e-10)
    ours = np.array(field.matrices(wfn))[:, order][:, :, order]
    np.testing.assert_allclose(ours, np.reshape(matrices, ours.shape), rtol=0, atol=1e-9)
    assert _by_functional(field.rows, points) == pytest.approx(expected, abs=1e-10)


def _by_functional(rows: Array, points: Any) -> float:
    spins = len(rows)
    pairs = [(0, 0), (0, 1), (1, 1)] if spins == 2 else [(0, 0)]
    sigma = np.array([(rows[a, 1:4] * rows[b, 1:4]).sum(axis=0) for a, b in pairs]).T
    functional = xcnet.functional(NRA, spins)
    arrays = (rows[:, 0].T, sigma, rows[:, 4].T)
    out = functional.compute(*arrays, coords=points.coords, weights=points.weights)
    return float(points.weights * rows[:, 0].sum(axis=0) @ out["zk"][:, 0])


def test_equal_to_pyscf_self_consistently() -> None:
    """Within the grid sum's dependence on the grid: measured, 1.4e-7 Eh here.

    It is 6e-7 for (75, 302) points, and for water 1.7e-5, as PySCF's own fine grids differ.
    """
    ours = energy(NRA, molecule(HYDROGEN), options={**EXACT, **FINE, "e_convergence": 1e-7})
    mf = _pyscf(HYDROGEN)
    mf.grids.atom_grid = (99, 590)
    assert ours == pytest.approx(mf.kernel(), abs=1e-5)
    assert mf.converged


# -- gradients -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("definition", "atoms", "multiplicity"),
    [
        (NRA, WATER, 1),
        (NRA, AMIDOGEN, 2),
        (
            {
                "name": "hybrid",
                "x_functionals": {CONTINUUM: {"alpha": 0.8}},
                "x_hf": {"alpha": 0.2},
                "c_functionals": {},
            },
            "H 0 0 0; F 0 0.5 1.7",
            1,
        ),
    ],
    ids=["water", "radical", "continuum hybrid"],
)
def test_gradient_equals_finite_differences(definition: Any, atoms: str, multiplicity: int) -> None:
    options = {**MEDIUM, "e_convergence": 1e-10, "d_convergence": 1e-8}
    lines = [line.split() for line in atoms.split(";")]
    place = np.array([[float(x) for x in line[1:]] for line in lines])
    along = np.zeros_like(place)
    along[1] = 0.0, 0.6, 0.8

    def moved(by: float) -> Any:
        rows = zip([line[0] for line in lines], place + by * along, strict=True)
        text = "; ".join(f"{symbol} {x:.12f} {y:.12f} {z:.12f}" for symbol, (x, y, z) in rows)
        return molecule(text, 0, multiplicity, "no_com\nno_reorient\nsymmetry c1")

    force = gradient(definition, moved(0.0), options=options)
    np.testing.assert_allclose(force.sum(axis=0), 0.0, atol=1e-6)
    energies = [energy(definition, moved(by), options=options) for by in (-2e-3, 2e-3)]
    slope = (energies[1] - energies[0]) / 4e-3
    assert (force * along).sum() == pytest.approx(slope, abs=1e-5)


def test_optimization_and_frequencies() -> None:
    mol = molecule("H 0 0 0; H 0 0 1.5")
    run(psi4.optimize, NRA, mol, options={"g_convergence": "gau_loose"})
    distance = np.linalg.norm(np.diff(mol.geometry().np, axis=0))
    assert distance == pytest.approx(1.42, abs=0.04)
    _, wfn = run(psi4.frequency, NRA, mol, return_wfn=True, dertype="gradient")
    assert wfn.frequencies().np[-1] == pytest.approx(4400.0, abs=300.0)  # cm^-1; of H2: 4401


# -- how it is done ------------------------------------------------------------------------------


def test_output(tmp_path: Path) -> None:
    psi4.core.set_output_file(str(tmp_path / "output.dat"), False)
    try:
        run(psi4.gradient, NRA, molecule(HYDROGEN), options={"print": 1})
    finally:
        psi4.core.set_output_file("output.dat", True)
    text = (tmp_path / "output.dat").read_text()
    for words in (
        f"Nonlocal: NN-NRA-Nagai2020, evaluated by xcnet {xcnet.__version__}",
        "R. Nagai, R. Akashi",
        "==> Nonlocal functional: NN-NRA-Nagai2020 <==",
        "With the nonlocal functional:",
    ):
        assert words in text


def test_little_memory() -> None:
    """Orbitals are evaluated again where they cannot be kept."""
    _, wfn = run(psi4.energy, "pbe", water(), return_wfn=True)
    basis, matrix = wfn.basisset(), wfn.Da_subset("AO").np
    grid = molecular_grid(basis)
    results = []
    for memory in (1e9, 1e6, 0.0):
        orbitals = KeptOrbitals(basis, grid, memory)
        rows = [orbitals.densities(matrix) for _ in range(2)]
        np.testing.assert_array_equal(*rows)
        results.append((rows[0], orbitals.matrix(rows[0])))
    for rows, potential in results[1:]:
        np.testing.assert_array_equal(rows, results[0][0])
        np.testing.assert_array_equal(potential, results[0][1])


# -- refusals ------------------------------------------------------------------------------------


def test_second_order_scf() -> None:
    with pytest.raises(UnsupportedError, match="SOSCF"):
        energy(NRA, molecule(HYDROGEN), options={"soscf": True})


def test_response() -> None:
    with pytest.raises(UnsupportedError, match="linear response"):
        run(psi4.properties, NRA, molecule(HYDROGEN), properties=["dipole_polarizabilities"])
    _, wfn = run(psi4.energy, NRA, molecule(HYDROGEN), return_wfn=True)
    with pytest.raises(UnsupportedError, match="linear response"):
        wfn.cphf_solve([wfn.Da()], 1e-6, 10, 0)
    with pytest.raises(UnsupportedError, match="no analytic Hessian"):
        psi4.core.scfhess(wfn)


def test_partition_that_is_not_beckes() -> None:
    with pytest.raises(UnsupportedError, match="set dft_nuclear_scheme to one of"):
        energy(NRA, molecule(HYDROGEN), options={"dft_nuclear_scheme": "stratmann"})


@pytest.mark.parametrize(
    ("parts", "error", "match"),
    [
        ({"x_functionals": {KEY: {"omega": 0.3}}}, UnsupportedError, "has no 'omega'"),
        ({"xc_functionals": {KEY: {}, "GGA_XC_PBE": {}}}, InputError, "holds one functional"),
        ({"x_functionals": {KEY: {}}}, psi4.p4util.ValidationError, "No correlation"),
    ],
)
def test_bad_definitions(parts: Any, error: type[Exception], match: str) -> None:
    whole = "xc_functionals" in parts or "correlation" in match
    rest: dict[str, Any] = {} if whole else {"c_functionals": {}}
    with pytest.raises(error, match=match):
        energy({"name": "bad", **parts, **rest}, molecule(HYDROGEN))


def test_iterations_that_leave_it_out() -> None:
    """As those of another package than Psi4's own would."""
    mol = molecule(HYDROGEN)
    mol.update_geometry()
    psi4.set_options({"basis": "6-31g", "reference": "rks", **MEDIUM})
    start = psi4.core.Wavefunction.build(mol, "6-31g")
    wfn = psi4.driver.scf_wavefunction_factory(NRA, start, "RKS")
    with pytest.raises(UnsupportedError, match="left out the nonlocal part"):
        wfn.finalize_energy()
