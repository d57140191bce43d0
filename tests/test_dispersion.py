"""D4 with the parameters of a record, in each host but Psi4, against the package dftd4 itself."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyscf", reason="the hosts are PySCF and what is built on it")
pytest.importorskip("dftd4", reason="D4 needs dftd4")

from ase.units import Bohr, Hartree
from dftd4 import interface
from pyscf import dft, gto

from tests.folders import copy_folder
from tests.pyscf_methods import installed
from xcnet import cli, dispersion
from xcnet.adapters.ase import XCNet
from xcnet.bench import plan, statistics, worker
from xcnet.errors import MissingPackageError, UnsupportedError
from xcnet.scf import calculation
from xcnet.systems import benchmarks, molecules, sets
from xcnet.systems.molecules import Molecule

#: Those of r2SCAN, rounded, with a scaled three-body term: no functional's in Grimme's lists.
PARAMETERS = {"s6": 0.9, "s8": 0.6019, "s9": 0.8, "a1": 0.5156, "a2": 5.7734}
NAME, PLAIN = "My-PBE", "PBE_clone"
ION = Molecule("H3O+", tuple("OHHH"), ((0, 0, 0.1), (0, 1, 0), (0.8, -0.6, 0), (-0.9, -0.5, 0)), 1)


@pytest.fixture(scope="module", autouse=True)
def functional(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("models")
    record = {"method": "D4", "parameters": PARAMETERS}
    names = {"id": 199020, "aliases": [NAME]}
    copy_folder(folder, "gga_xc_my_pbe", "gga_xc_pbe_clone", dispersion=record, **names)
    with installed(folder):
        yield


def expected(molecule: Molecule, **parameters: Any) -> Any:
    """Energy and gradient by dftd4."""
    numbers = np.array([{"O": 8, "H": 1, "Ne": 10}[symbol] for symbol in molecule.symbols])
    model = interface.DispersionModel(
        numbers, np.array(molecule.positions) / dispersion.BOHR, charge=molecule.charge
    )
    damping = interface.DampingParam(**parameters or PARAMETERS)
    return model.get_dispersion(damping, grad=True)


def test_energy_and_gradient_are_dftd4_s() -> None:
    correction = dispersion.of(NAME, "D4")
    assert correction is not None
    assert correction.energy(ION) == pytest.approx(expected(ION)["energy"], abs=1e-14)
    neutral = dataclasses.replace(ION, charge=0)
    assert abs(correction.energy(neutral) - correction.energy(ION)) > 1e-6
    _, gradient = correction.compute([8, 1, 1, 1], np.array(ION.positions) / dispersion.BOHR, 1)
    np.testing.assert_allclose(gradient, expected(ION)["gradient"], rtol=0, atol=1e-14)


def test_whose_parameters() -> None:
    neon = Molecule("Ne2", ("Ne", "Ne"), ((0.0, 0.0, 0.0), (0.0, 0.0, 3.1)))
    for name in ("r2SCAN", "M06-L"):  # written without dashes in dftd4's list
        correction = dispersion.of(name, "D4")
        assert correction is not None
        listed = expected(neon, method=name.replace("-", ""))["energy"]
        assert correction.energy(neon) == pytest.approx(listed, abs=1e-14)
        assert -5e-4 < listed < -1e-6
    without = ("nonsense", PLAIN, f"0.5*{NAME} + 0.5*PBE", "wB97M-V", "B97M-V", f"{NAME}-D4")
    assert [name for name in without if dispersion.of(name, "D4")] == []
    assert dispersion.of(NAME, "D3BJ") is None


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(dispersion.PACKAGES, "D4", "no_such_package")
    with pytest.raises(MissingPackageError, match="pip install no_such_package"):
        dispersion.of("PBE", "D4")


# -- hosts ---------------------------------------------------------------------------------------


def test_pyscf() -> None:
    pytest.importorskip("pyscf.dispersion", reason="suffixes need pyscf-dispersion")
    mol = gto.M(
        atom=list(zip(ION.symbols, ION.positions, strict=True)), basis="sto-3g", charge=1, verbose=0
    )

    def results(xc: str, **settings: Any) -> Any:
        mf = dft.RKS(mol, xc=xc).set(conv_tol=1e-11, **settings)
        mf.grids.level = 0
        return mf.kernel(), mf.nuc_grad_method().kernel()

    plain = results(PLAIN)
    for energy, gradient in (results(f"{NAME}-D4"), results(NAME, disp="d4")):
        assert energy - plain[0] == pytest.approx(expected(ION)["energy"], abs=1e-9)
        difference = expected(ION)["gradient"]
        np.testing.assert_allclose(gradient - plain[1], difference, rtol=0, atol=1e-7)


def test_ase() -> None:
    pytest.importorskip("pyscf.dispersion", reason="suffixes need pyscf-dispersion")
    from ase import Atoms

    def results(xc: str) -> Any:
        atoms = Atoms(ION.symbols, ION.positions)
        atoms.calc = XCNet(xc=xc, basis="sto-3g", grid_level=0, charge=1, conv_tol=1e-11)
        return atoms.get_potential_energy() / Hartree, atoms.get_forces() / Hartree * Bohr

    plain, ours = results(PLAIN), results(f"{NAME}-D4")
    assert ours[0] - plain[0] == pytest.approx(expected(ION)["energy"], abs=1e-9)
    difference = -expected(ION)["gradient"]
    np.testing.assert_allclose(ours[1] - plain[1], difference, rtol=0, atol=1e-6)


def test_run(tmp_path: Path) -> None:
    pytest.importorskip("pyscf.dispersion", reason="suffixes need pyscf-dispersion")
    output = tmp_path / "run.json"
    water = molecules.read("H2O")
    words = ["H2O", "--xc", f"{PLAIN},{NAME}-D4", "--basis", "sto-3g", "--grid", "0", "--quiet"]
    assert cli.main(["run", *words, "--json", str(output)]) == 0
    plain, ours = (row["energy"] for row in json.loads(output.read_text())["results"])
    assert ours - plain == pytest.approx(expected(water)["energy"], abs=1e-7)


def test_bench() -> None:
    """A set's own column of D4, and the suffix: the same energy in two ways."""
    pytest.importorskip("pyscf.dispersion", reason="suffixes need pyscf-dispersion")
    chosen = benchmarks.load("s22")
    small = sets.changed(chosen.protocol, basis="sto-3g", grid_level=0, guess_grid_level=0)
    tasks = plan.plan(chosen, [NAME, f"{NAME}-D4"], small, chosen.limits, ["Water_dimer"])
    records = [
        {
            "format": 1,
            "set": "s22",
            "system": task.molecule.name,
            "xc": task.xc,
            "model": task.model,
        }
        | {"protocol": dataclasses.asdict(small), "grid_level": 0, "machine": {"cpu": "one"}}
        | worker.calculate(task)
        for task in tasks
    ]
    (section,) = statistics.sections(records)
    assert [column.xc for column in section.columns] == [NAME, NAME, f"{NAME}-D4"]
    plain, own, suffix = (column.errors["Water_dimer"] for column in section.columns)
    assert own == pytest.approx(suffix, abs=1e-4)
    assert own < plain - 0.1
    other = [record | {"model": "0" * 64} for record in records if record["xc"] == NAME]
    (section,) = statistics.sections(other)
    assert [column.label for column in section.columns] == [NAME]


def test_suffixes_are_looked_at_before_any_work() -> None:
    pytest.importorskip("pyscf.dispersion", reason="suffixes need pyscf-dispersion")
    with pytest.raises(UnsupportedError, match="PBE_clone has no such parameters"):
        calculation.check_functional(f"{PLAIN}-D4")
    with pytest.raises(UnsupportedError, match="such as M06L-D4"):
        calculation.check_functional("M06-L-D4")
    assert calculation.check_functional("M06L-D3ZERO")["neural"] == []
