"""Bounded factors with the near-region density: their laws for any weights, their columns, rows."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.test_bounded import JOBS, check_normal_equations, three_rows, variables
from xcnet import engine
from xcnet.errors import InputError
from xcnet.scf import fixed_density
from xcnet.training.form.baselines import PW92_MODIFIED, pw92, slater
from xcnet.training.form.bounded import Bounded
from xcnet.training.form.bounded_near_region import BoundedNearRegion
from xcnet.training.form.features.correlation import NEAR_REGION
from xcnet.training.form.features.shares import near_region_of_gas
from xcnet.training.linear import (
    factors,
    integrals,
    mesh,
    near_region,
    preparation,
    recipe,
    report,
    table,
)
from xcnet.training.linear.expansion import Orders
from xcnet.training.linear.factors import FactorProblem
from xcnet.training.linear.families import NEAR
from xcnet.training.linear.fit import LinearProblem
from xcnet.training.linear.recipe import NetworkSettings
from xcnet.training.linear.table import IntegralTable
from xcnet.training.loss.equations import Equations
from xcnet.training.publish import general

pytestmark = pytest.mark.usefixtures("one_thread")

RECIPE = replace(recipe.load("nra"), network=NetworkSettings((10, 10), 3, 1, 15, "general"))
GAS = near_region_of_gas(NEAR_REGION.sigma_bohr)


def _given(count: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Random variables; near-region densities from much less than the gas's to much more."""
    rho, sigma, tau = variables(count)
    ratio = 10.0 ** np.random.default_rng(3).uniform(-2.0, 2.0, (count, 1))
    return rho, sigma, tau, GAS * rho.sum(1, keepdim=True) * torch.from_numpy(ratio)


@pytest.fixture(scope="module", params=[1, 2])
def module(request: pytest.FixtureRequest) -> BoundedNearRegion:
    """Networks of random weights, larger than a fit starts from."""
    made = BoundedNearRegion((6, 6), (request.param,)).requires_grad_(False)
    for parameter in made.parameters():
        parameter.mul_(5.0)
    return made


def test_correlation_is_never_positive(module: BoundedNearRegion) -> None:
    """Its factors have the sign of their values at v = -1 and 1, between which they are linear."""
    u, beta = (torch.from_numpy(x) for x in mesh.mesh(21, 1).points[:, :2].T.copy())
    for part in mesh.PARTS[1:]:
        middle, change = module.factors[part](u, beta).unbind(1)
        assert bool((change.abs() <= middle + 1e-12).all())
        assert float(change.abs().max()) > 0.01


def test_uniform_gas_is_exact_whatever_is_near(module: BoundedNearRegion) -> None:
    rho, sigma, _, near = _given(20)
    tau = 0.3 * (6.0 * np.pi**2) ** (2.0 / 3.0) * rho ** (5.0 / 3.0)
    given = module(rho, torch.zeros_like(sigma), tau, near)
    np.testing.assert_allclose(given, slater(rho) + pw92(rho, PW92_MODIFIED), rtol=1e-12)


def test_one_electron_has_no_correlation(module: BoundedNearRegion) -> None:
    rho, sigma, _, near = _given(20)
    rho[:, 1], sigma[:, 1:] = 0.0, 0.0
    tau = torch.stack([sigma[:, 0] / (8.0 * rho[:, 0]), torch.zeros(20, dtype=rho.dtype)], 1)
    other = Bounded((6, 6), (9,)).requires_grad_(False)
    other.factors["exchange"] = module.factors["exchange"]
    np.testing.assert_allclose(module(rho, sigma, tau, near), other(rho, sigma, tau), rtol=1e-7)


def test_closed_shell_is_the_same(module: BoundedNearRegion) -> None:
    *local, near = _given(50)
    rho, sigma, tau = (x[:, :1] for x in local)
    spins = 0.5 * rho.expand(-1, 2), 0.25 * sigma.expand(-1, 3), 0.5 * tau.expand(-1, 2)
    energy = module.closed_shell(rho, sigma, tau, near)
    np.testing.assert_allclose(energy, module(*spins, near), rtol=1e-12)


def test_normal_equations_by_differences() -> None:
    rng, orders = np.random.default_rng(0), Orders((4, 4), (3, 3), (3, 4), 2)
    equations = Equations(rng.normal(size=(30, sum(orders.sizes().values()))), rng.normal(size=30))
    problem = FactorProblem(BoundedNearRegion((3, 3), (1,)), orders, equations)
    check_normal_equations(problem)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rows")
    with ThreadPoolExecutor(1) as pool:
        assert preparation.run(JOBS.values(), folder, pool, lambda _: None, NEAR) == {}
    return folder


@pytest.fixture(scope="module")
def kept(folder: Path) -> IntegralTable:
    assert not table.collect(JOBS.values(), folder, None).entries  # those without it are others
    return table.collect(JOBS.values(), folder, RECIPE.dispersion, NEAR)


@pytest.fixture(scope="module")
def fitted(kept: IntegralTable) -> tuple[LinearProblem, BoundedNearRegion, np.ndarray]:
    """Networks that start from NN-metaGGA's, and three rows."""
    system, none = three_rows(kept)
    nothing = replace(RECIPE, energies=(), validation=(), known=())
    start = general.start(RECIPE)
    prior = factors.problem(nothing, kept, start).prior
    problem = LinearProblem(replace(RECIPE, expansion=NEAR.kept), system, none, none, prior)
    made, coefficients = factors.train(problem, start=start)
    assert isinstance(made, BoundedNearRegion)
    return problem, made, coefficients


def test_networks_start_from_their_like() -> None:
    own = RECIPE.network
    others = replace(own, start="gga"), replace(own, start="nra"), replace(own, hidden=(3,))
    for wrong in (replace(RECIPE, network=other) for other in others):
        with pytest.raises(InputError, match="cannot start from"):
            general.start(wrong)


def test_networks_are_fitted_to_rows(
    fitted: tuple[LinearProblem, BoundedNearRegion, np.ndarray], kept: IntegralTable
) -> None:
    problem, _, coefficients = fitted
    errors = problem.fitted.matrix @ coefficients - problem.fitted.target
    before = problem.fitted.matrix @ problem.prior - problem.fitted.target
    assert np.abs(errors).max() < np.abs(before).max()
    (line,) = report.lines(problem, kept, coefficients, None, {("energies", "a set"): 3})
    assert tuple(line.beside) == NEAR.beside


def test_the_expansion_is_the_functional(
    fitted: tuple[LinearProblem, BoundedNearRegion, np.ndarray], kept: IntegralTable, folder: Path
) -> None:
    """Energies by Legendre coefficients are those of the functional, within 0.05 mHa.

    Those of the prior are the other recipe's functional's, whatever is near.
    """
    problem, module, coefficients = fitted
    start = general.start(RECIPE)
    assert start is not None
    for job in JOBS.values():
        state = fixed_density.read(preparation.state_path(job, folder))
        energy = before = 0.0
        for rho, sigma, tau, weights, near in integrals.points(state, 1, NEAR_REGION):
            dense = rho.sum(axis=1) > 1e-12
            local = [torch.from_numpy(x[dense]) for x in (np.maximum(rho, 1e-20), sigma, tau)]
            electrons = weights[dense] * rho[dense].sum(axis=1)
            energy += electrons @ module(*local, torch.from_numpy(near[dense, None])).numpy()
            before += electrons @ start(*local).numpy()
        columns = kept.value(job.name, 1, "columns")
        assert energy == pytest.approx(columns @ coefficients, abs=5e-5)
        assert before == pytest.approx(columns @ problem.prior, abs=5e-5)


def test_smaller_orders_are_among_the_columns(folder: Path) -> None:
    state = fixed_density.read(preparation.state_path(JOBS["C"], folder))
    blocks = integrals.points(state, 0, NEAR_REGION)
    rho, sigma, tau, weights, near = (np.concatenate(x) for x in zip(*blocks, strict=True))
    small = Orders((3, 2), (2, 4), (1, 3), 2)
    whole, part = (
        near_region.integrate(rho, sigma, tau, weights, near, orders)
        for orders in (NEAR.kept, small)
    )
    assert whole[small.within(NEAR.kept)] == pytest.approx(part, abs=1e-14)


def test_it_is_published(
    fitted: tuple[LinearProblem, BoundedNearRegion, np.ndarray],
    tmp_path: Path,
) -> None:
    _, module, _ = fitted
    general.save_weights(module, tmp_path / "weights.npz")
    loaded = general.load_weights(tmp_path / "weights.npz", RECIPE)
    other = replace(RECIPE.record, name="mgga_xc_other", alias="other", id=190001)
    spec = general.publish(
        replace(RECIPE, record=other),
        loaded,
        [],
        ("H",),
        "0" * 64,
        tmp_path / "weights.npz",
        tmp_path / other.name,
    )
    card = " ".join((spec.folder / "CARD.md").read_text().split())
    assert "NN-metaGGA's networks fitted at once to" in card
    assert "near NN-metaGGA and smooth" in card
    rho, sigma, tau, near = _given(20)
    assert spec.constraints == ("uniform_gas", "spin_scaling")
    given = {"rho": rho, "sigma": sigma, "tau": tau, NEAR_REGION.label: near}
    values = engine.run(spec, 0, {name: x.numpy() for name, x in given.items()}, 2)
    np.testing.assert_allclose(values["zk"][:, 0], module(rho, sigma, tau, near), rtol=1e-12)
