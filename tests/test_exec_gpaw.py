"""GPAW, a program that nobody changed, with xcnet's functionals under ``xcnet exec``."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import xcnet
from tests.hosts import need
from tests.hosts import xcnet as command
from xcnet import variables

TESTS = Path(__file__).resolve().parent
EXAMPLES = TESTS.parent / "examples" / "gpaw"

KERNELS = (
    "LDA_XC_NN_LSDA_NAGAI2020",
    "GGA_XC_NN_GGA_NAGAI2020",
    "MGGA_XC_NN_METAGGA_NAGAI2020",
    "MGGA_XC_NN_R2SCAN",
)


@pytest.fixture(scope="module", autouse=True)
def gpaw() -> None:
    need("GPAW is not installed", shutil.which("gpaw") is not None)


@pytest.fixture(autouse=True)
def model_path(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XCNET_MODEL_PATH", f"{published}:{TESTS / 'models'}")


@cache
def energy(example: str, functional: str) -> float:
    """Energy in eV that an example prints."""
    done = command("exec", "--", "gpaw", "python", EXAMPLES / example, functional)
    assert done.returncode == 0, done.stderr
    assert "xcnet" not in done.stderr
    name, value, unit = done.stdout.split()
    assert (name, unit) == (functional, "eV")
    return float(value)


def test_gga_of_a_molecule() -> None:
    libxc = energy("hydrogen.py", "GGA_X_PBE+GGA_C_PBE")
    assert energy("hydrogen.py", "GGA_XC_PBE_CLONE") == pytest.approx(libxc, abs=2e-8)
    # GPAW has PBE built in too, with constants of fewer digits.
    assert energy("hydrogen.py", "PBE") == pytest.approx(libxc, abs=2e-5)


def test_meta_gga_of_a_crystal() -> None:
    libxc = energy("diamond.py", "MGGA_X_TPSS+MGGA_C_TPSS")
    assert energy("diamond.py", "MGGA_XC_TPSS_CLONE") == pytest.approx(libxc, abs=2e-8)


def test_stand_in_of_r2scan() -> None:
    libxc = energy("diamond.py", "MGGA_X_R2SCAN+MGGA_C_R2SCAN")
    assert energy("diamond.py", "MGGA_XC_NN_R2SCAN") == pytest.approx(libxc, abs=5e-3)


@pytest.mark.parametrize(
    ("example", "functional"),
    [
        ("hydrogen.py", "GGA_XC_NN_GGA_NAGAI2020"),
        ("diamond.py", "MGGA_XC_NN_METAGGA_NAGAI2020"),
    ],
)
def test_published_functionals_converge(example: str, functional: str) -> None:
    """GPAW ends with an error where they do not."""
    assert np.isfinite(energy(example, functional))


@pytest.mark.parametrize("spin", [1, 2])
def test_kernel_agrees_with_python(spin: int, tmp_path: Path) -> None:
    """GPAW's C code gets the same numbers as Python."""
    rng = np.random.default_rng(spin)
    rho = 10.0 ** rng.uniform(-6, 1, (spin, 500))
    tau = rho ** (5 / 3) * rng.uniform(1, 5, rho.shape)
    sigma = np.empty((2 * spin - 1, 500))
    sigma[::2] = 8 * rho * tau * rng.uniform(0, 1, rho.shape)
    if spin == variables.POLARIZED:
        sigma[1] = np.sqrt(sigma[0] * sigma[2]) * rng.uniform(-1, 1, 500)
    given, result = tmp_path / "in.npz", tmp_path / "out.npz"
    np.savez(given, rho=rho, sigma=sigma, tau=tau)
    script = TESTS / "gpaw_kernel.py"
    done = command("exec", "--", "gpaw", "python", script, given, result, *KERNELS)
    assert done.returncode == 0, done.stderr
    with np.load(result) as outputs:
        for name in KERNELS:
            inputs = {"rho": rho.T, "sigma": sigma.T, "tau": tau.T}
            expected = xcnet.functional(name, spin).compute(inputs)
            expected["energy"] = expected.pop("zk") * rho.sum(axis=0)[:, None]
            for label, wanted in expected.items():
                array = np.atleast_2d(outputs[f"{name} {label}"]).T
                np.testing.assert_allclose(array, wanted, rtol=1e-12, atol=1e-15)
