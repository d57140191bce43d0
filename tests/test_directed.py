"""r2SCAN and LYP in torch against libxc's, and functionals of few directions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from pyscf import dft, gto
from torch import Tensor

import xcnet
from xcnet.adapters import pyscf as adapter
from xcnet.sample import Scales, closed_shell, moderate, sample
from xcnet.spec import load_spec
from xcnet.training.form import lyp, r2scan
from xcnet.training.form.directed import DIRECTIONS, Directed, closed_shell_parts, parts

INPUTS = ("rho", "sigma", "tau")
POINTS = (moderate(INPUTS, 1000), sample(INPUTS, 1000, seed=3))
NUMBERS = {"LYP": 0.94, "LYP, 0": -0.04}
MODELS = Path(__file__).parents[1] / "models"
SHIPPED, NEAR = (load_spec(MODELS / f"mgga_xc_nn_{name}_3mol") for name in ("metagga", "nra"))


def _exchange(rho: Tensor, sigma: Tensor, tau: Tensor) -> Tensor:
    spins = (r2scan.r2scan_x(rho[:, i], sigma[:, 2 * i], tau[:, i]) for i in range(2))
    return sum(spins, torch.zeros(1)) / rho.sum(1)


def _correlation(rho: Tensor, sigma: Tensor, tau: Tensor) -> Tensor:
    total = sigma[:, 0] + 2.0 * sigma[:, 1] + sigma[:, 2]
    return r2scan.r2scan_c(rho.sum(1), total, tau.sum(1), r2scan.spins(rho[:, 0], rho[:, 1]))


def _lyp(rho: Tensor, sigma: Tensor) -> Tensor:
    return lyp.lyp_c(rho[:, 0], rho[:, 1], sigma)


def _with_slopes(
    energy: Callable[..., Tensor], points: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Energy per particle and first derivatives of the energy density."""
    inputs = {key: torch.from_numpy(value).requires_grad_() for key, value in points.items()}
    exc = energy(**inputs)
    slopes = torch.autograd.grad((exc * inputs["rho"].sum(1)).sum(), list(inputs.values()))
    values = {f"v{key}": slope.numpy() for key, slope in zip(inputs, slopes, strict=True)}
    return {"zk": exc[:, None].detach().numpy(), **values}


def _differences(
    points: dict[str, np.ndarray], given: dict[str, np.ndarray], wanted: dict[str, np.ndarray]
) -> np.ndarray:
    """Largest relative difference of each point."""
    scales = Scales(points, wanted["zk"])
    worst = np.zeros(len(points["rho"]))
    for label, values in given.items():
        for c in range(values.shape[1]):
            expected = wanted[label][:, c]
            worst = np.maximum(
                worst, np.abs(values[:, c] - expected) / scales.of(label, c, expected)
            )
    return worst


def _libxc(name: str, points: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    functional = xcnet.functional(name, "polarized" if points["rho"].shape[1] == 2 else 1)
    functional.set_fhc_enforcement(False)
    return functional.compute(points)


@pytest.mark.parametrize(
    ("name", "energy"),
    [("mgga_x_r2scan", _exchange), ("mgga_c_r2scan", _correlation), ("gga_c_lyp", _lyp)],
)
@pytest.mark.parametrize("points", POINTS, ids=("moderate", "all"))
def test_equals_libxc(
    name: str, energy: Callable[..., Tensor], points: dict[str, np.ndarray]
) -> None:
    """Also where a channel is nearly empty, but for digits that libxc's own terms cancel there."""
    some = {key: points[key] for key in INPUTS[: 2 if name == "gga_c_lyp" else 3]}
    share = points["rho"].min(axis=1) / points["rho"].sum(axis=1)
    present = share > 1e-3
    worst = _differences(some, _with_slopes(energy, some), _libxc(name, some))
    assert worst[present].max() < 1e-12
    filled = points["rho"].min(axis=1) > 1e-10  # near its threshold libxc leaves channels out
    assert (worst <= 1e-12 + 1e-14 / share)[filled].all()


def test_lyp_of_closed_shells_equals_libxc() -> None:
    points, _ = closed_shell({key: POINTS[0][key] for key in INPUTS[:2]})
    given = lyp.lyp_c_closed_shell(*(torch.from_numpy(x[:, 0]) for x in points.values()))
    wanted = _libxc("gga_c_lyp", points)["zk"][:, 0]
    ratio = np.abs(given.numpy() - wanted) / np.maximum(np.abs(wanted), 1e-3)
    assert ratio.max() < 1e-12


def test_one_spin_alone_has_no_lyp_correlation() -> None:
    """To the last digit, with finite slopes."""
    points = {key: points[:, :].copy() for key, points in POINTS[0].items() if key != "tau"}
    points["rho"][:, 1], points["sigma"][:, 1:] = 0.0, 0.0
    values = _with_slopes(_lyp, points)
    assert not values["zk"].any()
    assert all(np.isfinite(value).all() for value in values.values())


def _libxc_parts(points: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    """r2SCAN's exchange and correlation, and LYP's, per particle; and 1 - zeta^2."""
    gga = {key: points[key] for key in INPUTS[:2]}
    exchange, own = (_libxc(f"mgga_{part}_r2scan", points)["zk"][:, 0] for part in "xc")
    rho = points["rho"]
    zeta = (rho[:, 0] - rho[:, 1]) / rho.sum(1) if rho.shape[1] == 2 else np.zeros(len(rho))
    return exchange, own, _libxc("gga_c_lyp", gga)["zk"][:, 0], 1.0 - zeta**2


def test_shipped_functional_is_what_its_numbers_say() -> None:
    spins = POINTS[0]
    totals, _ = closed_shell(spins)
    first, second = SHIPPED.training["metrics"]["numbers"].values()
    for spin, points in ((2, spins), (1, totals)):
        exchange, own, lyp_c, paired = _libxc_parts(points)
        expected = exchange + own + (first + second * paired) * (lyp_c - own)
        given = xcnet.functional("NN-metaGGA-3mol", spin).compute(points)["zk"][:, 0]
        np.testing.assert_allclose(given, expected, rtol=1e-12, atol=1e-13)


def test_shipped_functional_with_the_near_region_is_what_its_numbers_say() -> None:
    spins = moderate(NEAR.variables, 1000, descriptors=NEAR.descriptors)
    totals, _ = closed_shell(spins)
    first, second = NEAR.training["metrics"]["numbers"].values()
    for spin, points in ((2, spins), (1, totals)):
        semilocal = {key: points[key] for key in INPUTS}
        exchange, own, lyp_c, paired = _libxc_parts(semilocal)
        n, sigma, tau = (_total(x) for x in semilocal.values())
        channels = points["rho"] if spin == 2 else 0.5 * points["rho"].repeat(2, axis=1)
        uniform = 0.3 * (6.0 * np.pi**2) ** (2.0 / 3.0) * (channels ** (5.0 / 3.0)).sum(1)
        alpha = np.maximum(tau - sigma / (8.0 * n), 0.0) / uniform
        ratio = points["near_region"][:, 0] / (8.0 * np.pi * 0.2**3 * n)
        contrast = (ratio**2 - 1.0) / (ratio**2 + 1.0)
        change = first * (lyp_c - own) + second * own * paired * alpha / (1.0 + alpha) * contrast
        given = xcnet.functional("NN-NRA-3mol", spin).compute(points)["zk"][:, 0]
        np.testing.assert_allclose(given, exchange + own + change, rtol=1e-12, atol=1e-12)


def _total(values: np.ndarray) -> np.ndarray:
    """Of both spins."""
    if values.shape[1] == 3:
        return np.asarray(values @ [1.0, 2.0, 1.0])
    return np.asarray(values.sum(1))


def test_closed_shells_are_equal_spins() -> None:
    totals, spins = closed_shell(moderate(NEAR.variables, 1000, descriptors=NEAR.descriptors))
    module = Directed(tuple(DIRECTIONS), (0.3, 0.5, -0.2, 0.4, 0.1, -0.1, 0.2, -0.2, 0.3))
    closed = module.closed_shell(**{key: torch.from_numpy(x) for key, x in totals.items()})
    polarized = module(**{key: torch.from_numpy(x) for key, x in spins.items()})
    np.testing.assert_allclose(closed, polarized, rtol=1e-12)
    one, other = (
        of(*(torch.from_numpy(x) for x in points.values()))
        for of, points in ((closed_shell_parts, totals), (parts, spins))
    )
    for name, direction in DIRECTIONS.items():
        np.testing.assert_allclose(
            direction(one), direction(other), rtol=1e-11, atol=1e-13, err_msg=name
        )


def test_near_region_directions_need_the_near_region() -> None:
    points = [torch.from_numpy(x) for x in POINTS[0].values()]
    with pytest.raises(ValueError, match="needs the near-region density"):
        Directed(["correlation v"], [0.1])(*points)


def test_hydrogen_is_r2scans() -> None:
    molecule = gto.M(atom="H", basis="def2-svp", spin=1, verbose=0)
    energies = [
        adapter.attach(dft.UKS(molecule, xc=name)).set(conv_tol=1e-10).kernel()
        for name in ("NN-metaGGA-3mol", "NN-NRA-3mol", "r2SCAN")
    ]
    assert energies[:2] == pytest.approx([energies[2]] * 2, abs=1e-6)
