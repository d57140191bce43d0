"""The published networks: our graphs against the published form written out in numpy."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import xcnet
from xcnet import check, engine, variables
from xcnet.errors import XCNetError
from xcnet.operators.near_region import NearRegion
from xcnet.published import nagai2020
from xcnet.published.nagai2020 import PUBLISHED, NetworkFacts
from xcnet.spec import load_spec

Array = NDArray[Any]
TINY = 1e-7
STEP = 1e-30  # of complex-step differentiation, which has no cancellation: exact to rounding

ids = [p.alias for p in PUBLISHED]


def _elu(x: Array) -> Array:
    return np.where(x.real > 0, x, np.exp(np.where(x.real > 0, 0, x)) - 1)


def published_form(weights: Mapping[str, Array], inputs: Mapping[str, Array]) -> Array:
    """Energy per particle (N,), exactly as the authors' scripts write it."""
    ra, rb = inputs["rho"].T
    n = ra + rb
    unif = (n + TINY) ** (1.0 / 3)
    z = (ra - rb) / (n + TINY)
    spinscale = ((1 + z) ** (4.0 / 3) + (1 - z) ** (4.0 / 3)) * 0.5
    t = [unif, spinscale]
    if "sigma" in inputs:
        gaa, gab, gbb = inputs["sigma"].T + TINY
        t.append(((gaa + gbb + 2 * gab) ** 0.5 + TINY) / unif**4)
    if "tau" in inputs:
        ta, tb = inputs["tau"].T
        ds = (1 + z) ** (5.0 / 3) + (1 - z) ** (5.0 / 3)
        t.append((ta + tb + TINY) / (unif**5 * ds))
    if "near_region" in inputs:
        (r,) = inputs["near_region"].T
        t.append(np.where(r.real < 0, 0, r) + TINY)
    h = np.log(np.stack(t, axis=1))
    for layer in ("fc1", "fc2", "fc3", "fc4"):
        h = _elu(h @ weights[f"{layer}.weight"].T + weights[f"{layer}.bias"])
    return np.asarray(-(h[:, 0] + 1) * n ** (1.0 / 3) * spinscale)


def gradient(weights: Mapping[str, Array], inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Derivatives of n eps with respect to every input component, by complex steps."""
    result = {}
    for name, values in inputs.items():
        columns = []
        for k in range(values.shape[1]):
            shifted = {key: value.astype(complex) for key, value in inputs.items()}
            shifted[name][:, k] += 1j * STEP
            energy = shifted["rho"].sum(axis=1) * published_form(weights, shifted)
            columns.append(energy.imag / STEP)
        result[f"v{name}"] = np.stack(columns, axis=1)
    return result


def random_inputs(names: tuple[str, ...], points: int, seed: int) -> dict[str, Array]:
    """Densities from a vacuum tail to a nucleus, with gradients and tau that a density can have."""
    rng = np.random.default_rng(seed)
    rho = 10.0 ** rng.uniform(-8, 2.5, (points, 1)) * rng.uniform(0.01, 1, (points, 2))
    grad = rng.normal(size=(points, 2, 3)) * rho[..., None] ** (4 / 3)
    sigma = np.stack(
        [(grad[:, i] * grad[:, j]).sum(axis=1) for i, j in ((0, 0), (0, 1), (1, 1))], axis=1
    )
    tau = sigma[:, ::2] / (8 * rho) + rng.uniform(0, 3, (points, 2)) * rho ** (5 / 3)
    near = 0.2 * rho.sum(axis=1, keepdims=True) * rng.uniform(0.2, 1, (points, 1))
    values = {"rho": rho, "sigma": sigma, "tau": tau, "near_region": near}
    return {name: values[name] for name in names}


def numpy_weights(folder: Path, published: NetworkFacts) -> dict[str, Array]:
    state = torch.load(folder / published.file, map_location="cpu", weights_only=True)
    return {key: value.numpy().astype(np.float64) for key, value in state.items()}


@pytest.mark.parametrize("facts", PUBLISHED, ids=ids)
def test_graphs_equal_the_published_form(
    facts: NetworkFacts, nagai2020_weights: Path, nagai2020_models: Path
) -> None:
    spec = load_spec(nagai2020_models / facts.name)
    spec.verify()
    inputs = random_inputs(spec.variables, 500, seed=facts.id)
    weights = numpy_weights(nagai2020_weights, facts)
    expected = {"zk": published_form(weights, inputs)[:, None], **gradient(weights, inputs)}
    assert set(expected) == {"zk", *variables.labels(spec.variables, 1)}
    given = engine.run(spec, 1, inputs)
    np.testing.assert_allclose(given["zk"], expected["zk"], rtol=1e-12)
    energy = np.abs(expected["zk"][:, 0] * inputs["rho"].sum(axis=1))
    for name in spec.variables:
        # A derivative may pass through zero: then no digit of it means anything, and it is
        # measured in the units of energy density over the variable.
        unit = energy / np.abs(inputs[name]).max(axis=1)
        scale = np.maximum(np.abs(expected[f"v{name}"]).max(axis=1), 0.1 * unit)
        difference = np.abs(given[f"v{name}"] - expected[f"v{name}"]).max(axis=1)
        assert (difference / scale).max() < 1e-11, name


@pytest.mark.parametrize("facts", PUBLISHED, ids=ids)
def test_record(facts: NetworkFacts, nagai2020_models: Path) -> None:
    spec = load_spec(nagai2020_models / facts.name)
    assert (spec.id, spec.aliases) == (facts.id, (facts.alias,))
    assert list(spec.derivatives) == ["exc", "vxc", "fxc", "kxc"]
    assert check.self_test(spec) < check.TOLERANCE
    assert spec.is_nonlocal == (facts.alias == "NN-NRA-Nagai2020")
    if spec.is_nonlocal:
        assert spec.descriptors == {"near_region": NearRegion("grid-sum", 0.2, 0.001)}


@pytest.mark.parametrize("facts", PUBLISHED[:3], ids=ids[:3])
def test_compute_by_alias(facts: NetworkFacts, nagai2020_weights: Path, published: Path) -> None:
    functional = xcnet.functional(facts.alias, "unpolarized")
    resolved = random_inputs(facts.inputs, 50, seed=1)
    half = {
        "rho": resolved["rho"][:, :1],
        "sigma": resolved.get("sigma", np.ones((50, 3)))[:, :1],
        "tau": resolved.get("tau", np.ones((50, 2)))[:, :1],
    }
    closed = {name: np.tile(half[name], variables.width(name, 2)) for name in facts.inputs}
    totals = {name: half[name] / variables.CLOSED_SHELL_SHARE[name] for name in facts.inputs}
    expected = published_form(numpy_weights(nagai2020_weights, facts), closed)
    given = functional.compute(totals, do_vxc=False)["zk"]
    np.testing.assert_allclose(given[:, 0], expected, rtol=1e-12)


def test_pointwise_compute_of_the_nonlocal_one_says_what_is_missing(published: Path) -> None:
    with pytest.raises(XCNetError, match=r"near_region|whole grid|nonlocal"):
        xcnet.functional("NN-NRA-Nagai2020").compute(
            {"rho": np.ones(3), "sigma": np.ones(3), "tau": np.ones(3)}
        )


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
            return Path.touch, (tmp_path / "executed",)

    data = pickle.dumps({"fc1.weight": Hostile()}, protocol=2)
    with pytest.raises(pickle.UnpicklingError):
        nagai2020.load(data)
    assert not (tmp_path / "executed").exists()
