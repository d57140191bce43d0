"""gpu4pyscf: what can be seen without a GPU, and one calculation where there is one."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest
from pyscf.dft import libxc as pyscf_libxc

import xcnet
from tests.densities import closed_shell, random_densities
from tests.folders import MODELS
from xcnet import density, engine, registry, variables
from xcnet.adapters import gpu4pyscf, pyscf
from xcnet.adapters.pyscf.facade import StandIn
from xcnet.errors import MissingPackageError, UnsupportedError
from xcnet.spec import FunctionalSpec, load_spec

HAS_GPU = importlib.util.find_spec("gpu4pyscf") is not None


@pytest.fixture(autouse=True)
def clones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XCNET_MODEL_PATH", str(MODELS))


def spec_of(name: str) -> FunctionalSpec:
    spec = registry.find(name).spec
    assert spec is not None
    return spec


@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_graphs_run_where_arrays_lie(order: int) -> None:
    """Bound by address, on the CPU here; also arrays that are not contiguous."""
    spec = load_spec(MODELS / "mgga_x_tpss_clone")
    inputs = {name: random_densities(40, seed=1)[name] for name in spec.variables}
    given, _, _ = density.clamp(inputs, spec.thresholds, spec.enforce_fhc)
    wanted = engine.run_session(spec, order, given)
    strided = {name: np.asfortranarray(values) for name, values in given.items()}
    results = engine.run_in_place(spec, order, strided)
    assert list(results) == list(wanted)
    for label, values in results.items():
        np.testing.assert_array_equal(values, wanted[label], err_msg=label)


@pytest.mark.parametrize("spin", [0, 1])
@pytest.mark.parametrize("name", ["Slater_clone", "PBE_clone", "TPSS_clone_x"])
def test_values_as_gpu4pyscf_reads_them(
    name: str, spin: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu4pyscf, "CHUNK", 17)
    polarized = random_densities(50, seed=2)
    inputs = polarized if spin else closed_shell(polarized)[0]
    spec = spec_of(name)
    given = {key: inputs[key] if spin else inputs[key].ravel() for key in spec.variables}
    results = gpu4pyscf.DeviceFunctional(spec, spin).compute(given, do_fxc=True, do_kxc=True)
    wanted = xcnet.functional(name, spin + 1).compute(inputs, do_fxc=True, do_kxc=True)
    for label, values in wanted.items():
        np.testing.assert_allclose(results[label], values, rtol=1e-12, atol=0, err_msg=label)
    extra = {label for label in results if label not in wanted}
    every = variables.family_variables("mgga", laplacian=True)
    laplacian = {x for x in variables.requested_labels(every, [True] * 4) if "lapl" in x}
    assert extra == (laplacian if spec.family == "mgga" else set())
    assert not any(results[label].any() for label in extra)
    assert all(len(results[label]) == 50 for label in extra)


def test_parts_of_an_expression() -> None:
    libxc = StandIn(pyscf_libxc)
    asked: list[Any] = []

    def others(rest: str, spin: int) -> list[tuple[Any, float]]:
        asked.append((rest, spin))
        return [("libxc's", 0.5)]

    plan = libxc.plan("0.2*HF + 0.3*TPSS_clone_x + 0.5*PBE,")
    assert plan is not None
    (own, weight), other = gpu4pyscf.functionals(plan, 1, others)
    assert (own.on_gpu, weight, other) == (True, 0.3, ("libxc's", 0.5))
    assert asked == [("0.2*HF+0.5*101", 1)]
    plan = libxc.plan("0.2*HF + 0.8*TPSS_clone_x")
    assert plan is not None
    assert len(gpu4pyscf.functionals(plan, 1, others)) == 1


def test_nonlocal_functionals_are_refused(published: object) -> None:
    plan = StandIn(pyscf_libxc).plan("NN-NRA-Nagai2020")
    assert plan is not None
    with pytest.raises(UnsupportedError, match="gpu4pyscf"):
        gpu4pyscf.functionals(plan, 0, lambda rest, spin: [])


@pytest.mark.skipif(HAS_GPU, reason="gpu4pyscf is installed")
def test_without_gpu4pyscf() -> None:
    with pytest.raises(MissingPackageError, match="gpu4pyscf"):
        gpu4pyscf.install()


@pytest.mark.skipif(not HAS_GPU, reason="gpu4pyscf is not installed")
def test_energy_on_the_gpu() -> None:
    from gpu4pyscf.dft import numint
    from pyscf import dft, gto

    molecule = gto.M(atom="N 0 0 0; N 0 0 1.1", basis="6-31g", verbose=0)
    before = dict(vars(numint.LibXCMixin)), dict(vars(numint.NumInt))
    pyscf.install()
    gpu4pyscf.install()
    try:
        for xc in ("PBE_clone", "0.25*HF + 0.75*TPSS_clone_x, PBE"):
            mf = dft.RKS(molecule, xc=xc)
            assert mf.to_gpu().kernel() == pytest.approx(mf.kernel(), abs=1e-8)
    finally:
        gpu4pyscf.uninstall()
        pyscf.uninstall()
    assert (dict(vars(numint.LibXCMixin)), dict(vars(numint.NumInt))) == before
