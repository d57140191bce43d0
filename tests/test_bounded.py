"""Functionals of bounded factors: their laws for any weights, and the fit of them to rows."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import xcnet
from xcnet import registry
from xcnet.scf import fixed_density
from xcnet.scf.fixed_density import Scheme
from xcnet.systems.molecules import Molecule, atom
from xcnet.training.form.baselines import PW92_MODIFIED, pw92, slater
from xcnet.training.form.bounded import LARGEST, ONE_ORBITAL, Bounded
from xcnet.training.linear import expansion, factors, integrals, mesh, preparation, recipe, table
from xcnet.training.linear.expansion import Orders
from xcnet.training.linear.factors import FactorProblem
from xcnet.training.linear.fit import LinearProblem
from xcnet.training.linear.preparation import Job
from xcnet.training.linear.recipe import NetworkSettings
from xcnet.training.linear.report import Line
from xcnet.training.linear.table import IntegralTable
from xcnet.training.loss import rows
from xcnet.training.loss.equations import Equations
from xcnet.training.loss.rows import Linear, Row
from xcnet.training.publish import general

GENERAL = replace(recipe.load("general"), network=NetworkSettings((4, 4), 3, 2, 40))
SCHEME = Scheme("r2scan", "def2-svp", "def2-universal-jkfit", 1, 1e-8)
H2 = Molecule("H2", ("H", "H"), ((0.0, 0.0, 0.0), (0.0, 0.0, 0.7414)))
JOBS = {system.name: Job(system, SCHEME, (1,)) for system in (atom("H"), atom("C"), H2)}
SMALL = Orders((4, 4), (3, 3), (3, 3))


def variables(count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Random spin densities, gradient products, kinetic energy densities above their bound."""
    rng = np.random.default_rng(7)
    rho = 10.0 ** rng.uniform(-4.0, 1.0, (count, 2))
    gradient = rho[..., None] ** (4.0 / 3.0) * rng.normal(size=(count, 2, 3)) * 3.0
    pairs = ((0, 0), (0, 1), (1, 1))
    sigma = np.stack([(gradient[:, i] * gradient[:, j]).sum(-1) for i, j in pairs], axis=1)
    tau = sigma[:, ::2] / (8.0 * rho) + rho ** (5.0 / 3.0) * rng.uniform(0.0, 20.0, (count, 2))
    return torch.from_numpy(rho), torch.from_numpy(sigma), torch.from_numpy(tau)


@pytest.fixture(scope="module", params=[1, 2])
def module(request: pytest.FixtureRequest) -> Bounded:
    """Networks of random weights, larger than a fit starts from."""
    made = Bounded((6, 6), (request.param,)).requires_grad_(False)
    for parameter in made.parameters():
        parameter.mul_(5.0)
    return made


def test_factors_keep_their_bounds(module: Bounded) -> None:
    u, beta = (torch.from_numpy(x) for x in mesh.mesh(21, 1).points[:, :2].T.copy())
    exchange = module.factors["exchange"](u, beta)
    assert bool((exchange >= 0.0).all() & (exchange <= LARGEST).all())
    assert bool((exchange[beta == 0.0] <= ONE_ORBITAL).all())
    assert bool((module.factors["equal"](u, beta) >= 0.0).all())
    assert bool((module.factors["opposite"](u, beta) >= 0.0).all())


def test_uniform_gas_is_exact(module: Bounded) -> None:
    rho, _, _ = variables(20)
    tau = 0.3 * (6.0 * np.pi**2) ** (2.0 / 3.0) * rho ** (5.0 / 3.0)
    given = module(rho, torch.zeros(20, 3, dtype=rho.dtype), tau)
    wanted = slater(rho) + pw92(rho, PW92_MODIFIED)
    np.testing.assert_allclose(given, wanted, rtol=1e-12)


def test_one_electron_has_no_correlation(module: Bounded) -> None:
    """A density of one spin and one orbital: the energy is exchange's alone."""
    rho, sigma, _ = variables(20)
    rho[:, 1], sigma[:, 1:] = 0.0, 0.0
    tau = torch.stack([sigma[:, 0] / (8.0 * rho[:, 0]), torch.zeros(20, dtype=rho.dtype)], 1)
    energy = module(rho, sigma, tau)
    other = Bounded((6, 6), (9,)).requires_grad_(False)
    other.factors["exchange"] = module.factors["exchange"]
    np.testing.assert_allclose(energy, other(rho, sigma, tau), rtol=1e-7)


def test_closed_shell_is_the_same(module: Bounded) -> None:
    rho, sigma, tau = variables(50)
    total = rho[:, :1], sigma[:, :1], tau[:, :1]
    polarized = (
        0.5 * total[0].expand(-1, 2),
        0.25 * total[1].expand(-1, 3),
        0.5 * total[2].expand(-1, 2),
    )
    np.testing.assert_allclose(module.closed_shell(*total), module(*polarized), rtol=1e-12)


def test_nothing_jumps_where_tau_passes_its_bound(module: Bounded) -> None:
    """Programs' tau of one orbital is above and below by rounding: derivatives are the same there.

    Far below, as where a program starts from tau = 0, the energy is that of the bound.
    """
    rho, sigma, _ = (given[:, :1] for given in variables(50))
    bound = sigma / (8.0 * rho)
    values, slopes = [], []
    for share in (1.0 + 1e-13, 1.0 - 1e-13, 0.0):
        given = [rho.clone(), sigma.clone(), bound * share]
        energy = module.closed_shell(*(variable.requires_grad_() for variable in given))
        values.append(energy.detach())
        slopes.append(torch.cat(torch.autograd.grad(energy.sum(), given), 1))
    np.testing.assert_allclose(values[2], values[0], rtol=0.01)
    np.testing.assert_allclose(slopes[1], slopes[0], rtol=1e-6)


def check_normal_equations(problem: FactorProblem) -> None:
    """Their gradient is that of the loss by differences."""
    start, gradient = problem.vector(), problem.normal_equations()[1]
    for index in (0, 5, 25, len(start) - 1):
        shift = 1e-5 * torch.eye(len(start))[index]
        losses = []
        for sign in (1.0, -1.0):
            problem.load_vector(start + sign * shift)
            losses.append(problem.loss())
        difference = (losses[0] - losses[1]) / 2e-5
        assert 2.0 * float(gradient[index]) == pytest.approx(difference, rel=1e-5, abs=1e-3)


def three_rows(kept: IntegralTable) -> tuple[Linear, Linear]:
    """Rows of `JOBS`' densities, and none."""
    wanted = [({"H": 1.0}, -500.0), ({"C": 1.0}, -37845.0), ({"H2": -1.0, "H": 2.0}, 174.5)]
    system = rows.linear(
        [
            Row(*("energies", "a set", str(number)), terms, reference, "mHa", 1000.0, 0.5)
            for number, (sum_, reference) in enumerate(wanted)
            for terms in [tuple((n, JOBS[name], 1) for name, n in sum_.items())]
        ],
        kept,
    )
    return system, Linear((), system.matrix[:0], system.target[:0])


def test_normal_equations_by_differences() -> None:
    rng = np.random.default_rng(0)
    size = sum(SMALL.sizes().values())
    equations = Equations(rng.normal(size=(30, size)), rng.normal(size=30))
    problem = FactorProblem(Bounded((3, 3), (1,)), SMALL, equations)
    check_normal_equations(problem)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rows")
    with ThreadPoolExecutor(1) as pool:
        assert preparation.run(JOBS.values(), folder, pool, lambda _: None) == {}
    return folder


@pytest.fixture(scope="module")
def fitted(folder: Path) -> tuple[LinearProblem, Bounded, np.ndarray]:
    kept = table.collect(JOBS.values(), folder, GENERAL.dispersion)
    system, none = three_rows(kept)
    prior = np.zeros(system.matrix.shape[1])
    places = expansion.KEPT.parts()
    prior[[part.start for part in places.values()]] = 1.0
    whole = replace(GENERAL, expansion=expansion.KEPT)
    problem = LinearProblem(whole, system, none, none, prior)
    made, coefficients = factors.train(problem)
    assert isinstance(made, Bounded)
    return problem, made, coefficients


def test_networks_are_fitted_to_rows(fitted: tuple[LinearProblem, Bounded, np.ndarray]) -> None:
    problem, _, coefficients = fitted
    errors = problem.fitted.matrix @ coefficients - problem.fitted.target
    before = problem.fitted.matrix @ problem.prior - problem.fitted.target
    assert np.abs(errors).max() < 0.1 * np.abs(before).max()


def test_rows_are_left_out(fitted: tuple[LinearProblem, Bounded, np.ndarray]) -> None:
    """Each is predicted by fits that did not see it: by the prior here, where one fit has all."""
    problem, _, _ = fitted
    seen: list[int] = []

    def solve(rest: LinearProblem) -> np.ndarray:
        seen.append(len(rest.fitted.rows))
        return rest.prior

    errors = problem.held_out(solve, 1)
    before = problem.fitted.matrix @ problem.prior - problem.fitted.target
    assert errors == pytest.approx(np.abs(before))
    assert sum(len(problem.fitted.rows) - kept for kept in seen) == len(problem.fitted.rows)


def test_the_expansion_is_the_functional(
    fitted: tuple[LinearProblem, Bounded, np.ndarray], folder: Path
) -> None:
    """Energies by Legendre coefficients are those of the functional, within 0.05 mHa."""
    _, module, coefficients = fitted
    kept = table.collect(JOBS.values(), folder, GENERAL.dispersion)
    for job in JOBS.values():
        state = fixed_density.read(preparation.state_path(job, folder))
        energy = 0.0
        for rho, sigma, tau, weights in integrals.blocks(state, 1):
            points = (np.maximum(rho, 1e-20), sigma, tau)
            with torch.no_grad():
                per_particle = module(*map(torch.from_numpy, points)).numpy()
            energy += weights @ (per_particle * rho.sum(axis=1))
        assert energy == pytest.approx(kept.value(job.name, 1, "columns") @ coefficients, abs=5e-5)


def test_a_hybrid_is_its_energies(folder: Path) -> None:
    """Rows of a hybrid: its share of exact exchange, the rest by a module of that share."""
    kept = table.collect(JOBS.values(), folder, GENERAL.dispersion)
    job, share = JOBS["C"], 0.25
    row = Row(*("energies", "a set", "C"), ((1.0, job, 1),), 0.0, "mHa", 1000.0, 0.5)
    (matrix,), (target,) = (
        getattr(rows.linear([row], kept, share), name) for name in ("matrix", "target")
    )
    module = Bounded((4, 4), (3,), share).requires_grad_(False)
    coefficients = FactorProblem(module, expansion.KEPT, Equations(matrix[None], np.zeros(1)))
    entry, state = kept.entries[job.name], fixed_density.read(preparation.state_path(job, folder))
    energy = entry.rest + entry.dispersion + share * entry.exact_exchange
    for rho, sigma, tau, weights in integrals.blocks(state, 1):
        points = map(torch.from_numpy, (np.maximum(rho, 1e-20), sigma, tau))
        energy += weights @ (module(*points).numpy() * rho.sum(axis=1))
    by_row = matrix @ coefficients.coefficients().numpy() - target
    assert by_row == pytest.approx(1000.0 * energy, abs=0.5)


def test_it_is_published(
    fitted: tuple[LinearProblem, Bounded, np.ndarray],
    tmp_path: Path,
) -> None:
    line = Line("energies", "ae18", "mHa", 3, 18, 0.5, None, 0.7, "C", {})
    _, module, _ = fitted
    general.save_weights(module, tmp_path / "weights.npz")
    loaded = general.load_weights(tmp_path / "weights.npz", GENERAL)
    other = replace(GENERAL.record, name="mgga_xc_other", alias="other", id=190001)
    spec = general.publish(
        replace(GENERAL, record=other),
        loaded,
        [line],
        ("Ar", "H"),
        "0" * 64,
        tmp_path / "weights.npz",
        tmp_path / other.name,
    )
    rho, sigma, tau = variables(20)
    assert spec.constraints == ("uniform_gas", "spin_scaling")
    assert spec.elements == ("Ar", "H")
    assert spec.training["data"] == ["ae18"]
    assert "0.5 mHa" in (spec.folder / "CARD.md").read_text()
    with registry.including(tmp_path):
        functional = xcnet.functional(spec.name, "polarized")
        values = functional.compute(rho.numpy(), sigma.numpy(), tau=tau.numpy())
    np.testing.assert_allclose(values["zk"][:, 0], module(rho, sigma, tau), rtol=1e-12)
