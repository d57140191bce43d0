"""r2SCAN, changed along a few directions by a number each: there is no network in it.

None of the directions changes one electron alone, where zeta is 1 and alpha is 0:

    exchange   r2SCAN's exchange beyond the uniform gas, times (1 - zeta^2) alpha / (1 + alpha)
    LYP        LYP's correlation instead of r2SCAN's
    LYP, 0     the same times 1 - zeta^2: where spins are paired
    PBE, 0     PBE's correlation instead, times (1 - zeta^2) alpha / (1 + alpha)

Others, `NEAR_REGION_DIRECTIONS`, have the contrast v of the near-region density: each of these
times v, and r2SCAN's own correlation times (1 - zeta^2) v alpha / (1 + alpha).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from xcnet.training.form import lyp, r2scan
from xcnet.training.form.baselines import is_present, pbe_c, slater
from xcnet.training.form.features.correlation import NEAR_REGION
from xcnet.training.form.features.shares import UNIFORM, near_region_contrast

#: Spin densities at or below are an empty channel.
DENSITY_THRESHOLD = 1e-12


class EnergyParts(NamedTuple):
    """What directions are made of, all (N,): energies per particle, 1 - zeta^2 and alpha.

    ``exchange`` and ``correlation`` are r2SCAN's. ``contrast`` is the near-region density's, where
    one is given.
    """

    exchange: Tensor
    correlation: Tensor
    uniform: Tensor
    lyp: Tensor
    pbe: Tensor
    paired: Tensor
    alpha: Tensor
    contrast: Tensor | None

    @property
    def chemical(self) -> Tensor:
        """0 for one electron, up to 1 between closed shells."""
        return self.paired * self.alpha / (1.0 + self.alpha)

    def contrasted(self, energy: Tensor) -> Tensor:
        """An energy (N,) times the contrast."""
        if self.contrast is None:
            raise ValueError("this direction needs the near-region density")
        return energy * self.contrast


Direction = Callable[[EnergyParts], Tensor]
LOCAL_DIRECTIONS: Mapping[str, Direction] = {
    "exchange": lambda of: (of.exchange - of.uniform) * of.chemical,
    "LYP": lambda of: of.lyp - of.correlation,
    "LYP, 0": lambda of: (of.lyp - of.correlation) * of.paired,
    "PBE, 0": lambda of: (of.pbe - of.correlation) * of.chemical,
}


def _contrasted(direction: Direction) -> Direction:
    return lambda of: of.contrasted(direction(of))


NEAR_REGION_DIRECTIONS: Mapping[str, Direction] = {
    **{f"({name}) v": _contrasted(direction) for name, direction in LOCAL_DIRECTIONS.items()},
    "correlation v": lambda of: of.contrasted(of.correlation * of.chemical),
}
DIRECTIONS = {**LOCAL_DIRECTIONS, **NEAR_REGION_DIRECTIONS}


def parts(
    rho: Tensor, sigma: Tensor, tau: Tensor, near_region: Tensor | None = None
) -> EnergyParts:
    """Of rho (N, 2), sigma (N, 3), tau (N, 2), R (N, 1).

    An empty channel's density is not followed.
    """
    given = rho.sum(1)
    present = [is_present(rho[:, i], given, DENSITY_THRESHOLD) for i in range(2)]
    a, b = (torch.where(present[i], rho[:, i], DENSITY_THRESHOLD) for i in range(2))
    n, both = a + b, torch.stack([a, b], 1)
    total = sigma[:, 0] + 2.0 * sigma[:, 1] + sigma[:, 2]
    channels = (
        torch.where(present[i], r2scan.r2scan_x(x, sigma[:, 2 * i], tau[:, i]), 0.0)
        for i, x in enumerate((a, b))
    )
    uniform = UNIFORM * (a ** (5.0 / 3.0) + b ** (5.0 / 3.0))
    return EnergyParts(
        sum(channels, torch.zeros_like(n)) / n,
        r2scan.r2scan_c(n, total, tau.sum(1), r2scan.spins(a, b)),
        slater(both, DENSITY_THRESHOLD),
        lyp.lyp_c(a, b, sigma),
        pbe_c(both, sigma),
        4.0 * (a / n) * (b / n),
        _alpha(n, total, tau.sum(1), uniform),
        _contrast(n, near_region),
    )


def closed_shell_parts(
    rho: Tensor, sigma: Tensor, tau: Tensor, near_region: Tensor | None = None
) -> EnergyParts:
    """Of a closed shell's totals, all (N, 1)."""
    n, half = rho[:, 0], 0.5 * rho[:, 0]
    total, kinetic = sigma[:, 0], tau[:, 0]
    both, quarters = torch.stack([half, half], 1), 0.25 * sigma.expand(-1, 3)
    return EnergyParts(
        2.0 * r2scan.r2scan_x(half, 0.25 * total, 0.5 * kinetic) / n,
        r2scan.r2scan_c(n, total, kinetic, r2scan.paired(n)),
        slater(both),
        lyp.lyp_c_closed_shell(n, total),
        pbe_c(both, quarters),
        torch.ones_like(n),
        _alpha(n, total, kinetic, 2.0 * UNIFORM * half ** (5.0 / 3.0)),
        _contrast(n, near_region),
    )


def _alpha(n: Tensor, sigma: Tensor, tau: Tensor, uniform: Tensor) -> Tensor:
    return (tau - sigma / (8.0 * n)).clamp(min=0.0) / uniform


def _contrast(n: Tensor, near_region: Tensor | None) -> Tensor | None:
    if near_region is None:
        return None
    return near_region_contrast(n, near_region[:, 0], NEAR_REGION.sigma_bohr)


class Directed(nn.Module):
    """Functional of some directions.

    Parameters
    ----------
    names : sequence of str
        Among `DIRECTIONS`.
    numbers : sequence of float
        How far along each.
    """

    def __init__(self, names: Sequence[str], numbers: Sequence[float]) -> None:
        super().__init__()
        self.numbers = dict(zip(names, numbers, strict=True))

    def forward(
        self, rho: Tensor, sigma: Tensor, tau: Tensor, near_region: Tensor | None = None
    ) -> Tensor:
        """Energy per particle (N,), Hartree, of rho (N, 2), sigma (N, 3), tau (N, 2), R (N, 1)."""
        return self._energy(parts(rho, sigma, tau, near_region))

    def closed_shell(
        self, rho: Tensor, sigma: Tensor, tau: Tensor, near_region: Tensor | None = None
    ) -> Tensor:
        """The same of a closed shell's totals, all (N, 1)."""
        return self._energy(closed_shell_parts(rho, sigma, tau, near_region))

    def _energy(self, of: EnergyParts) -> Tensor:
        energy = of.exchange + of.correlation
        for name, number in self.numbers.items():
            energy = energy + number * DIRECTIONS[name](of)
        return energy
