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
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from xcnet.training.form.baselines import (
    PW92_MODIFIED,
    WIGNER_SEITZ,
    is_present,
    pw92_between,
    pw92_fit,
)
from xcnet.training.form.features.exchange import SLATER
from xcnet.training.form.features.shares import UNIFORM
from xcnet.training.form.networks.algebraic import AlgebraicPerceptron

PARTS = ("exchange", "equal", "opposite")
#: Values (N,) of each part's factor at its features (N,) and (N,).
Factors = Mapping[str, Callable[[Tensor, Tensor], Tensor]]
#: Spin densities at or below are an empty channel.
DENSITY_THRESHOLD = 1e-12
ONE_ORBITAL, LARGEST = 1.174, 1.804
#: Largest factor of correlation: room for all that molecules ask for.
CORRELATION = 3.0
#: 4 k_F^2 over rho^(2/3): the scale of squared gradients of one spin, and of both, over rho^(8/3).
SCALE, SCALE_BOTH = UNIFORM / 0.075, 4.0 * (3.0 * math.pi**2) ** (2.0 / 3.0)
START = 0.3
#: beta is more than -1 / (2 BELOW) where tau is below von Weizsaecker's.
BELOW = 1000.0
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
        change = self.network(inputs(u, beta)) - self.network(inputs(gas[:, 0], gas[:, 1]))
        if self.exchange:
            return _largest(beta) * step(change[:, 0] + place(1.0 / AT_GAS))
        return CORRELATION * step(change[:, 0] + place(1.0 / CORRELATION))


def inputs(u: Tensor, beta: Tensor) -> Tensor:
    """Features as the networks are given them (N, 2)."""
    return torch.stack([2.0 * u - 1.0, 2.0 * beta - 1.0], -1)


def _largest(beta: Tensor) -> Tensor:
    """Largest factor of exchange: rises from one orbital's bound, smoothly, to the general one."""
    rest = (1.0 - beta) * (1.0 - beta)
    return LARGEST - (LARGEST - ONE_ORBITAL) * (rest * rest)


AT_GAS = float(_largest(torch.tensor(GAS[1], dtype=torch.float64)))


def step(z: Tensor) -> Tensor:
    """Rises from 0 to 1."""
    return 0.5 + 0.5 * z / (1.0 + z * z).sqrt()


def place(value: float) -> float:
    """Where the step has a value."""
    y = 2.0 * value - 1.0
    return y / math.sqrt(1.0 - y * y)


class ThreeFactors(nn.Module):
    """Functional of three factors, each of two features.

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

    #: Called with a part, the hidden widths and a generator: `Factor`, or what stands for it.
    factor: Callable[[str, Sequence[int], torch.Generator], nn.Module]

    def __init__(
        self, hidden: Sequence[int], seed: Sequence[int], exact_exchange: float = 0.0
    ) -> None:
        super().__init__()
        self.share = 1.0 - exact_exchange
        number = int(np.random.SeedSequence(seed).generate_state(1)[0])
        generator = torch.Generator().manual_seed(number)
        self.factors = nn.ModuleDict({part: self.factor(part, hidden, generator) for part in PARTS})

    @torch.no_grad()
    def start_from(self, other: ThreeFactors) -> None:
        """Take the weights of networks of the same hidden widths.

        Where these have one output and a network here has two, both are that one.
        """
        for own, given in zip(self.parameters(), other.parameters(), strict=True):
            own.copy_(given.expand_as(own))


class MetaFactors(ThreeFactors):
    """Energies of a functional of u and beta, by the factors that a form hands over."""

    def _energy(self, rho: Tensor, sigma: Tensor, tau: Tensor, factors: Factors) -> Tensor:
        """Energy per particle (N,), Hartree, of rho (N, 2), sigma (N, 3), tau (N, 2)."""
        n = rho.sum(1)
        present = [is_present(rho[:, i], n, DENSITY_THRESHOLD) for i in range(2)]
        spins = [Rooted.of(torch.where(present[i], rho[:, i], DENSITY_THRESHOLD)) for i in range(2)]
        both = Rooted.of(spins[0].n + spins[1].n)
        pure = [gas.n * gas.correlation(PW92_MODIFIED.ferro) for gas in spins]
        zeta = (spins[0].n - spins[1].n) / both.n
        shares = 2.0 ** (4.0 / 3.0) * (spins[0].four_thirds + spins[1].four_thirds)
        uniform = pw92_between(both.rs, zeta, shares / both.four_thirds, PW92_MODIFIED)
        whole = sigma[:, 0] + 2.0 * sigma[:, 1] + sigma[:, 2]
        kinetic = spins[0].kinetic + spins[1].kinetic
        u, beta = _features(both.n, SCALE_BOTH * both.eight_thirds, whole, tau.sum(1), kinetic)
        opposite = both.n * uniform - pure[0] - pure[1]
        density = opposite * factors["opposite"](u, beta)
        for i, gas in enumerate(spins):
            u, beta = _features(
                gas.n, SCALE * gas.eight_thirds, sigma[:, 2 * i], tau[:, i], gas.kinetic
            )
            alone = self._alone(gas.four_thirds, pure[i], u, beta, factors)
            density = density + torch.where(present[i], alone, 0.0)
        return density / both.n

    def _paired(self, rho: Tensor, sigma: Tensor, tau: Tensor, factors: Factors) -> Tensor:
        """The same of a closed shell's totals, all (N, 1): all features are those of a channel."""
        n, spin = rho[:, 0], Rooted.of(0.5 * rho[:, 0])
        pure = spin.n * spin.correlation(PW92_MODIFIED.ferro)
        u, beta = _features(
            spin.n, SCALE * spin.eight_thirds, 0.25 * sigma[:, 0], 0.5 * tau[:, 0], spin.kinetic
        )
        opposite = n * Rooted(n, 2.0 ** (1.0 / 3.0) * spin.root).correlation(PW92_MODIFIED.para)
        density = (opposite - 2.0 * pure) * factors["opposite"](u, beta)
        return (density + 2.0 * self._alone(spin.four_thirds, pure, u, beta, factors)) / n

    def _alone(
        self, four_thirds: Tensor, pure: Tensor, u: Tensor, beta: Tensor, factors: Factors
    ) -> Tensor:
        """Exchange and correlation of equal spins per volume (N,) of one channel."""
        exchange = (self.share * SLATER) * four_thirds * factors["exchange"](u, beta)
        return exchange + pure * (2.0 * beta) * factors["equal"](u, beta)


class Bounded(MetaFactors):
    """Three factors of u and beta."""

    factor = Factor

    def forward(self, rho: Tensor, sigma: Tensor, tau: Tensor) -> Tensor:
        """Energy per particle (N,), Hartree, of rho (N, 2), sigma (N, 3), tau (N, 2)."""
        return self._energy(rho, sigma, tau, self._of_parts())

    def closed_shell(self, rho: Tensor, sigma: Tensor, tau: Tensor) -> Tensor:
        """The same of a closed shell's totals, all (N, 1)."""
        return self._paired(rho, sigma, tau, self._of_parts())

    def _of_parts(self) -> Factors:
        return {part: self.factors[part] for part in PARTS}


class Rooted(NamedTuple):
    """A density (N,) with its cube root, of which all powers are products."""

    n: Tensor
    root: Tensor

    @classmethod
    def of(cls, n: Tensor) -> Rooted:
        """Of a density (N,)."""
        return cls(n, n ** (1.0 / 3.0))

    @property
    def four_thirds(self) -> Tensor:
        """n^(4/3)."""
        return self.n * self.root

    @property
    def eight_thirds(self) -> Tensor:
        """n^(8/3)."""
        return self.four_thirds * self.four_thirds

    @property
    def kinetic(self) -> Tensor:
        """Kinetic energy density of the uniform gas of one spin."""
        return UNIFORM * (self.four_thirds * self.root)

    @property
    def rs(self) -> Tensor:
        """Wigner and Seitz's radius."""
        return WIGNER_SEITZ / self.root

    def correlation(self, row: tuple[float, ...]) -> Tensor:
        """PW92's energy per particle, with these parameters."""
        return pw92_fit(self.rs, self.rs.sqrt(), row)


def _features(
    n: Tensor, scale: Tensor, sigma: Tensor, tau: Tensor, kinetic: Tensor
) -> tuple[Tensor, Tensor]:
    """u and beta of a density n; ``scale`` is 4 k_F^2 n^2, ``kinetic`` tau of the uniform gas."""
    above, weizsaecker = n * tau, 0.125 * sigma
    beta = (above - weizsaecker) / (torch.maximum(above, weizsaecker) + n * kinetic)
    return sigma / (sigma + scale), _gently(beta)


def _gently(beta: Tensor) -> Tensor:
    """beta where tau is not below von Weizsaecker's, and hardly below zero anywhere.

    Where one orbital is, programs' tau is above or below by rounding or by their grid's noise. With
    beta cut off at zero, derivatives jump there, and self-consistency does not come to rest. Far
    below, as where a program starts from tau = 0, it is zero as it would be with a cut. Between,
    where no density is, equal spins' correlation is positive, by a thousandth of its factor.
    """
    below = BELOW * beta.clamp(max=0.0)
    return beta / (1.0 + below * below)
