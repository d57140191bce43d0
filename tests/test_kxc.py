"""Third derivatives: against libxc for the clones, in PySCF, and what they cost."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pyscf import dft, gto
from pyscf.dft import numint

import xcnet
from tests.clones import CLONES, Clone
from tests.densities import closed_shell, random_densities
from tests.folders import MODELS
from xcnet import graphs, registry, variables
from xcnet.adapters import pyscf as adapter
from xcnet.catalogue import collections
from xcnet.graphs import model
from xcnet.spec import FunctionalSpec

NAMES = collections()["nagai2020"].names

Array = npt.NDArray[np.float64]

SPINS = {"polarized": 2, "unpolarized": 1}
WATER = "O 0 0 0.119262; H 0 0.763239 -0.477047; H 0 -0.763239 -0.477047"


@pytest.fixture(autouse=True)
def clones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XCNET_MODEL_PATH", str(MODELS))


@pytest.fixture
def installed() -> Iterator[None]:
    adapter.install()
    yield
    adapter.uninstall()


def unit(inputs: dict[str, Array], factors: tuple[tuple[str, int], ...]) -> Array:
    """Product of the variables that a derivative is taken by, (N,); sigma_ab by its bound."""
    result = np.ones(len(inputs["rho"]))
    for name, i in factors:
        values = inputs[name]
        middle = name == "sigma" and values.shape[1] == 3 and i == 1
        result *= np.sqrt(values[:, 0] * values[:, 2]) if middle else np.abs(values[:, i])
    return result


@pytest.mark.parametrize("spin", SPINS)
@pytest.mark.parametrize("clone", CLONES, ids=lambda clone: clone.name)
def test_clones_equal_libxc(clone: Clone, spin: str) -> None:
    inputs = random_densities(300, seed=8)
    if spin == "unpolarized":
        inputs = closed_shell(inputs)[0]
    given = xcnet.functional(clone.name, spin).compute(inputs, do_kxc=True)
    wanted = xcnet.functional(" + ".join(clone.libxc), spin).compute(inputs, do_kxc=True)
    energy = np.abs(wanted["zk"][:, 0] * inputs["rho"].sum(axis=1))
    labels = [label for label in given if label.startswith("v3")]
    assert labels == list(variables.labels(variables.family_variables(clone.family), 3))
    for label in labels:
        for c, factors in enumerate(variables.components(label, SPINS[spin])):
            scale = np.maximum(np.abs(wanted[label][:, c]) * unit(inputs, factors), energy)
            difference = np.abs(given[label][:, c] - wanted[label][:, c]) * unit(inputs, factors)
            assert np.all(difference <= 1e-10 * scale), (label, c)


@pytest.mark.parametrize("spin", [0, 1])
@pytest.mark.parametrize(
    ("xc", "libxc"),
    [
        ("Slater_clone", "LDA,"),
        ("PBE_clone", "PBE,PBE"),
        ("TPSS_clone_x + .5*PBE_clone_c + .2*HF", ".2*HF + TPSS, + .5*PBE"),
    ],
)
@pytest.mark.usefixtures("installed")
def test_pyscf_gets_libxc_values(xc: str, libxc: str, spin: int) -> None:
    ni = numint.NumInt()
    kind = ni._xc_type(libxc)
    inputs = random_densities(200, seed=5)
    rng = np.random.default_rng(1)
    gradient = rng.normal(size=(2, 3, 200))
    gradient *= np.sqrt(inputs["sigma"][:, ::2].T / (gradient**2).sum(axis=1))[:, None]
    rows = np.concatenate([inputs["rho"].T[:, None], gradient, inputs["tau"].T[:, None]], axis=1)
    rho = rows[:, : {"LDA": 1, "GGA": 4, "MGGA": 5}[kind]]
    rho = rho if spin else rho[0] * 2
    rho = rho[..., 0, :] if kind == "LDA" else rho
    given = ni.eval_xc_eff(xc, rho, deriv=3)[3]
    wanted = ni.eval_xc_eff(libxc, rho, deriv=3)[3]
    np.testing.assert_allclose(given, wanted, rtol=1e-9, atol=1e-9 * np.abs(wanted).mean())
    given, wanted = (ni.libxc.eval_xc(name, rho, spin, deriv=3)[3] for name in (xc, libxc))
    for one, other in zip(given, wanted, strict=True):
        if one is not None:
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9 * np.abs(other).mean())


@pytest.mark.parametrize(("method", "libxc"), [(dft.RKS, "TPSS"), (dft.UKS, "PBE")])
@pytest.mark.usefixtures("installed")
def test_gradient_of_an_excited_state(method: Any, libxc: str) -> None:
    molecule = gto.M(atom=WATER, basis="sto-3g", verbose=0)
    gradients = []
    for xc in (f"{libxc}_clone", libxc):
        mf = method(molecule, xc=xc)
        mf.grids.level = 1
        excited = mf.run(conv_tol=1e-12).TDA().run(nstates=2, conv_tol=1e-9)
        gradients.append(excited.nuc_grad_method().kernel(state=1))
    np.testing.assert_allclose(gradients[0], gradients[1], atol=1e-8)


def arithmetic(spec: FunctionalSpec, order: str) -> int:
    """Results per point of a polarized graph; each of a matrix product by the length of its sum."""
    graph = model.read(graphs.verify(spec, order))
    values = graphs.walk(graph)
    return sum(
        values[output].width
        * (values[node.inputs[0]].shape[-1] if node.operator in ("MatMul", "Gemm") else 1)
        for node in graph.nodes
        for output in node.outputs
    )


@pytest.mark.parametrize("name", ["NN-r2SCAN", "NN-metaGGA", "NN-NRA", *NAMES])
def test_each_order_takes_at_most_five_times_the_one_before(
    name: str, request: pytest.FixtureRequest
) -> None:
    if name in NAMES:
        request.getfixturevalue("published")
    spec = registry.find(name).spec
    assert spec is not None
    taken = [arithmetic(spec, order) for order in variables.ORDERS[: spec.highest_order + 1]]
    for lower, higher in pairwise(taken):
        assert lower < higher <= 5 * lower


def test_models_are_small() -> None:
    for folder in (
        *MODELS.iterdir(),
        Path(xcnet.__file__).parent.parent / "models" / "mgga_xc_nn_r2scan",
    ):
        assert sum(f.stat().st_size for f in folder.iterdir()) < 2e6, folder.name
