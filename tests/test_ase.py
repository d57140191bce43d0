"""The ASE calculator: PySCF's numbers in ASE's units, and ASE's habits."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyscf", reason="the ASE calculator needs PySCF")
pytest.importorskip("ase", reason="the ASE calculator needs ASE")

from ase import Atoms
from ase.build import molecule
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.fd import calculate_numerical_forces
from ase.optimize import BFGS
from ase.units import Bohr, Debye, Hartree
from pyscf import dft, gto

from tests.pyscf_methods import known
from xcnet.adapters.ase import XCNet
from xcnet.errors import (
    ConvergenceError,
    InputError,
    SpinError,
    UnknownFunctionalError,
    UnsupportedError,
)


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
    monkeypatch.setattr("xcnet.adapters.pyscf.convergence.SHIFT_CYCLES", 1)
    monkeypatch.setattr("xcnet.adapters.pyscf.convergence.NEWTON_CYCLES", 1)
    monkeypatch.setattr("xcnet.adapters.pyscf.descent.CYCLES", 1)
    with pytest.raises(ConvergenceError, match="not self-consistent after"):
        _atoms(conv_tol=1e-13, max_cycle=1).get_potential_energy()


# -- moments, charges, positions -------------------------------------------------------------------


def test_opposite_moments_of_distant_atoms_give_two_atoms() -> None:
    """H2 pulled apart is two hydrogen atoms, which a closed shell misses by eV."""
    settings = {"xc": "PBE_clone", "basis": "sto-3g", "grid_level": 3}
    alone = Atoms("H", magmoms=[1], calculator=XCNet(**settings))
    apart = Atoms("H2", [(0, 0, 0), (0, 0, 6.0)], magmoms=[1, -1], calculator=XCNet(**settings))
    closed = Atoms("H2", [(0, 0, 0), (0, 0, 6.0)], calculator=XCNet(**settings))
    twice = 2 * alone.get_potential_energy()
    assert apart.get_potential_energy() == pytest.approx(twice, abs=2e-3)
    assert apart.get_magnetic_moment() == 0.0
    assert closed.get_potential_energy() > twice + 2.5


def test_opposite_moments_of_oxygen() -> None:
    """The broken-symmetry singlet lies between triplet and closed shell."""
    energies = {}
    for label, moments in (("triplet", [1, 1]), ("broken", [1, -1]), ("closed", [0, 0])):
        atoms = Atoms("O2", [(0, 0, 0), (0, 0, 1.21)], magmoms=moments)
        atoms.calc = XCNet(xc="PBE_clone", basis="6-31g", grid_level=2)
        energies[label] = atoms.get_potential_energy()
        if label == "broken":
            assert isinstance(atoms.calc.mf, dft.uks.UKS)
            assert atoms.calc.mf.spin_square()[0] == pytest.approx(1.0, abs=0.1)
    assert energies["triplet"] + 0.1 < energies["broken"] < energies["closed"] - 0.1


def test_charge_without_spin_and_initial_charges() -> None:
    explicit = _atoms(charge=1, spin=1).get_potential_energy()
    assert _atoms(charge=1).get_potential_energy() == pytest.approx(explicit, abs=1e-6)
    atoms = _atoms()
    atoms.set_initial_charges([1, 0, 0])
    assert atoms.get_potential_energy() == pytest.approx(explicit, abs=1e-6)
    assert atoms.get_magnetic_moment() == 1.0


def test_atom_without_moments_is_in_its_ground_state() -> None:
    atoms = Atoms("N", calculator=XCNet(xc="PBE_clone", basis="sto-3g", grid_level=1))
    assert atoms.get_magnetic_moment() == 3.0


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda a: a.positions.__setitem__((1, 2), np.nan), InputError, "position of atom 1 is"),
        (
            lambda a: a.positions.__setitem__(2, a.positions[1]),
            InputError,
            "atoms 1 and 2 are only",
        ),
        (lambda a: a.set_initial_magnetic_moments([1, 0, 0]), SpinError, "1 cannot be unpaired"),
        (lambda a: a.set_initial_magnetic_moments(np.ones((3, 3))), UnsupportedError, "noncoll"),
        (lambda a: a.set_initial_charges([0.4, 0, 0]), InputError, "sum to 0.400"),
        (lambda a: a.calc.set(charge=1, spin=2), SpinError, "9 electrons, of which 2 cannot"),
        (lambda a: a.calc.set(charge=10), SpinError, "has 0 electrons"),
        (lambda a: a.numbers.__setitem__(0, 0), InputError, "atom 0 is X"),
        (lambda a: a.numbers.__setitem__(0, 92), InputError, "atom 0 is U"),
        (lambda a: a.__delitem__(slice(None)), InputError, "no atom"),
    ],
)
def test_what_is_no_molecule(change: Any, error: Any, message: str) -> None:
    atoms = _atoms()
    change(atoms)
    with pytest.raises(error, match=message):
        atoms.get_potential_energy()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("grid_level", 10),
        ("grid_level", -1),
        ("grid_level", 2.5),
        ("spin", -1),
        ("spin", 1.0),
        ("charge", "1"),
        ("max_cycle", 0),
        ("verbose", 11),
        ("conv_tol", -1e-9),
        ("conv_tol", float("nan")),
    ],
)
def test_parameters_out_of_range(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"{name} must be"):
        XCNet(**{name: value})


def test_max_cycle_and_verbose(monkeypatch: pytest.MonkeyPatch) -> None:
    printed = io.StringIO()
    monkeypatch.setattr("pyscf.lib.StreamObject.stdout", printed)
    monkeypatch.setattr("pyscf.gto.Mole.stdout", printed)
    atoms = _atoms(max_cycle=30, verbose=4)
    atoms.get_potential_energy()
    assert atoms.calc.mf.max_cycle == 30
    assert "converged SCF energy" in printed.getvalue()
    length = len(printed.getvalue())
    atoms.calc.set(verbose=0)
    atoms.get_potential_energy()
    assert len(printed.getvalue()) == length


def test_properties_that_there_are_not() -> None:
    atoms = _atoms()
    with pytest.raises(
        PropertyNotImplementedError, match=r"no stress: molecules have none; it has"
    ):
        atoms.get_stress()
    with pytest.raises(PropertyNotImplementedError, match=r"no magmoms; it has energy"):
        atoms.get_magnetic_moments()


def test_elements_outside_the_training_data_are_named_once() -> None:
    atoms = Atoms("I2", [(0, 0, 0), (0, 0, 2.7)])
    atoms.calc = XCNet(xc="NN-metaGGA", grid_level=1)
    with pytest.warns(UserWarning, match=r"I2 are where NN-metaGGA was not trained.* lack I\)"):
        atoms.get_potential_energy()
    atoms.positions[1, 2] += 0.01
    atoms.get_potential_energy()  # a second warning would be an error
