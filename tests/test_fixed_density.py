"""Densities kept as orbitals, integrals at them, systems in electric fields."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xcnet.scf import calculation, fixed_density
from xcnet.scf.fixed_density import Scheme
from xcnet.systems.molecules import Molecule, atom
from xcnet.training.linear import expansion, integrals, preparation
from xcnet.training.linear.expansion import Orders
from xcnet.training.linear.families import MGGA
from xcnet.training.linear.preparation import Job

SMALL = Scheme("r2scan", "def2-svp", "def2-universal-jkfit", 1, 1e-8)
HF = Molecule("HF", ("H", "F"), ((0.0, 0.0, 0.0), (0.0, 0.0, 0.917)))
OH = Molecule("OH", ("O", "H"), ((0.0, 0.0, 0.0), (0.0, 0.0, 0.97)), spin=1)


@pytest.mark.parametrize("system", [HF, OH, atom("H")], ids=lambda molecule: molecule.name)
def test_what_is_kept_gives_the_energy_again(system: Molecule, tmp_path: Path) -> None:
    scheme = replace(SMALL, grid_level=3)
    made = fixed_density.solve(system, scheme)
    fixed_density.write(tmp_path / "a.npz", made)
    state = fixed_density.read(tmp_path / "a.npz")
    assert state.system == made.system
    assert state.scheme == scheme
    result = integrals.calculate(state, (3,))
    r2scan = result.functionals[0][list(MGGA.functionals).index("r2SCAN")]
    assert state.energies["rest"] + r2scan == pytest.approx(state.energies["total"], abs=1e-9)
    assert result.electrons[0] == pytest.approx(system.electrons, abs=1e-4)
    integrals.write(tmp_path / "b.npz", result)
    assert (integrals.read(tmp_path / "b.npz").columns == result.columns).all()


def test_networks_get_densities_on_any_grid() -> None:
    """Of an open shell: the integrals' points, and one more electron of alpha than of beta."""
    state = fixed_density.solve(OH, SMALL)
    density = fixed_density.on_grid(state, 2, 0.0)
    assert density.weights @ density.rho == pytest.approx([5.0, 4.0], abs=1e-3)
    rho, sigma, tau, weights = (
        np.concatenate(part) for part in zip(*integrals.blocks(state, 2), strict=True)
    )
    kept = rho.sum(axis=1) > 0.0
    assert weights[kept] @ tau[kept] == pytest.approx(density.weights @ density.tau, abs=1e-9)
    assert sigma[kept].sum() == pytest.approx(density.sigma.sum(), rel=1e-9)
    assert rho[kept].sum() == pytest.approx(density.rho.sum(), rel=1e-9)


def test_energies_of_a_coarse_grids_density_are_those_of_a_fine_one() -> None:
    """Its error changes energies in second order: microhartree, where the grids' own is 20."""
    energies = []
    for level in (1, 3):
        state = fixed_density.solve(HF, replace(SMALL, grid_level=level))
        result = integrals.calculate(state, (3,))
        energies.append(state.energies["rest"] + result.functionals[0])
    difference = np.abs(energies[0] - energies[1])
    assert difference[0] < 5e-6  # r2SCAN, whose ground state it is
    assert difference.max() < 1e-4


def test_exact_exchange_of_one_electron_cancels_its_coulomb_energy() -> None:
    """The H atom's exact energy is -1/2 but for the basis: kinetic and nuclear energy alone."""
    state = fixed_density.solve(atom("H"), Scheme("r2scan", "def2-qzvpp", "", 3, 1e-9))
    total = state.energies["rest"] + state.energies["exact_exchange"]
    assert total == pytest.approx(-0.5, abs=1e-3)


def test_a_file_belongs_to_what_was_calculated() -> None:
    moved = replace(atom("N"), name="nitrogen", positions=((1.0, 2.0, 3.0),))
    assert fixed_density.key(moved, SMALL) == fixed_density.key(atom("N"), SMALL)
    other = replace(HF, field=(0.0, 0.0, 1e-3))
    assert fixed_density.key(other, SMALL) != fixed_density.key(HF, SMALL)


def test_field_gives_the_dipole_moment() -> None:
    """E(+F) - E(-F) = -2 F mu; the dipole moment of PySCF points from F to H, here to -z."""
    strength = 1e-3
    settings = calculation.Settings("def2-svp", 3, "def2-universal-jkfit", 1e-11)
    mean_fields: list[Any] = []

    def energy(field: tuple[float, float, float] | None) -> float:
        molecule = replace(HF, field=field)
        return calculation.solve(
            molecule, "pbe", settings, lambda *_: None, mean_fields.append
        ).energy

    plus, minus = (energy((0.0, 0.0, sign * strength)) for sign in (1.0, -1.0))
    energy(None)
    moment = mean_fields[-1].dip_moment(unit="au", verbose=0)
    assert moment[2] < 0.0
    assert (minus - plus) / (2.0 * strength) == pytest.approx(moment[2], abs=1e-4)


def test_columns_hold_the_uniform_gas() -> None:
    """All coefficients of a factor that is 1: Slater's exchange and PW92's correlation."""
    state = fixed_density.solve(HF, SMALL)
    rho, sigma, tau, weights = (
        np.concatenate(part) for part in zip(*integrals.blocks(state, 1), strict=True)
    )
    orders = Orders((2, 2), (1, 1), (1, 1), 1)
    columns = expansion.integrate(rho, sigma, tau, weights, orders)
    places = orders.parts()
    lda = integrals._energy(("LDA_X",), rho, sigma, tau, weights)
    assert columns[places["exchange"]][0] == pytest.approx(lda, rel=1e-9)
    # H has one electron, but HF's channels are not one orbital each: equal spins correlate.
    assert columns[places["equal"]][0] < 0.0
    assert columns[places["opposite"]][0] < 0.0


def test_one_electron_has_no_correlation() -> None:
    state = fixed_density.solve(atom("H"), SMALL)
    result = integrals.calculate(state, (1,)).columns[0]
    places = expansion.KEPT.parts()
    assert np.abs(result[places["equal"]]).max() < 1e-9
    assert np.abs(result[places["opposite"]]).max() < 1e-9


def test_smaller_orders_are_among_the_columns() -> None:
    state = fixed_density.solve(OH, SMALL)
    rho, sigma, tau, weights = (
        np.concatenate(part) for part in zip(*integrals.blocks(state, 0), strict=True)
    )
    small = Orders((3, 2), (2, 4), (1, 3), 1)
    whole = expansion.integrate(rho, sigma, tau, weights, expansion.KEPT)
    assert whole[small.within(expansion.KEPT)] == pytest.approx(
        expansion.integrate(rho, sigma, tau, weights, small), abs=1e-14
    )


def test_preparation_goes_on_where_it_ended(tmp_path: Path) -> None:
    jobs = [Job(molecule, SMALL, (1,)) for molecule in (OH, atom("H"), atom("O"))]
    said: list[str] = []
    with ThreadPoolExecutor(1) as pool:
        assert preparation.run(jobs[:2], tmp_path, pool, said.append) == {}
        assert all(preparation.done(job, tmp_path) for job in jobs[:2])
        assert preparation.run(jobs, tmp_path, pool, said.append) == {}
        assert "2 of 3 systems are done" in said
        finer = [replace(job, levels=(1, 2)) for job in jobs[1:2]]
        assert not preparation.done(finer[0], tmp_path)
        preparation.run(finer, tmp_path, pool, said.append)
    assert preparation.done(finer[0], tmp_path)
    assert [line.split()[1] for line in said if " expected " in line][:2] == ["H", "OH"]


def test_each_density_is_made_once_with_all_levels() -> None:
    first, second = Job(atom("H"), SMALL, (3, 6), 2.0), Job(atom("H"), SMALL, (3,), 0.5)
    (both,) = preparation.unique([first, second])
    assert (both.levels, both.weight) == ((3, 6), 0.5)


def test_failures_are_told_and_end_nothing(tmp_path: Path) -> None:
    jobs = [Job(atom("He"), replace(SMALL, basis="nonsense"), (1,)), Job(atom("H"), SMALL, (1,))]
    with ThreadPoolExecutor(1) as pool:
        failed = preparation.run(jobs, tmp_path, pool, lambda _: None)
    assert list(failed) == ["He"]
    assert preparation.done(jobs[1], tmp_path)
