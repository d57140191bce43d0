"""Nonlocal functionals on a whole grid: the effective potential is the energy's derivative."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("numba")

import xcnet
from tests.grids import Case, molecular_grid
from xcnet.errors import ArgumentTypeError, DerivativeError, InputError, MissingInputError
from xcnet.functionals import LibXCFunctional
from xcnet.grid import Grid
from xcnet.operators.near_region import NearRegion
from xcnet.terms import NeuralTerm

Array = npt.NDArray[np.float64]

NAME = "NN-NRA-Nagai2020"
WATER = "O 0 0 0.119262; H 0 0.763239 -0.477047; H 0 -0.763239 -0.477047"
CONTINUUM = NearRegion("continuum", 0.2)

pytestmark = pytest.mark.usefixtures("published")


@pytest.fixture(scope="module")
def water() -> Case:
    return molecular_grid(WATER, level=0)


def inputs(case: Case, spin: int = 1) -> dict[str, Array]:
    """Variables of the closed shell, or of one with a third of the electrons spin up."""
    if spin == 1:
        return {
            "rho": case.density[:, None],
            "sigma": case.sigma[:, None],
            "tau": case.tau[:, None],
        }
    shares = np.array([0.4, 0.6])
    pairs = np.array([shares[0] ** 2, shares[0] * shares[1], shares[1] ** 2])
    return {
        "rho": case.density[:, None] * shares,
        "sigma": case.sigma[:, None] * pairs,
        "tau": case.tau[:, None] * shares,
    }


def grid_of(case: Case) -> Grid:
    atoms = case.points.atoms
    assert atoms is not None
    return Grid(
        case.points.coords,
        case.points.weights,
        centres=atoms.centres,
        parents=atoms.parents,
        volumes=atoms.volumes,
        numbers=atoms.numbers,
    )


def with_continuum(functional: LibXCFunctional) -> LibXCFunctional:
    """The same network fed with the other definition of its descriptor."""
    for _, term in functional._terms:
        assert isinstance(term, NeuralTerm)
        term.spec = dataclasses.replace(term.spec, descriptors={"near_region": CONTINUUM})
    return functional


def energy(functional: LibXCFunctional, values: dict[str, Array], grid: Grid) -> float:
    zk = functional.compute(values, grid=grid, do_vxc=False)["zk"][:, 0]
    return float(grid.points.weights @ (values["rho"].sum(axis=1) * zk))


@pytest.mark.parametrize("spin", [1, 2])
@pytest.mark.parametrize(
    ("name", "definition"),
    [(NAME, "grid-sum"), (NAME, "continuum"), (f"0.8*{NAME} + 0.1*PBE + 0.2*HF", "grid-sum")],
)
def test_potential_is_the_derivative(water: Case, spin: int, name: str, definition: str) -> None:
    functional = xcnet.functional(name, spin)
    if definition == "continuum":
        functional = with_continuum(functional)
    values, grid = inputs(water, spin), grid_of(water)
    computed = functional.compute(values, grid=grid)
    assert computed["vrho"].shape == values["rho"].shape
    rng = np.random.default_rng(0)
    # Small: exponential linear units have kinks in the second derivative, and so has the clip.
    step = 1e-5
    for _ in range(2):
        direction = values["rho"] * rng.uniform(-1, 1, values["rho"].shape)
        ahead, behind = (
            energy(functional, values | {"rho": values["rho"] + change * direction}, grid)
            for change in (step, -step)
        )
        exact = (water.points.weights[:, None] * direction * computed["vrho"]).sum()
        assert exact == pytest.approx((ahead - behind) / (2 * step), rel=1e-7, abs=1e-8)


def test_energy_is_the_formula_with_the_directly_summed_descriptor(water: Case) -> None:
    functional, values, grid = xcnet.functional(NAME), inputs(water), grid_of(water)
    near = np.empty(len(grid))
    for i, r in enumerate(grid.points.coords):
        d = np.sqrt(((grid.points.coords - r) ** 2).sum(axis=1)) / 0.2
        kernel = np.where(d < np.log(1000), np.exp(-d), 0.0)
        near[i] = kernel @ (grid.points.weights * water.density)
    pointwise = functional.compute(values | {"near_region": near})
    whole = functional.compute(values, grid=grid)
    np.testing.assert_allclose(whole["zk"], pointwise["zk"], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(whole["vsigma"], pointwise["vsigma"], rtol=1e-10, atol=1e-12)
    assert set(whole) == {"zk", "vrho", "vsigma", "vtau"}
    assert "vnear_region" in pointwise


def test_error_of_the_continuum_hardly_changes_the_energy() -> None:
    case = molecular_grid(WATER, level=2)
    functional, values = with_continuum(xcnet.functional(NAME)), inputs(case)
    parts = np.array_split(np.arange(len(case.density)), 8)
    near = np.concatenate([case.analytic_near_region(part, 0.2) for part in parts])
    exact = functional.compute(values | {"near_region": near}, do_vxc=False)["zk"][:, 0]
    change = energy(functional, values, grid_of(case)) - case.points.weights @ (
        case.density * exact
    )
    assert abs(change) < 1e-7


def test_all_forms_of_the_call_agree(water: Case) -> None:
    functional, values = xcnet.functional(NAME), inputs(water)
    points: dict[str, Any] = {"coords": water.points.coords, "weights": water.points.weights}
    expected = functional.compute(values, grid=grid_of(water))
    arrays = functional.compute(values["rho"], values["sigma"], values["tau"], **points)
    buffers = {"zk": np.ones((len(water.density), 1)), "vrho": np.ones(len(water.density))}
    filled = functional.compute(values, buffers, **points)
    assert filled["vrho"] is buffers["vrho"]
    for computed in (arrays, functional.compute(values, **points), filled):
        for label in expected:
            np.testing.assert_array_equal(np.ravel(computed[label]), np.ravel(expected[label]))


def test_order_of_points(water: Case) -> None:
    order = np.random.default_rng(0).permutation(len(water.density))
    functional = xcnet.functional(NAME)
    first = functional.compute(inputs(water), grid=grid_of(water))
    shuffled = water.reordered(order)
    second = functional.compute(inputs(shuffled), grid=grid_of(shuffled))
    for label, values in first.items():
        np.testing.assert_allclose(second[label], values[order], rtol=1e-9, atol=1e-12)


def test_closed_shell_equals_polarized(water: Case) -> None:
    values = inputs(water)
    half = {
        "rho": np.tile(0.5 * values["rho"], 2),
        "sigma": np.tile(0.25 * values["sigma"], 3),
        "tau": np.tile(0.5 * values["tau"], 2),
    }
    closed = xcnet.functional(NAME).compute(values, grid=grid_of(water))
    polarized = xcnet.functional(NAME, 2).compute(half, grid=grid_of(water))
    np.testing.assert_allclose(polarized["zk"], closed["zk"], rtol=1e-12)
    np.testing.assert_allclose(polarized["vrho"], np.tile(closed["vrho"], 2), rtol=1e-9, atol=1e-9)


def test_moving_and_turning_the_molecule(water: Case) -> None:
    """Less than the grid's own error: 2 mHa at level 1 for these networks."""
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    symbols = [water.molecule.atom_symbol(i) for i in range(3)]
    place = water.molecule.atom_coords(unit="ang") @ turn + [3.0, -1.0, 0.5]
    moved = molecular_grid(
        tuple((s, tuple(p)) for s, p in zip(symbols, place.tolist(), strict=True)), level=1
    )
    still = molecular_grid(WATER, level=1)
    functionals = xcnet.functional(NAME), with_continuum(xcnet.functional(NAME))
    for functional, limit in zip(functionals, (1e-3, 1e-4), strict=True):
        both = [energy(functional, inputs(case), grid_of(case)) for case in (still, moved)]
        assert abs(both[0] - both[1]) < limit


def test_weights_that_are_zero_or_negative(water: Case) -> None:
    weights = water.points.weights.copy()
    weights[::7] = 0.0
    weights[::11] *= -0.01
    values = inputs(water)
    computed = xcnet.functional(NAME).compute(values, coords=water.points.coords, weights=weights)
    for label in computed:
        assert np.isfinite(computed[label]).all()


def test_where_the_descriptor_is_clipped_it_has_no_derivative() -> None:
    grid, descriptor = Grid(np.eye(3) * 0.1, [-1.0, 0.6, 0.6]), NearRegion("grid-sum", 0.2, 1e-3)
    near = grid.values(descriptor, np.array([1.0, 1.0, 1.0]))
    assert (near[:, 0] < 0).tolist() == [True, False, False]
    # Only the slopes of the two others spread, with the kernel at the distance 0.1 sqrt(2).
    kernel = np.exp(-np.sqrt(0.5))
    expected = [1.2 * kernel, 0.6 * (1 + kernel), 0.6 * (1 + kernel)]
    potential = grid.adjoint(descriptor, near, np.ones(3))[:, 0]
    np.testing.assert_allclose(potential, expected, rtol=1e-13)


def test_empty_density(water: Case) -> None:
    values = {name: np.zeros_like(array) for name, array in inputs(water).items()}
    computed = xcnet.functional(NAME).compute(values, grid=grid_of(water))
    assert not any(array.any() for array in computed.values())


def test_no_points() -> None:
    nothing: dict[str, Any] = {name: np.zeros((0, 1)) for name in ("rho", "sigma", "tau")}
    computed = xcnet.functional(NAME).compute(nothing, coords=np.zeros((0, 3)), weights=np.zeros(0))
    assert computed["vrho"].shape == (0, 1)


def test_local_functionals_ignore_the_grid(water: Case) -> None:
    values, functional = inputs(water), xcnet.functional("TPSS")
    with_grid = functional.compute(values, grid=grid_of(water))
    np.testing.assert_array_equal(with_grid["vrho"], functional.compute(values)["vrho"])


def test_bad_input_is_refused(water: Case, published: Path) -> None:
    functional, values = xcnet.functional(NAME), inputs(water)
    coords, weights = water.points.coords, water.points.weights
    with pytest.raises(MissingInputError, match=r"integral of the density over the whole grid"):
        functional.compute(values)
    with pytest.raises(MissingInputError, match="coords"):
        functional.compute(values, coords=coords)
    with pytest.raises(InputError, match="weights has the shape"):
        functional.compute(values, coords=coords, weights=weights[:-1])
    with pytest.raises(InputError, match="the density has"):
        functional.compute(values, coords=coords[:-1], weights=weights[:-1])
    with pytest.raises(InputError, match="NaN"):
        functional.compute(values, coords=coords * np.nan, weights=weights)
    with pytest.raises(ArgumentTypeError, match=r"xcnet\.grid\.Grid"):
        functional.compute(values, grid=coords)
    with pytest.raises(DerivativeError, match="couple all points"):
        functional.compute(values, coords=coords, weights=weights, do_fxc=True)


def test_torch_has_the_same_descriptor_and_derivatives(water: Case) -> None:
    torch = pytest.importorskip("torch")
    from xcnet.training.form.descriptors import values

    for descriptor in (NearRegion("grid-sum", 0.2, 1e-3), CONTINUUM):
        grid = grid_of(water)
        density = torch.from_numpy(water.density.copy()).requires_grad_()
        near = values(density, grid, descriptor)
        expected = np.maximum(grid.values(descriptor, water.density), 0.0)
        np.testing.assert_array_equal(near.detach().numpy(), expected)
        slopes = np.random.default_rng(0).normal(size=(len(grid), 1))
        weights = torch.from_numpy(grid.points.weights)
        total = (weights * (near * torch.from_numpy(slopes))[:, 0]).sum()
        (gradient,) = torch.autograd.grad(total, density, create_graph=True)
        expected = grid.points.weights * grid.adjoint(descriptor, expected, slopes)[:, 0]
        np.testing.assert_allclose(gradient.detach().numpy(), expected, rtol=1e-12, atol=1e-14)
        # Twice: the square's second derivative along a direction.
        square = (values(density, grid, descriptor) ** 2).sum()
        (first,) = torch.autograd.grad(square, density, create_graph=True)
        direction = torch.from_numpy(np.abs(slopes[:, 0])) * density.detach()
        (second,) = torch.autograd.grad((first * direction).sum(), density)
        active = (near.detach().numpy() > 0).astype(float)
        turned = grid.values(descriptor, direction.numpy()) * active
        exact = 2 * grid.points.weights * grid.map(descriptor).transpose(turned)[:, 0]
        np.testing.assert_allclose(second.numpy(), exact, rtol=1e-9, atol=1e-12)
