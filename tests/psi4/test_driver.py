"""Everything that Psi4's driver does with a functional's name, with names of ours."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("psi4", reason="these tests need Psi4")

import psi4

import xcnet
from tests.folders import copy_folder, read_record, seal
from tests.psi4.calculations import HYDROGEN, energy, gradient, molecule, run, water
from xcnet import registry
from xcnet.adapters.psi4 import registration


@pytest.mark.parametrize(
    "name", ["nn-r2scan", "NN-r2SCAN", "nn_r2scan", "mgga_xc_nn_r2scan", "MGGA-XC-NN-R2SCAN"]
)
def test_all_spellings_mean_the_same(name: str) -> None:
    mol = molecule(HYDROGEN)
    reference = {"name": "same", "xc_functionals": {"NN-r2SCAN": {}}}
    assert energy(name, mol) == pytest.approx(energy(reference, mol), abs=1e-12)


def test_every_semilocal_functional_has_an_energy_and_a_gradient(published_networks: None) -> None:
    mol = molecule(HYDROGEN)
    for entry in registry.entries():
        if entry.spec is not None and not entry.spec.is_nonlocal:
            forces = gradient(min(registration.spellings(entry)), mol)
            assert np.isfinite(forces).all()
            assert abs(forces).max() > 1e-4


def test_basis_in_the_name_and_functional_as_an_argument() -> None:
    mol, options = molecule(HYDROGEN), {"basis": "sto-3g"}
    expected = energy("tpss", mol, options={"basis": "cc-pvdz"})
    assert energy("tpss_clone/cc-pvdz", mol, options=options) == pytest.approx(expected, abs=1e-9)
    options = {"basis": "cc-pvdz"}
    named = energy("scf", mol, options=options, dft_functional="TPSS_clone")
    assert named == pytest.approx(expected, abs=1e-9)


def test_optimization_and_frequencies() -> None:
    minima = []
    for name in ("tpss_clone", "tpss"):
        mol = molecule(HYDROGEN)
        run(psi4.optimize, name, mol, options={"g_convergence": "gau_tight", **FINE})
        distance = float(np.linalg.norm(np.diff(mol.geometry().np, axis=0)))
        _, wfn = run(psi4.frequency, name, mol, options=FINE, return_wfn=True)
        minima.append((distance, np.array(wfn.frequencies())[-1]))
    # Ours has the response of the grid.
    assert minima[0][0] == pytest.approx(minima[1][0], abs=1e-4)
    assert minima[0][1] == pytest.approx(minima[1][1], abs=2.0)


def test_gradient_by_finite_differences_of_energies() -> None:
    mol = molecule(HYDROGEN)
    options = {**FINE, "points": 5}
    analytic, numeric = (
        gradient("nn-r2scan", mol, options=options, dertype=kind) for kind in ("gradient", "energy")
    )
    np.testing.assert_allclose(analytic, numeric, atol=1e-5)


FINE = {"dft_radial_points": 75, "dft_spherical_points": 302}


def test_properties() -> None:
    dipoles = []
    for name in ("tpss_clone", "tpss"):
        run(psi4.properties, name, water(), properties=["dipole", "mulliken_charges"])
        dipoles.append(psi4.variable("SCF DIPOLE Z"))
    assert dipoles[0] == pytest.approx(dipoles[1], abs=1e-7)
    assert abs(dipoles[0]) > 1.0


def test_counterpoise() -> None:
    values = []
    for name in ("tpss_clone", "tpss"):
        dimer = psi4.geometry("H 0 0 0\nH 0 0 1.4\n--\nH 0 4 0\nH 1 5 0\nunits bohr")
        values.append(run(psi4.energy, name, dimer, bsse_type="cp"))
    assert values[0] == pytest.approx(values[1], abs=2e-9)


@pytest.mark.parametrize("driver", ["energy", "gradient", "properties"])
def test_qcschema(driver: str) -> None:
    def result(method: str) -> Any:
        job = {
            "schema_name": "qcschema_input",
            "schema_version": 1,
            "molecule": {"symbols": ["H", "F"], "geometry": [0.0, 0.0, 0.0, 0.0, 0.1, 1.8]},
            "driver": driver,
            "model": {"method": method, "basis": "sto-3g", "properties": ["dipole"]},
            "keywords": {**FINE, "d_convergence": 8},
        }
        output = psi4.json_wrapper.run_json(json.loads(json.dumps(job)))
        psi4.core.set_output_file("output.dat", True)
        assert output["success"], output["error"]["error_message"]
        returned = output["return_result"]
        return returned["dipole"] if driver == "properties" else returned

    tolerance = 5e-4 if driver == "gradient" else 1e-7  # ours has the response of the grid
    np.testing.assert_allclose(result("TPSS_clone"), result("TPSS"), atol=tolerance)


def test_output_tells_the_functional(tmp_path: Path) -> None:
    psi4.core.set_output_file(str(tmp_path / "out.dat"), False)
    try:
        energy("nn-r2scan", molecule(HYDROGEN), options={"print": 1})
        mixed = {"name": "mix", "x_functionals": {"TPSS_clone": {}}, "c_functionals": {}}
        energy(mixed, molecule(HYDROGEN), options={"print": 1})
    finally:
        psi4.core.set_output_file("output.dat", True)
    whole, part = (tmp_path / "out.dat").read_text().split("MIX <=")
    assert "NN-R2SCAN <=" in whole
    for text in (whole, part):
        assert f"Evaluated by xcnet {xcnet.__version__}" in text
        assert "entry points" not in text
    assert "J. Phys. Chem. Lett. 11, 8208" in whole
    assert "Phys. Rev. Lett. 91, 146401" in part


def test_functionals_installed_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = registry.find("Slater_clone").spec
    assert spec is not None
    source = spec.folder
    later = shutil.copytree(source, tmp_path / "lda_x_later")
    names = {"name": "lda_x_later", "aliases": ["Later"], "id": 190900}
    seal(read_record(source) | names, later)
    mol = molecule(HYDROGEN)
    with pytest.raises(psi4.p4util.ValidationError, match="not available"):
        energy("later", mol)
    with monkeypatch.context() as patch:
        patch.setenv(registry.MODEL_PATH_VARIABLE, str(tmp_path), prepend=":")
        registry.refresh()
        assert energy("later", mol) == pytest.approx(energy("slater_clone", mol), abs=1e-12)
    registry.refresh()
    with pytest.raises(psi4.p4util.ValidationError, match="not available"):
        energy("later", mol)


def test_elements_outside_the_training_data_are_named_in_the_output(tmp_path: Path) -> None:
    psi4.core.set_output_file(str(tmp_path / "out.dat"), False)
    try:
        for name in ("nn-metagga", "nn-nra"):
            energy(name, molecule("Sc 0 0 0", 3), options={"print": 1, "basis": "sto-3g"})
            energy(name, molecule("H 0 0 0; H 0 0 1.4; @Sc 0 0 4"), options={"basis": "sto-3g"})
    finally:
        psi4.core.set_output_file("output.dat", True)
    assert _warnings(tmp_path / "out.dat") == [
        f"100 % of the electrons of the molecule are where {name} was not trained"
        " (its training data lack Sc)."
        for name in ("NN-metaGGA", "NN-NRA")
    ]


def test_densities_outside_the_domain_are_named_in_the_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    domain = {"elements": ["H"], "density": [0.05, 1e5]}
    copy_folder(tmp_path, "lda_x_dense", "lda_x_slater_clone", id=190901, domain=domain)
    psi4.core.set_output_file(str(tmp_path / "out.dat"), False)
    try:
        with monkeypatch.context() as patch:
            patch.setenv(registry.MODEL_PATH_VARIABLE, str(tmp_path), prepend=":")
            registry.refresh()
            for mol in (molecule(HYDROGEN), molecule("H 0 0 0", 0, 2)):
                energy("lda_x_dense", mol, options={"dft_radial_points": 120})
    finally:
        registry.refresh()
        psi4.core.set_output_file("output.dat", True)
    shares = [int(line.split(" %")[0]) for line in _warnings(tmp_path / "out.dat")]
    assert shares == pytest.approx([49, 74], abs=1)  # PySCF 2.14, level 3: 48.6 and 74.2 %


def _warnings(output: Path) -> list[str]:
    parts = [line.split("Warning: ") for line in output.read_text().splitlines()]
    return [part[1] for part in parts if len(part) == 2]
