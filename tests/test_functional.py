"""Promises of `compute` for every neural functional that is registered or committed.

The laws that any functional obeys are measured by `xcnet check` (tests/test_check.py).
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import xcnet
from tests.densities import Array, closed_shell, random_densities
from tests.folders import MODELS, copy_folder
from xcnet import density, engine, paths, registry, threads, variables
from xcnet.errors import (
    ArgumentTypeError,
    DerivativeError,
    FunctionalKindError,
    InputError,
    MissingInputError,
    ModelError,
    SpinError,
    UnknownFunctionalError,
)
from xcnet.spec import RECORD

LOCAL = sorted(
    p.name
    for parent in (paths.models_folder(), MODELS)
    for p in parent.iterdir()
    if (p / RECORD).is_file()
)
PUBLISHED = [
    "lda_xc_nn_lsda_nagai2020",
    "gga_xc_nn_gga_nagai2020",
    "mgga_xc_nn_metagga_nagai2020",
    "mgga_xc_nn_nra_nagai2020",
]


@pytest.fixture(
    params=[*LOCAL, *(pytest.param(name, marks=pytest.mark.slow) for name in PUBLISHED)]
)
def name(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    folders = [str(MODELS)]
    if request.param in PUBLISHED:
        folders.append(str(request.getfixturevalue("nagai2020_models")))
    monkeypatch.setenv("XCNET_MODEL_PATH", os.pathsep.join(folders))
    return str(request.param)


@pytest.fixture
def clones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XCNET_MODEL_PATH", str(MODELS))


def inputs_of(name: str, points: int = 200, **options: float) -> dict[str, Array]:
    inputs = random_densities(points, **options)  # type: ignore[arg-type]
    rng = np.random.default_rng(5)
    inputs["near_region"] = inputs["rho"].sum(1, keepdims=True) * rng.uniform(
        0.05, 0.2, (points, 1)
    )
    needed = xcnet.functional(name, "polarized").inputs
    return {key: inputs[key] for key in needed}


# -- thresholds and empty channels ----------------------------------------------------------------


def close(a: Array, b: Array, rtol: float) -> bool:
    """Equal to rounding, measured against the largest value of each column."""
    return bool(np.all(abs(a - b) <= rtol * (abs(a).max(axis=0) + 1e-300)))


def test_below_the_threshold_everything_is_zero(name: str) -> None:
    functional = xcnet.functional(name, "polarized")
    threshold = registry.find(name).spec.thresholds.density  # type: ignore[union-attr]
    inputs = inputs_of(name, 6)
    inputs["rho"][0] = 0.0
    inputs["rho"][1] = -1e-3
    inputs["rho"][2] = 0.49 * threshold
    inputs["rho"][3] = [0.3, -0.4]
    result = functional.compute(inputs, do_fxc=True)
    for label, values in result.items():
        assert np.all(values[:4] == 0.0), label
        assert np.isfinite(values).all(), label
    assert np.all(result["zk"][4:] != 0.0)


def test_an_absent_spin_channel(name: str) -> None:
    """Exchange has no derivatives by its variables, and nothing has absurd ones."""
    functional = xcnet.functional(name, "polarized")
    inputs = inputs_of(name, 40, low=1e-2, high=1.0)
    for key, channel in (("rho", 1), ("sigma", 2), ("tau", 1)):
        if key in inputs:
            inputs[key][:, channel] = 0.0
    if "sigma" in inputs:
        inputs["sigma"][:, 1] = 0.0
    result = functional.compute(inputs, do_fxc=True)
    assert np.all(result["vrho"][:, 0] != 0.0)
    if functional.get_kind() == variables.KINDS["exchange"]:
        for label, values in result.items():
            assert np.all(values[:, variables.channel_columns(label, 1)] == 0.0), label
    if "tau" in inputs:
        assert abs(result["vtau"]).max() < 10.0


# -- chunks, threads, processes -----------------------------------------------------------------


@pytest.mark.parametrize("points", [0, 1, 3, 4095, 4097, 5000])
def test_any_number_of_points(name: str, points: int) -> None:
    functional = xcnet.functional(name, "polarized")
    inputs = inputs_of(name, 5000)
    whole = functional.compute(inputs)
    part = functional.compute({k: v[:points] for k, v in inputs.items()})
    for label, values in part.items():
        assert values.shape == (points, whole[label].shape[1])
        if points:
            assert close(whole[label][:points], values, 1e-13)


def test_results_do_not_depend_on_chunks_and_threads(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    functional = xcnet.functional(name, "polarized")
    inputs = inputs_of(name, 6001)
    reference = functional.compute(inputs)
    try:
        xcnet.set_num_threads(4)
        threaded = functional.compute(inputs)
    finally:
        xcnet.set_num_threads(None)
    monkeypatch.setattr(engine, "CHUNK", dict.fromkeys((1, 2), 333))
    chunked = functional.compute(inputs)
    for label, values in reference.items():
        assert np.array_equal(values, threaded[label])
        assert close(values, chunked[label], 1e-13)


def test_closed_shells_as_two_equal_spins(name: str) -> None:
    """Also where density or gradient lie at their floor, and where there is no density."""
    spec = registry.find(name).spec
    assert spec is not None
    floor = spec.thresholds.density
    rho = np.append(floor * 10.0 ** np.linspace(-1.0, 1.0, 201), [0.1, 1.0])[:, None]
    values = {"rho": rho, "sigma": 0.1 * rho ** (8 / 3), "tau": rho ** (5 / 3)}
    values["sigma"][-2:] = 0.0
    values |= {"lapl": rho ** (5 / 3), "near_region": 0.2 * rho}
    totals = {variable: values[variable] for variable in inputs_of(name, 1)}
    spins = density.spin_resolved(totals)
    whole = xcnet.functional(name).compute(totals, do_fxc=True)
    split = xcnet.functional(name, "polarized").compute(spins, do_fxc=True)
    assert not whole["zk"][rho < floor].any()
    for label, found in whole.items():
        folded = density.fold(label, split[label])
        np.testing.assert_allclose(found, folded, rtol=1e-9, atol=0.0, err_msg=label)


def test_closed_shells_with_lower_thresholds(name: str) -> None:
    """Below the record's own floor, which the functional's form may have built in."""
    rho = 10.0 ** np.linspace(-16.0, -11.0, 101)[:, None]
    values = {"rho": rho, "sigma": 0.1 * rho ** (8 / 3), "tau": rho ** (5 / 3)}
    values |= {"lapl": rho ** (5 / 3), "near_region": 0.2 * rho}
    totals = {variable: values[variable] for variable in inputs_of(name, 1)}
    one, two = (xcnet.functional(name, spin) for spin in (1, 2))
    for functional in (one, two):
        functional.set_dens_threshold(1e-20)
        functional.set_sigma_threshold(1e-30)
    given = one.compute(totals)
    for label, array in two.compute(density.spin_resolved(totals)).items():
        np.testing.assert_allclose(given[label], density.fold(label, array), rtol=1e-9)


def test_one_functional_from_many_threads(clones: None) -> None:
    functional = xcnet.functional("PBE_clone", "polarized")
    inputs = inputs_of("PBE_clone", 3000)
    reference = functional.compute(inputs, do_fxc=True)
    with ThreadPoolExecutor(16) as pool:
        results = pool.map(lambda _: functional.compute(inputs, do_fxc=True), range(48))
    for result in results:
        assert all(np.array_equal(values, reference[label]) for label, values in result.items())


def compute_in_child(inputs: dict[str, Array]) -> Array:
    xcnet.set_num_threads(2)
    return xcnet.functional("PBE_clone", "polarized").compute(inputs)["vrho"]


# Python warns of threads in a process that forks: that it works all the same is the promise.
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_use_after_fork(clones: None) -> None:
    inputs = inputs_of("PBE_clone", 6000)
    here = compute_in_child(inputs)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        for there in pool.map(compute_in_child, [inputs] * 4):
            assert np.array_equal(here, there)
    xcnet.set_num_threads(None)


def test_ten_million_points_in_bounded_memory(clones: None) -> None:
    code = (
        "import resource, numpy as np, xcnet\n"
        "f = xcnet.functional('lda_x_slater_clone')\n"
        "f.compute(np.full(10, 0.3))\n"
        "rho = np.full(10_000_000, 0.3)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "out = f.compute(rho)\n"
        "after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "assert np.ptp(out['vrho']) == 0.0\n"
        "print((after - before) * 1024 - sum(a.nbytes for a in out.values()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "XCNET_MODEL_PATH": str(MODELS)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) < 60e6


def test_pickling_keeps_settings(clones: None) -> None:
    functional = xcnet.functional("0.5*PBE_clone + 0.5*PBE", "polarized")
    functional.set_dens_threshold(0.05)
    inputs = inputs_of("PBE_clone")
    expected = functional.compute(inputs)
    again = pickle.loads(pickle.dumps(functional)).compute(inputs)
    for label, values in expected.items():
        assert np.array_equal(values, again[label])
    assert np.any(expected["zk"] == 0.0)


# -- mixtures -------------------------------------------------------------------------------------


@pytest.mark.parametrize("spin", ["unpolarized", "polarized"])
def test_mixture_is_the_weighted_sum(clones: None, spin: str) -> None:
    text = "0.3*TPSS_clone + 0.25*HF + 0.45*PBE + 0.1*lda_x_slater_clone"
    one, two = closed_shell(random_densities(300))
    inputs = one if spin == "unpolarized" else two
    mixed = xcnet.functional(text, spin)
    result = mixed.compute(inputs, do_fxc=True)
    parts = {
        "mgga_xc_tpss_clone": 0.3,
        "gga_x_pbe": 0.45,
        "gga_c_pbe": 0.45,
        "lda_x_slater_clone": 0.1,
    }
    single = {n: xcnet.functional(n, spin).compute(inputs, do_fxc=True) for n in parts}
    for label, values in result.items():
        expected = sum(w * single[n][label] for n, w in parts.items() if label in single[n])
        assert close(np.asarray(expected), values, 1e-12), label
    assert mixed.get_hyb_exx_coef() == 0.25
    assert mixed.get_family() == variables.FAMILY_HYB_MGGA
    assert ("gga_x_pbe", 0.45) in (mixed.aux_funcs() or [])


# -- the contract's facts for neural functionals -----------------------------------------------


def test_facts(clones: None) -> None:
    functional = xcnet.LibXCFunctional("XC_GGA_XC_PBE_CLONE", "Polarized")
    assert functional.get_number() == 190004
    assert functional.get_kind() == variables.KINDS["exchange-correlation"]
    assert functional.get_family() == variables.FAMILY_GGA
    assert functional._have_fxc
    assert not functional._have_lxc
    assert (functional.spin, functional.inputs) == (2, ("rho", "sigma"))
    assert functional.orders == ("exc", "vxc", "fxc", "kxc")
    assert functional.highest_order == 3
    assert functional.exact_exchange.alpha == 0.0
    hybrid = xcnet.functional("0.25*HF + 0.75*PBE_clone")
    assert (hybrid.spin, hybrid.exact_exchange.alpha) == (1, 0.25)
    assert functional._xc_func_name == "gga_xc_pbe_clone"
    lists = [getattr(functional, f"get_{x}")() for x in ("references", "bibtex", "doi", "key")]
    assert len({len(fact) for fact in lists}) == 1
    assert lists[0]
    assert "gga_xc_pbe_clone" in functional.describe()
    assert functional.xc_func_sizes["v2rhosigma"] == 6
    assert functional.aux_funcs() is None
    for method in ("get_hyb_exx_coef", "get_cam_coef", "get_vv10_coef"):
        with pytest.raises(FunctionalKindError, match="gga_xc_pbe_clone"):
            getattr(functional, method)()
    assert functional.get_ext_param_names() == []
    with pytest.raises(ValueError, match="no external parameters"):
        functional.set_ext_params([1.0])


def test_thresholds_of_a_neural_functional(clones: None) -> None:
    functional = xcnet.functional("TPSS_clone", "polarized")
    inputs = {k: v for k, v in random_densities(100).items() if k != "lapl"}
    functional.set_dens_threshold(1.0)
    empty = inputs["rho"].sum(1) < 1.0
    assert empty.any()
    result = functional.compute(inputs)
    assert np.array_equal(result["zk"][:, 0] == 0.0, empty)
    for method in ("set_dens_threshold", "set_zeta_threshold", "set_sigma_threshold"):
        with pytest.raises(ValueError, match="must be 0 or more"):
            getattr(functional, method)(-1.0)
    functional.set_tau_threshold(1e6)
    flat = functional.compute({**inputs, "tau": np.full((100, 2), 1e6)})
    assert np.array_equal(functional.compute(inputs)["zk"], flat["zk"])


def test_fermi_hole_curvature(clones: None) -> None:
    functional = xcnet.functional("TPSS_clone", "polarized")
    inputs = {k: v for k, v in random_densities(100).items() if k != "lapl"}
    inputs["tau"] = inputs["sigma"][:, ::2] / (16 * inputs["rho"])
    bounded = inputs["sigma"].copy()
    bounded[:, ::2] = 8 * inputs["rho"] * inputs["tau"]
    bounded[:, 1] = np.clip(bounded[:, 1], *(s * bounded[:, ::2].mean(1) for s in (-1, 1)))
    expected = functional.compute({**inputs, "sigma": bounded})
    functional.set_fhc_enforcement(True)
    assert np.allclose(functional.compute(inputs)["zk"], expected["zk"], rtol=1e-13, atol=0)


# -- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize("spin", ["Upolarized", 0, 3, None, "", 1.5])
def test_impossible_spin(clones: None, spin: object) -> None:
    with pytest.raises(SpinError, match="spin must be"):
        xcnet.functional("PBE_clone", spin)  # type: ignore[arg-type]


def test_wrong_types_of_names() -> None:
    for bad in (None, 1.5, ["PBE"], True):
        with pytest.raises(ArgumentTypeError):
            xcnet.functional(bad)  # type: ignore[arg-type]
    with pytest.raises(UnknownFunctionalError):
        xcnet.functional("no-such-functional")


def test_bad_arrays_are_named(clones: None) -> None:
    functional = xcnet.functional("TPSS_clone", "polarized")
    good = {k: v for k, v in random_densities(10).items() if k != "lapl"}
    with pytest.raises(MissingInputError, match="lacks 'tau'"):
        functional.compute({k: good[k] for k in ("rho", "sigma")})
    with pytest.raises(KeyError, match="lacks 'sigma'"):
        functional.compute(good["rho"])
    with pytest.raises(InputError, match="'sigma' has 20 elements, expected 30"):
        functional.compute({**good, "sigma": good["sigma"][:, :2]})
    with pytest.raises(InputError, match="not a multiple of 2"):
        functional.compute({**good, "rho": np.ones(7)})
    for value in (np.nan, np.inf):
        tau = good["tau"].copy()
        tau[7, 1] = value
        with pytest.raises(InputError, match=r"'tau' has 1 values .* at point 7"):
            functional.compute({**good, "tau": tau})
    with pytest.raises(ArgumentTypeError, match="'rho' is not an array"):
        functional.compute({**good, "rho": "abc"})
    with pytest.raises(TypeError, match="'rho' is not an array"):
        functional.compute({**good, "rho": good["rho"] * 1j})
    with pytest.raises(DerivativeError, match="does not have lxc"):
        functional.compute(good, do_lxc=True)


def test_laplacian_functional_needs_lapl() -> None:
    functional = xcnet.functional("mgga_x_br89", "polarized")
    inputs = random_densities(10)
    with pytest.raises(MissingInputError, match="lacks 'lapl'"):
        functional.compute(inputs["rho"], inputs["sigma"], inputs["tau"])
    positional = functional.compute(
        inputs["rho"], inputs["sigma"], inputs["tau"], lapl=inputs["lapl"]
    )
    assert np.array_equal(positional["vlapl"], functional.compute(inputs)["vlapl"])


def test_output_buffers(clones: None) -> None:
    functional = xcnet.functional("PBE_clone", "polarized")
    inputs = inputs_of("PBE_clone", 50)
    expected = functional.compute(inputs)
    buffers = {"zk": np.ones(50), "vsigma": np.full((50, 3), np.nan)}
    result = functional.compute(inputs, buffers)
    assert result["zk"] is buffers["zk"]
    assert np.array_equal(buffers["zk"], expected["zk"][:, 0])
    assert np.array_equal(buffers["vsigma"], expected["vsigma"])
    for wrong, says in (
        (np.ones(49), "49 elements, expected 50"),
        (np.ones(50, np.float32), "float64"),
        (np.ones((50, 2))[:, 0], "C-contiguous"),
    ):
        with pytest.raises(InputError, match=says):
            functional.compute(inputs, {"zk": wrong})


def test_nonlocal_functional_without_its_descriptor(
    nagai2020_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XCNET_MODEL_PATH", str(nagai2020_models))
    functional = xcnet.functional("NN-NRA-Nagai2020", "polarized")
    inputs = {k: v for k, v in random_densities(5).items() if k != "lapl"}
    with pytest.raises(MissingInputError, match="nonlocal"):
        functional.compute(inputs)


def test_altered_model_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = copy_folder(tmp_path, "gga_x_altered")
    monkeypatch.setenv("XCNET_MODEL_PATH", str(tmp_path))
    inputs = inputs_of("gga_x_altered", 5)
    functional = xcnet.functional("gga_x_altered", "polarized")
    functional.compute(inputs, do_vxc=False)
    graph = folder / "vxc.onnx"
    graph.write_bytes(graph.read_bytes() + b"\0")
    with pytest.raises(ModelError, match=r"vxc\.onnx is altered"):
        functional.compute(inputs)
    # What is loaded stays as it was verified.
    functional.compute(inputs, do_vxc=False)


def test_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XCNET_NUM_THREADS", "3")
    with threads.of_host(5):
        assert engine.num_threads() == 3
    monkeypatch.setenv("XCNET_NUM_THREADS", "many")
    with pytest.raises(InputError, match="many"):
        engine.num_threads()
    monkeypatch.delenv("XCNET_NUM_THREADS")
    monkeypatch.setenv("OMP_NUM_THREADS", "2,1")
    with threads.of_host(5):
        assert engine.num_threads() == 5
        xcnet.set_num_threads(4)
        assert engine.num_threads() == 4
        xcnet.set_num_threads(None)
    assert engine.num_threads() == 2
    with pytest.raises(InputError, match="positive"):
        xcnet.set_num_threads(0)
