"""The ASE calculator: PySCF's numbers in ASE's units, and ASE's habits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyscf", reason="the ASE calculator needs PySCF")
pytest.importorskip("ase", reason="the ASE calculator needs ASE")

from ase import Atoms
from ase.build import molecule
from ase.calculators.fd import calculate_numerical_forces
from ase.optimize import BFGS
from ase.units import Bohr, Debye, Hartree
from pyscf import dft, gto

from tests.pyscf_methods import known
from xcnet.adapters.ase import XCNet
from xcnet.errors import ConvergenceError, UnknownFunctionalError, UnsupportedError


@pytest.fixture(autouse=True)
def clones() -> Iterator[None]:
    with known():
        yield


def _atoms(name: str = "H2O", **settings: Any) -> Any:
    atoms = molecule(name)
    atoms.calc = XCNet(**{"xc": "PBE_clone", "basis": "sto-3g", "grid_level": 1, **settings})
    return atoms


def test_results_are_pyscf_s() -> None:
    atoms = _atoms()
    atoms.rattle(0.05, seed=1)
    mol = gto.M(
        atom=list(zip(atoms.symbols, atoms.positions, strict=True)), basis="sto-3g", verbose=0
    )
    mf = dft.RKS(mol, xc="PBE").set(conv_tol=1e-10)
    mf.grids.level = 1
    energy = mf.kernel()
    forces = -mf.nuc_grad_method().set(grid_response=True).kernel()
    assert atoms.get_potential_energy() == pytest.approx(energy * Hartree, abs=1e-6)
    np.testing.assert_allclose(atoms.get_forces(), forces * Hartree / Bohr, rtol=0, atol=1e-4)
    dipole = mf.dip_moment(verbose=0) * Debye
    np.testing.assert_allclose(atoms.get_dipole_moment(), dipole, rtol=0, atol=1e-4)
    assert atoms.get_potential_energy(force_consistent=True) == atoms.get_potential_energy()


def test_forces_are_differences_of_energies() -> None:
    atoms = _atoms("OH", xc="NN-r2SCAN")
    atoms.positions += [0.01, 0.02, 0.05]
    number = calculate_numerical_forces(atoms, eps=1e-3, iatoms=[1], icarts=[2])
    assert atoms.get_forces()[1, 2] == pytest.approx(number[0, 0], abs=1e-3)
    assert isinstance(atoms.calc.mf, dft.uks.UKS)


def test_spins_and_charges() -> None:
    oxygen = _atoms("O2")
    assert oxygen.get_magnetic_moment() == 2.0
    triplet = oxygen.get_potential_energy()
    oxygen.calc.set(spin=0)
    assert oxygen.get_potential_energy() > triplet + 0.5
    assert oxygen.get_magnetic_moment() == 0.0
    water = _atoms()
    neutral = water.get_potential_energy()
    water.calc.set(charge=1, spin=1)
    assert 5.0 < water.get_potential_energy() - neutral < 20.0


def test_optimization() -> None:
    atoms = Atoms("HF", [(0, 0, 0), (0, 0, 1.1)])
    atoms.calc = XCNet(xc="NN-r2SCAN", basis="6-31g", density_fit=True)
    assert BFGS(atoms, logfile=None).run(fmax=0.02, steps=20)
    assert atoms.get_distance(0, 1) == pytest.approx(0.95, abs=0.02)
    other = atoms.copy()
    other.calc = XCNet(xc="r2SCAN", basis="6-31g", density_fit=True)
    assert np.abs(other.get_forces()).max() < 0.1


def test_what_changed_is_calculated_again() -> None:
    atoms = _atoms("HF")
    first = atoms.get_potential_energy()
    kept = atoms.calc.mf
    atoms.positions[1, 2] += 0.05
    assert atoms.get_potential_energy() != first
    assert atoms.calc.mf is kept
    atoms.calc.set(xc="Slater_clone")
    assert atoms.get_potential_energy() > first + 1.0
    atoms.numbers[:] = (1, 1)
    assert -40.0 < atoms.get_potential_energy() < -20.0


def test_grid_of_the_record() -> None:
    atoms = _atoms("HF", grid_level=None)
    atoms.get_potential_energy()
    assert atoms.calc.mf.grids.level == 3
    assert atoms.calc.todict()["xc"] == "PBE_clone"


def test_bad_input() -> None:
    with pytest.raises(UnsupportedError, match=r"no parameters functional; it has xc, basis"):
        XCNet(functional="PBE")
    with pytest.raises(UnknownFunctionalError, match="PBE_clone"):
        _atoms(xc="PBE_clome").get_potential_energy()
    crystal = _atoms()
    crystal.pbc = True
    with pytest.raises(UnsupportedError, match="for molecules"):
        crystal.get_potential_energy()


def test_failure_to_converge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dft.rks.RKS, "max_cycle", 1)
    monkeypatch.setattr("xcnet.adapters.pyscf.convergence.SHIFT_CYCLES", 1)
    monkeypatch.setattr("xcnet.adapters.pyscf.convergence.NEWTON_CYCLES", 1)
    with pytest.raises(ConvergenceError, match="not self-consistent after"):
        _atoms(conv_tol=1e-13).get_potential_energy()
