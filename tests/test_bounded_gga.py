"""GGAs of bounded factors: their laws for any weights, their columns, and their rows."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import xcnet
from tests.test_bounded import JOBS, three_rows
from xcnet import registry
from xcnet.scf import fixed_density
from xcnet.training.form.baselines import PW92_MODIFIED, pbe_x, pw92, slater
from xcnet.training.form.bounded import CORRELATION, LARGEST
from xcnet.training.form.bounded_gga import BoundedGGA
from xcnet.training.linear import (
    factors,
    gradient,
    integrals,
    mesh,
    preparation,
    recipe,
    report,
    table,
)
from xcnet.training.linear.expansion import Orders
from xcnet.training.linear.families import GGA
from xcnet.training.linear.fit import LinearProblem
from xcnet.training.linear.recipe import NetworkSettings
from xcnet.training.linear.table import IntegralTable
from xcnet.training.loss import constraints, prior, rows
from xcnet.training.publish import general

RECIPE = replace(recipe.load("gga"), network=NetworkSettings((4, 4), 3, 2, 40))


def _variables(count: int) -> tuple[Tensor, Tensor]:
    """Random spin densities and gradient products."""
    rng = np.random.default_rng(7)
    rho = 10.0 ** rng.uniform(-4.0, 1.0, (count, 2))
    slopes = rho[..., None] ** (4.0 / 3.0) * rng.normal(size=(count, 2, 3)) * 3.0
    pairs = ((0, 0), (0, 1), (1, 1))
    sigma = np.stack([(slopes[:, i] * slopes[:, j]).sum(-1) for i, j in pairs], axis=1)
    return torch.from_numpy(rho), torch.from_numpy(sigma)


@pytest.fixture(scope="module", params=[1, 2])
def module(request: pytest.FixtureRequest) -> BoundedGGA:
    """Networks of random weights, larger than a fit starts from."""
    made = BoundedGGA((6, 6), (request.param,)).requires_grad_(False)
    for parameter in made.parameters():
        parameter.mul_(5.0)
    return made


def test_factors_keep_their_bounds(module: BoundedGGA) -> None:
    u, d = (torch.from_numpy(x) for x in mesh.mesh(21, 1).points[:, :2].T.copy())
    for part, largest in (
        ("exchange", LARGEST),
        ("equal", CORRELATION),
        ("opposite", CORRELATION),
    ):
        factor = module.factors[part](u, d)
        assert bool((factor >= 0.0).all() & (factor <= largest).all())


def test_uniform_gas_is_exact_at_any_density_and_polarization(module: BoundedGGA) -> None:
    rho, sigma = _variables(20)
    rho[:3, 1] = 0.0
    given = module(rho, torch.zeros_like(sigma))
    np.testing.assert_allclose(given, slater(rho) + pw92(rho, PW92_MODIFIED), rtol=1e-10)


def test_closed_shell_is_the_same(module: BoundedGGA) -> None:
    rho, sigma = _variables(50)
    total = rho[:, :1], sigma[:, :1]
    polarized = 0.5 * total[0].expand(-1, 2), 0.25 * total[1].expand(-1, 3)
    np.testing.assert_allclose(module.closed_shell(*total), module(*polarized), rtol=1e-12)


def test_exchange_scales_with_the_density(module: BoundedGGA) -> None:
    """Squeezed by g, a density has g times the exchange; so dense, correlation does not count."""
    rho, sigma = _variables(20)
    rho[:, 1], sigma[:, 1:] = 0.0, 0.0
    dense = [module(rho * g**3, sigma * g**8) / g for g in (1e6, 1e7)]
    np.testing.assert_allclose(dense[0], dense[1], rtol=1e-5)


def test_the_gas_of_an_expansion_has_every_density() -> None:
    """The equations say that correlation's factors are 1 at u = 0, whatever d is."""
    gas = constraints.uniform_gas(RECIPE)
    coefficients = np.linalg.lstsq(gas.matrix, gas.target, rcond=None)[0]
    points = np.stack([np.zeros(7), np.linspace(0.0, 1.0, 7), np.zeros(7)], axis=1)
    for part in mesh.PARTS:
        assert mesh.rows(part, RECIPE.expansion, points) @ coefficients == pytest.approx(1.0)


def test_the_prior_has_pbes_exchange() -> None:
    s2 = torch.linspace(0.0, 9.0, 10, dtype=torch.float64)
    rho = torch.tensor([[0.5, 0.0]], dtype=torch.float64).expand(10, 2)
    sigma = torch.zeros(10, 3, dtype=torch.float64)
    sigma[:, 0] = 4.0 * (6.0 * np.pi**2 * 0.5) ** (2.0 / 3.0) * 0.25 * s2
    wanted = pbe_x(rho, sigma, 1e-12) / slater(rho, 1e-12)
    u = (s2 / (1.0 + s2)).numpy()
    np.testing.assert_allclose(gradient.pbe_exchange(u, u), wanted, rtol=1e-9)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rows")
    with ThreadPoolExecutor(1) as pool:
        assert preparation.run(JOBS.values(), folder, pool, lambda _: None, GGA) == {}
    return folder


@pytest.fixture(scope="module")
def kept(folder: Path) -> IntegralTable:
    assert not table.collect(JOBS.values(), folder, None).entries  # a meta-GGA's are others
    return table.collect(JOBS.values(), folder, RECIPE.dispersion, GGA)


@pytest.fixture(scope="module")
def fitted(kept: IntegralTable) -> tuple[LinearProblem, BoundedGGA, np.ndarray]:
    system, none = three_rows(kept)
    places = RECIPE.expansion.within(GGA.kept)
    pbe = system.target + [rows.errors(row, kept, "PBE") for row in system.rows]
    start = np.zeros(system.matrix.shape[1])
    start[places] = prior.coefficients(RECIPE, system.matrix[:, places], pbe, system.sigma)
    problem = LinearProblem(replace(RECIPE, expansion=GGA.kept), system, none, none, start)
    module, coefficients = factors.train(problem)
    assert isinstance(module, BoundedGGA)
    return problem, module, coefficients


def test_the_prior_has_pbes_energies(
    fitted: tuple[LinearProblem, BoundedGGA, np.ndarray], kept: IntegralTable
) -> None:
    """Within a few mHa of them, in the polynomials of the recipe."""
    problem, _, _ = fitted
    errors = problem.fitted.matrix @ problem.prior - problem.fitted.target
    wanted = [rows.errors(row, kept, "PBE") for row in problem.fitted.rows]
    assert errors == pytest.approx(wanted, abs=5.0)


def test_networks_are_fitted_to_rows(
    fitted: tuple[LinearProblem, BoundedGGA, np.ndarray], kept: IntegralTable
) -> None:
    problem, _, coefficients = fitted
    errors = problem.fitted.matrix @ coefficients - problem.fitted.target
    before = problem.fitted.matrix @ problem.prior - problem.fitted.target
    assert np.abs(errors).max() < 0.1 * np.abs(before).max()
    (line,) = report.lines(problem, kept, coefficients, None, {("energies", "a set"): 3})
    assert tuple(line.beside) == GGA.beside


def test_the_expansion_is_the_functional(
    fitted: tuple[LinearProblem, BoundedGGA, np.ndarray], kept: IntegralTable, folder: Path
) -> None:
    """Energies by Legendre coefficients are those of the functional, within 0.05 mHa."""
    _, module, coefficients = fitted
    for job in JOBS.values():
        state = fixed_density.read(preparation.state_path(job, folder))
        energy = 0.0
        for rho, sigma, _, weights in integrals.blocks(state, 1):
            points = map(torch.from_numpy, (np.maximum(rho, 1e-20), sigma))
            energy += weights @ (module(*points).numpy() * rho.sum(axis=1))
        assert energy == pytest.approx(kept.value(job.name, 1, "columns") @ coefficients, abs=5e-5)


def test_smaller_orders_are_among_the_columns(folder: Path) -> None:
    state = fixed_density.read(preparation.state_path(JOBS["C"], folder))
    points = [np.concatenate(part) for part in zip(*integrals.blocks(state, 0), strict=True)]
    small = Orders((3, 1), (2, 4), (1, 3))
    rho, sigma, tau, weights = points
    whole = gradient.integrate(rho, sigma, tau, weights, GGA.kept)
    assert whole[small.within(GGA.kept)] == pytest.approx(
        gradient.integrate(rho, sigma, tau, weights, small), abs=1e-14
    )


def test_it_is_published(
    fitted: tuple[LinearProblem, BoundedGGA, np.ndarray],
    tmp_path: Path,
) -> None:
    line = report.Line("energies", "ae18", "mHa", 3, 18, 0.5, None, 0.7, "C", {})
    general.save_weights(fitted[1], tmp_path / "weights.npz")
    loaded = general.load_weights(tmp_path / "weights.npz", RECIPE)
    other = replace(RECIPE.record, name="gga_xc_other", alias="other", id=190002)
    spec = general.publish(
        replace(RECIPE, record=other),
        loaded,
        [line],
        ("H",),
        "0" * 64,
        tmp_path / "weights.npz",
        tmp_path / other.name,
    )
    assert (spec.family, spec.inputs) == ("gga", ("rho", "sigma"))
    card = " ".join((spec.folder / "CARD.md").read_text().split())
    assert "correlates with itself" in card
    assert "kinetic energy density" not in card
    assert {cited.key for cited in spec.citations} >= {"Perdew1996_3865"}
    rho, sigma = _variables(20)
    with registry.including(tmp_path):
        values = xcnet.functional(spec.name, "polarized").compute(rho.numpy(), sigma.numpy())
    np.testing.assert_allclose(values["zk"][:, 0], fitted[1](rho, sigma), rtol=1e-12)
