"""`compute` given what no program should give it: never a changed input, never a silent NaN."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from typing import Any

import numpy as np
import pytest

import xcnet
from tests.densities import random_densities
from tests.folders import MODELS
from xcnet.density import Array
from xcnet.errors import ArgumentTypeError, InputError, MissingInputError

CLONE = "gga_xc_pbe_clone"


@pytest.fixture(autouse=True)
def _clones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XCNET_MODEL_PATH", str(MODELS))


def inputs(points: int = 40) -> dict[str, Array]:
    return {name: random_densities(points)[name] for name in ("rho", "sigma")}


@pytest.mark.parametrize("name", [CLONE, "PBE"])
@pytest.mark.parametrize("label", ["vrho", "vsigma"])
def test_output_over_an_input(name: str, label: str) -> None:
    given = inputs()
    kept = {key: value.copy() for key, value in given.items()}
    source = {"vrho": "rho", "vsigma": "sigma"}[label]
    with pytest.raises(InputError, match=f"{label!r} shares memory with {source!r}"):
        xcnet.functional(name, "polarized").compute(given, output={label: given[source]})
    for key, value in kept.items():
        np.testing.assert_array_equal(given[key], value)


def test_outputs_over_each_other() -> None:
    memory = np.zeros(200)
    output = {"zk": memory[:40], "vrho": memory[20:100]}
    with pytest.raises(InputError, match="'vrho' shares memory with 'zk'"):
        xcnet.functional(CLONE, "polarized").compute(inputs(), output=output)


def test_neighbours_in_one_array_are_fine() -> None:
    memory = np.full(200, np.nan)
    given = inputs()
    functional = xcnet.functional(CLONE, "polarized")
    results = functional.compute(given, output={"zk": memory[:40], "vrho": memory[40:120]})
    expected = functional.compute(given)
    np.testing.assert_array_equal(results["vrho"].ravel(), expected["vrho"].ravel())
    np.testing.assert_array_equal(memory[40:120], expected["vrho"].ravel())
    assert np.isnan(memory[120:]).all()


def _views(given: dict[str, Array]) -> dict[str, dict[str, Any]]:
    rows = len(given["rho"])
    broadcast = {k: np.broadcast_to(v[:1], (rows, v.shape[1])) for k, v in given.items()}
    return {
        "backwards": {k: v[::-1] for k, v in given.items()},
        "one point for all": broadcast,
        "columns of a larger array": {
            k: np.tile(v, (1, 3))[:, : v.shape[1]] for k, v in given.items()
        },
        "single precision": {k: v.astype(np.float32) for k, v in given.items()},
        "unaligned": {k: _unaligned(v) for k, v in given.items()},
    }


def _unaligned(array: Array) -> Array:
    memory = np.zeros(array.nbytes + 1, dtype=np.uint8)
    result = memory[1:].view(np.float64).reshape(array.shape)
    result[...] = array
    return result


@pytest.mark.parametrize("view", list(_views(inputs(2))))
def test_any_layout(view: str) -> None:
    given = _views(inputs())[view]
    kept = {key: np.array(value) for key, value in given.items()}
    functional = xcnet.functional(CLONE, "polarized")
    results = functional.compute(given, do_fxc=True)
    plain = {key: np.ascontiguousarray(value, dtype=np.float64) for key, value in kept.items()}
    for label, values in functional.compute(plain, do_fxc=True).items():
        np.testing.assert_array_equal(results[label], values)
    for key, value in kept.items():
        np.testing.assert_array_equal(np.array(given[key]), value)


@pytest.mark.parametrize(
    "wrong",
    [
        np.ones((40, 2), dtype=complex),
        np.full((40, 2), "0.3"),
        np.full((40, 2), None),
        [[0.1, 0.2], [0.3]],
        np.ma.masked_greater(np.full((40, 2), 0.3), 0.2),
        np.zeros((40, 2), dtype="datetime64[s]"),
    ],
    ids=["complex", "text", "objects", "ragged", "masked", "times"],
)
def test_no_numbers(wrong: Any) -> None:
    with pytest.raises(ArgumentTypeError, match="'rho'"):
        xcnet.functional(CLONE, "polarized").compute({**inputs(), "rho": wrong})


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e400])
@pytest.mark.parametrize("label", ["rho", "sigma"])
def test_not_finite(label: str, value: float) -> None:
    given = inputs()
    given[label][7, 1] = value
    with pytest.raises(InputError, match=f"{label!r}.*point 7"):
        xcnet.functional(CLONE, "polarized").compute(given)


def test_scalars_and_nothing() -> None:
    functional = xcnet.functional(CLONE)
    assert functional.compute({"rho": 0.3, "sigma": 0.1})["zk"].shape == (1, 1)
    for label, values in functional.compute({"rho": [], "sigma": []}).items():
        assert values.shape == (0, 1), label


@pytest.mark.parametrize("threads", [1, 4])
def test_interrupt_in_the_middle(threads: int) -> None:
    """Ctrl-C is answered soon, and the functional goes on to work."""
    code = textwrap.dedent(f"""
        import time
        import numpy as np
        import xcnet

        xcnet.set_num_threads({threads})
        functional = xcnet.functional("{CLONE}")
        rho, sigma = np.full(20_000_000, 0.3), np.full(20_000_000, 0.1)
        before = functional.compute({{"rho": rho[:10], "sigma": sigma[:10]}}, do_fxc=True)
        try:
            print("ready", flush=True)
            functional.compute({{"rho": rho, "sigma": sigma}}, do_fxc=True)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        after = functional.compute({{"rho": rho[:10], "sigma": sigma[:10]}}, do_fxc=True)
        assert all(np.array_equal(before[k], after[k]) for k in before)
        assert (rho == 0.3).all() and (sigma == 0.1).all()
        print("well")
    """)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=300)
    assert rest.split() == ["interrupted", "well"], errors
    assert not errors


def test_pickled_while_in_use() -> None:
    """A copy for another process takes nothing of this one's sessions."""
    import pickle

    functional = xcnet.functional(CLONE, "polarized")
    results = functional.compute(inputs())
    copy = pickle.loads(pickle.dumps(functional))
    assert len(pickle.dumps(functional)) < 1000
    np.testing.assert_array_equal(copy.compute(inputs())["vrho"], results["vrho"])


# -- orders and forms of call ----------------------------------------------------------------------


def _meta(points: int = 5) -> dict[str, Array]:
    return {name: random_densities(points)[name] for name in ("rho", "sigma", "tau")}


@pytest.mark.parametrize("name", ["mgga_x_tpss_clone", "TPSS", "0.5*TPSS + 0.5*mgga_x_tpss_clone"])
@pytest.mark.parametrize("label", ["rho", "sigma", "tau"])
def test_spins_first_are_refused(name: str, label: str) -> None:
    given = _meta()
    width = given[label].shape[1]
    with pytest.raises(InputError, match=rf"{label!r} of shape \({width}, 5\).*{label}\.T"):
        xcnet.functional(name, "polarized").compute({**given, label: given[label].T})


def test_two_points_are_told_by_the_gradients() -> None:
    """(2, 2) may be either; (3, 2) may not."""
    given = inputs(2)
    with pytest.raises(InputError, match=r"'sigma' of shape \(3, 2\)"):
        xcnet.functional(CLONE, "polarized").compute({k: v.T for k, v in given.items()})


def test_rows_of_pyscf_are_refused() -> None:
    rows = np.random.default_rng(1).uniform(0.1, 0.2, (2, 4, 7))
    with pytest.raises(InputError, match=r"'rho' of shape \(2, 4, 7\)"):
        xcnet.functional("Slater_clone", "polarized").compute(rows)
    with pytest.raises(MissingInputError, match=r"sigma=\(rho\[1:4\] \*\* 2\).sum\(axis=0\)"):
        xcnet.functional(CLONE).compute(rows[0])


def test_row_of_points_without_spin_is_no_matter_of_order() -> None:
    functional = xcnet.functional("Slater_clone")
    rho = np.linspace(0.1, 0.5, 6)
    for shape in ((1, 6), (2, 3), (6, 1)):
        np.testing.assert_array_equal(
            functional.compute(rho.reshape(shape))["zk"], functional.compute(rho)["zk"]
        )


def test_sizes_of_the_other_spin() -> None:
    with pytest.raises(InputError, match="All sizes fit spin='polarized'"):
        xcnet.functional(CLONE).compute(inputs())


def test_forms_of_call_agree() -> None:
    given = _meta()
    rho, sigma, tau = given.values()
    functional = xcnet.functional("mgga_x_tpss_clone", "polarized")
    expected = functional.compute(given, do_fxc=True)
    lapl = np.zeros_like(rho)
    for result in (
        functional.compute(rho, sigma, tau, do_fxc=True),
        functional.compute(rho, sigma, lapl, tau, True),
        functional.compute(rho, sigma, None, tau, True),
        functional.compute(rho=rho, sigma=sigma, tau=tau, do_fxc=True),
        functional.compute(rho, sigma, tau=tau, do_fxc=True),
        functional.compute({"rho": rho, "sigma": sigma}, tau=tau, do_fxc=True),
    ):
        assert result.keys() == expected.keys()
        for label, values in expected.items():
            np.testing.assert_array_equal(result[label], values)


def test_laplacian_in_its_place() -> None:
    densities = random_densities(5)
    functional = xcnet.functional("MGGA_X_BR89", "polarized")
    rho, sigma, lapl, tau = (densities[name] for name in ("rho", "sigma", "lapl", "tau"))
    named = {"rho": rho, "sigma": sigma, "lapl": lapl, "tau": tau}
    expected = functional.compute(named, do_exc=False)
    results = functional.compute(rho, sigma, lapl, tau)
    np.testing.assert_array_equal(results["vrho"], expected["vrho"])


def test_variables_given_twice() -> None:
    rho, sigma, tau = _meta().values()
    functional = xcnet.functional("mgga_x_tpss_clone", "polarized")
    with pytest.raises(ArgumentTypeError, match="sigma is given twice"):
        functional.compute(rho, sigma, tau, sigma=sigma)
    with pytest.raises(ArgumentTypeError, match="lapl is given twice"):
        functional.compute(rho, sigma, rho, tau, lapl=rho)


def test_arrays_after_a_mapping() -> None:
    given = inputs()
    functional = xcnet.functional(CLONE, "polarized")
    for places in ((given["sigma"],), (None, given["sigma"]), (None, True, given["sigma"])):
        with pytest.raises(ArgumentTypeError, match="no array belongs in place"):
            functional.compute(given, *places)


def test_nothing_given() -> None:
    with pytest.raises(MissingInputError, match=r"lacks 'rho'; it needs rho, sigma"):
        xcnet.functional(CLONE).compute()
