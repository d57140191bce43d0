"""A GGA of three factors that keep the exact bounds for any weights.

The parts are those of `bounded`, without tau: the features are u, the reduced gradient, and for
correlation d = 1 / (1 + sqrt(r_s)), those of `xcnet.training.linear.gradient`. A network N enters
through the same step a,

    F = B a(N(u) - N(0) + z_F),    G = C a(N(u, d) - N(0, d) + z_G),

so that both are 1 in the uniform gas of any density, exchange is between zero and the Lieb-Oxford
bound, B = 1.804, and correlation is never positive. One electron correlates with itself: nothing
but tau could say that it is one.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from xcnet.training.form.baselines import PW92_MODIFIED, is_present, pw92_between
from xcnet.training.form.bounded import (
    CORRELATION,
    DENSITY_THRESHOLD,
    LARGEST,
    SCALE,
    SCALE_BOTH,
    START,
    Rooted,
    ThreeFactors,
    place,
    step,
)
from xcnet.training.form.features.exchange import SLATER
from xcnet.training.form.networks.algebraic import AlgebraicPerceptron


class GradientFactor(nn.Module):
    """Factor of one part, as a function of u, and of d where it is correlation's.

    Parameters are those of `bounded.Factor`.
    """

    def __init__(self, part: str, hidden: Sequence[int], generator: torch.Generator) -> None:
        super().__init__()
        self.exchange = part == "exchange"
        self.largest = LARGEST if self.exchange else CORRELATION
        self.network = AlgebraicPerceptron((1 if self.exchange else 2, *hidden, 1), generator)
        with torch.no_grad():  # nearly linear, as in `bounded`
            for weights in self.network.parameters():
                weights.mul_(START)

    def forward(self, u: Tensor, d: Tensor) -> Tensor:
        """Values (N,) at features (N,) and (N,)."""
        change = self.network(self._inputs(u, d)) - self.network(self._inputs(0.0 * u, d))
        return self.largest * step(change[:, 0] + place(1.0 / self.largest))

    def _inputs(self, u: Tensor, d: Tensor) -> Tensor:
        features = [u] if self.exchange else [u, d]
        return torch.stack([2.0 * x - 1.0 for x in features], -1)


class BoundedGGA(ThreeFactors):
    """Three factors of u and d."""

    factor = GradientFactor

    def forward(self, rho: Tensor, sigma: Tensor) -> Tensor:
        """Energy per particle (N,), Hartree, of rho (N, 2), sigma (N, 3)."""
        n = rho.sum(1)
        present = [is_present(rho[:, i], n, DENSITY_THRESHOLD) for i in range(2)]
        spins = [Rooted.of(torch.where(present[i], rho[:, i], DENSITY_THRESHOLD)) for i in range(2)]
        both = Rooted.of(spins[0].n + spins[1].n)
        pure = [gas.n * gas.correlation(PW92_MODIFIED.ferro) for gas in spins]
        zeta = (spins[0].n - spins[1].n) / both.n
        shares = 2.0 ** (4.0 / 3.0) * (spins[0].four_thirds + spins[1].four_thirds)
        uniform = pw92_between(both.rs, zeta, shares / both.four_thirds, PW92_MODIFIED)
        whole = sigma[:, 0] + 2.0 * sigma[:, 1] + sigma[:, 2]
        opposite = both.n * uniform - pure[0] - pure[1]
        u = _gradient(SCALE_BOTH * both.eight_thirds, whole)
        density = opposite * self.factors["opposite"](u, _density(both))
        for i, gas in enumerate(spins):
            u = _gradient(SCALE * gas.eight_thirds, sigma[:, 2 * i])
            density = density + torch.where(present[i], self._alone(gas, pure[i], u), 0.0)
        return density / both.n

    def closed_shell(self, rho: Tensor, sigma: Tensor) -> Tensor:
        """The same of a closed shell's totals, all (N, 1): u is that of a channel."""
        spin = Rooted.of(0.5 * rho[:, 0])
        both = Rooted(rho[:, 0], 2.0 ** (1.0 / 3.0) * spin.root)
        pure = spin.n * spin.correlation(PW92_MODIFIED.ferro)
        u = _gradient(SCALE * spin.eight_thirds, 0.25 * sigma[:, 0])
        opposite = both.n * both.correlation(PW92_MODIFIED.para) - 2.0 * pure
        density = opposite * self.factors["opposite"](u, _density(both))
        return (density + 2.0 * self._alone(spin, pure, u)) / both.n

    def _alone(self, gas: Rooted, pure: Tensor, u: Tensor) -> Tensor:
        """Exchange and correlation of equal spins per volume (N,) of one channel."""
        d = _density(gas)
        exchange = (self.share * SLATER) * gas.four_thirds * self.factors["exchange"](u, d)
        return exchange + pure * self.factors["equal"](u, d)


def _gradient(scale: Tensor, sigma: Tensor) -> Tensor:
    """Feature u; ``scale`` is 4 k_F^2 n^2."""
    return sigma / (sigma + scale)


def _density(gas: Rooted) -> Tensor:
    """Feature d, from 0 to 1 where it is dense."""
    return 1.0 / (1.0 + gas.rs.sqrt())
