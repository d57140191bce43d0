"""A meta-GGA of three factors that keep the exact bounds for any weights.

Exchange of each spin is Slater's energy density times a factor F of that spin's features, PW92's
correlation, divided into parts of equal and of opposite spins, has a factor G for each: the parts
and the features u and beta are those of `xcnet.training.linear.expansion`. A network N of the
features enters through the bounded step a(z) = (1 + z / sqrt(1 + z^2)) / 2,

    F = B(beta) a(N(u, beta) - N(0, 1/2) + z_F),    G = C a(N(u, beta) - N(0, 1/2) + z_G),

with z such that both are 1 in the uniform gas. So exchange is between zero and the Lieb-Oxford
bound of J. P. Perdew, A. Ruzsinszky, J. Sun, K. Burke, J. Chem. Phys. 140, 18A533 (2014),
doi:10.1063/1.4870763 (B = 1.174 where one orbital is, 1.804 at most), correlation is never
positive, and zero for one electron.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from xcnet.training.form.baselines import PW92_MODIFIED, WIGNER_SEITZ, is_present, pw92, pw92_fit
from xcnet.training.form.features.exchange import SLATER
from xcnet.training.form.features.shares import UNIFORM
from xcnet.training.form.networks.algebraic import AlgebraicPerceptron

PARTS = ("exchange", "equal", "opposite")
#: Spin densities at or below are an empty channel.
DENSITY_THRESHOLD = 1e-12
ONE_ORBITAL, LARGEST = 1.174, 1.804
#: Largest factor of correlation: room for all that molecules ask for.
CORRELATION = 3.0
FERMI = UNIFORM / 0.3  # squared Fermi wave number of one spin over rho^(2/3)
START = 0.3
#: Features of the uniform gas.
GAS = (0.0, 0.5)


class Factor(nn.Module):
    """Factor of one part, as a function of its features.

    Parameters
    ----------
    part : str
        One of `PARTS`.
    hidden : sequence of int
        Hidden widths of the network.
    generator : torch.Generator
        Source of the initial weights.
    """

    def __init__(self, part: str, hidden: Sequence[int], generator: torch.Generator) -> None:
        super().__init__()
        self.exchange = part == "exchange"
        self.network = AlgebraicPerceptron((2, *hidden, 1), generator)
        with torch.no_grad():  # nearly linear: wiggles come only where a fit asks for them
            for weights in self.network.parameters():
                weights.mul_(START)

    def forward(self, u: Tensor, beta: Tensor) -> Tensor:
        """Values (N,) at features (N,) and (N,)."""
        gas = torch.tensor([GAS], dtype=u.dtype)
        change = self.network(_inputs(u, beta)) - self.network(_inputs(gas[:, 0], gas[:, 1]))
        if self.exchange:
            return _largest(beta) * _step(change[:, 0] + _place(1.0 / AT_GAS))
        return CORRELATION * _step(change[:, 0] + _place(1.0 / CORRELATION))


def _inputs(u: Tensor, beta: Tensor) -> Tensor:
    return torch.stack([2.0 * u - 1.0, 2.0 * beta - 1.0], -1)


def _largest(beta: Tensor) -> Tensor:
    """Largest factor of exchange: rises from one orbital's bound, smoothly, to the general one."""
    rest = (1.0 - beta) * (1.0 - beta)
    return LARGEST - (LARGEST - ONE_ORBITAL) * (rest * rest)


AT_GAS = float(_largest(torch.tensor(GAS[1], dtype=torch.float64)))


def _step(z: Tensor) -> Tensor:
    return 0.5 + 0.5 * z / (1.0 + z * z).sqrt()


def _place(value: float) -> float:
    """Where the step has a value."""
    y = 2.0 * value - 1.0
    return y / math.sqrt(1.0 - y * y)


class Bounded(nn.Module):
    """Functional of three factors.

    Parameters
    ----------
    hidden : sequence of int
        Hidden widths of each network.
    seed : sequence of int
        Seed of the initial weights.
    exact_exchange : float
        Share of exchange that is exact, calculated beside this module by the host: exchange here is
        the rest.
    """

    def __init__(
        self, hidden: Sequence[int], seed: Sequence[int], exact_exchange: float = 0.0
    ) -> None:
        super().__init__()
        self.share = 1.0 - exact_exchange
        number = int(np.random.SeedSequence(seed).generate_state(1)[0])
        generator = torch.Generator().manual_seed(number)
        self.factors = nn.ModuleDict({part: Factor(part, hidden, generator) for part in PARTS})

    def forward(self, rho: Tensor, sigma: Tensor, tau: Tensor) -> Tensor:
        """Energy per particle (N,), Hartree, of rho (N, 2), sigma (N, 3), tau (N, 2)."""
        n = rho.sum(1)
        present = [is_present(rho[:, i], n, DENSITY_THRESHOLD) for i in range(2)]
        a, b = (torch.where(present[i], rho[:, i], DENSITY_THRESHOLD) for i in range(2))
        whole = sigma[:, 0] + 2.0 * sigma[:, 1] + sigma[:, 2]
        pure = [_pure(a), _pure(b)]
        gas = (a + b) * pw92(torch.stack([a, b], 1), PW92_MODIFIED)
        density = self._opposite(gas - pure[0] - pure[1], a, b, whole, tau.sum(1))
        for i, channel in enumerate((a, b)):
            alone = self._channel(channel, sigma[:, 2 * i], tau[:, i], pure[i])
            density = density + torch.where(present[i], alone, 0.0)
        return density / (a + b)

    def closed_shell(self, rho: Tensor, sigma: Tensor, tau: Tensor) -> Tensor:
        """The same of a closed shell's totals, all (N, 1)."""
        n, whole, kinetic = rho[:, 0], sigma[:, 0], tau[:, 0]
        half = 0.5 * n
        pure = _pure(half)
        gas = n * _uniform(n, PW92_MODIFIED.para)
        density = self._opposite(gas - 2.0 * pure, half, half, whole, kinetic)
        alone = self._channel(half, 0.25 * whole, 0.5 * kinetic, pure)
        return (density + 2.0 * alone) / n

    def _channel(self, rho: Tensor, sigma: Tensor, tau: Tensor, pure: Tensor) -> Tensor:
        """Exchange and correlation of equal spins per volume (N,) of one channel."""
        root = rho ** (1.0 / 3.0)
        u, beta = _features(FERMI * (root * root), rho, sigma, tau, UNIFORM * rho * (root * root))
        slater = self.share * SLATER * (rho * root)
        exchange = slater * self.factors["exchange"](u, beta)
        return exchange + pure * (2.0 * beta) * self.factors["equal"](u, beta)

    def _opposite(self, gas: Tensor, a: Tensor, b: Tensor, sigma: Tensor, tau: Tensor) -> Tensor:
        """Correlation of opposite spins per volume (N,), ``gas`` that of the uniform gas."""
        n = a + b
        fermi2 = (3.0 * math.pi**2 * n) ** (2.0 / 3.0)
        uniform = UNIFORM * (a ** (5.0 / 3.0) + b ** (5.0 / 3.0))
        return gas * self.factors["opposite"](*_features(fermi2, n, sigma, tau, uniform))


def _features(
    fermi2: Tensor, n: Tensor, sigma: Tensor, tau: Tensor, uniform: Tensor
) -> tuple[Tensor, Tensor]:
    """u and beta of a density n with the squared Fermi wave number ``fermi2``."""
    scaled = 4.0 * fermi2 * (n * n)
    weizsaecker = 0.125 * sigma / n
    beta = (tau - weizsaecker).clamp(min=0.0) / (torch.maximum(tau, weizsaecker) + uniform)
    return sigma / (sigma + scaled), beta


def _pure(rho: Tensor) -> Tensor:
    """PW92's correlation per volume (N,) of one spin alone."""
    return rho * _uniform(rho, PW92_MODIFIED.ferro)


def _uniform(n: Tensor, row: tuple[float, ...]) -> Tensor:
    rs = WIGNER_SEITZ * n ** (-1.0 / 3.0)
    return pw92_fit(rs, rs.sqrt(), row)
