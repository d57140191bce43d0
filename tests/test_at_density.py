"""Energies at the density of another functional, against PySCF's own of the same orbitals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyscf", reason="xcnet bench needs the bench extra")
pytest.importorskip("ase", reason="xcnet bench needs the bench extra")

from benchmarks import public_sets
from xcnet import cli
from xcnet.bench import statistics, store
from xcnet.scf import at_density, calculation, fixed_density
from xcnet.scf.calculation import Settings
from xcnet.systems.molecules import Molecule, atom

SETTINGS = Settings("def2-svp", 1, "def2-universal-jkfit", 1e-9, 0)
HF = Molecule("HF", ("H", "F"), ((0.0, 0.0, 0.0), (0.0, 0.0, 0.917)))
OH = Molecule("OH", ("O", "H"), ((0.0, 0.0, 0.0), (0.0, 0.0, 0.97)), spin=1)
FUNCTIONALS = (
    *("HF", "PBE", "B3LYP", "r2SCAN", "M06L-D3ZERO", "B97M-V", "wB97M-V"),
    *("NN-GGA", "NN-metaGGA-D4", "NN-hybrid", "NN-NRA"),
)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("xcnet.paths.cache_folder", lambda: tmp_path)
    return tmp_path / "ground-states"


@pytest.mark.parametrize("system", [HF, OH, atom("H")], ids=lambda molecule: molecule.name)
def test_energies_are_those_of_pyscf_with_the_same_orbitals(
    system: Molecule, own_cache: Path
) -> None:
    energies = {xc: at_density.energy(system, xc, SETTINGS, "r2SCAN") for xc in FUNCTIONALS}
    (path,) = own_cache.iterdir()  # one density for all
    state = fixed_density.read(path)
    assert state.scheme.grid_level == 0
    for xc, energy in energies.items():
        mf = calculation.mean_field(system, xc, SETTINGS)
        mf.grids.level = SETTINGS.grid_level
        matrices: Any = np.array([c @ c.T for c in state.spins()])
        expected = mf.energy_tot(matrices if system.spin else matrices.sum(axis=0))
        assert energy == pytest.approx(expected, abs=1e-7), xc


def test_at_its_own_density_a_functional_has_its_own_energy() -> None:
    result = calculation.solve(OH, "r2SCAN", SETTINGS, lambda *_: None)
    energy = at_density.energy(OH, "r2SCAN", SETTINGS, "r2SCAN")
    assert energy == pytest.approx(result.energy, abs=2e-4)  # of grid level 0 in the density
    assert energy >= result.energy - 1e-7


def test_tables_have_them_apart_from_self_consistent_ones(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    words = ["--only", "H2", "--basis", "sto-3g", "--grid", "0", "--quiet", "--jobs", "1"]
    command = ["bench", "ae147", "--output", str(path), *words, "--xc"]
    assert cli.main([*command, "PBE", "--density", "HF"]) == 0
    assert cli.main([*command, "PBE,NN-metaGGA"]) == 0
    fixed, own = statistics.sections(store.read(path))
    assert fixed.protocol.density == "HF"
    assert "at densities of HF on level 0" in fixed.protocol.text()
    assert "density" not in store.read(path)[-1]["protocol"]
    errors = [section.columns[0].errors["H2"] for section in (fixed, own)]
    assert 0.0 < abs(errors[0] - errors[1]) < 0.1
    assert public_sets.page([path]).count("at densities of HF on level 0") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["ae147", "--density", "NN-metaGGA"], "give a functional of libxc"),
        (["bonds", "--density", "HF"], "is for energies"),
        (["ae147", "--density", "r2SCAN-D4"], "leave out the suffix"),
        (["ae147", "--density", "nonsense"], "nonsense"),
    ],
)
def test_densities_that_cannot_be_are_refused(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = ["--output", str(tmp_path / "x.jsonl"), "--xc", "PBE"]
    assert cli.main(["bench", *words, *output]) != 0
    assert message in capsys.readouterr().err
