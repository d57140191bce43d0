"""The meta-GGA of bounded factors, whose correlation also knows the near-region density.

A correlation part has two factors of `bounded`'s kind, G+ and G-, one network's two outputs, and is
between them by the contrast v of the near-region density, from -1 where less of the density is near
than in the uniform gas, to 1:

    G = (1 + v) / 2 G+(u, beta) + (1 - v) / 2 G-(u, beta)

So correlation is never positive, zero for one electron, and that of the uniform gas in it, as
without v. Exchange does not depend on it: the density near is that of both spins, and exchange of
each spin is its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from xcnet.training.form.bounded import (
    CORRELATION,
    GAS,
    PARTS,
    START,
    Factor,
    Factors,
    MetaFactors,
    inputs,
    place,
    step,
)
from xcnet.training.form.features.correlation import NEAR_REGION
from xcnet.training.form.features.shares import near_region_contrast
from xcnet.training.form.networks.algebraic import AlgebraicPerceptron


class CorrelationFactor(nn.Module):
    """Factor of a correlation part: what it is at v = 0, and what v changes.

    Parameters are those of `bounded.Factor`, but for the part.
    """

    def __init__(self, hidden: Sequence[int], generator: torch.Generator) -> None:
        super().__init__()
        self.network = AlgebraicPerceptron((2, *hidden, 2), generator)
        with torch.no_grad():  # nearly linear, as in `bounded`
            for weights in self.network.parameters():
                weights.mul_(START)

    def forward(self, u: Tensor, beta: Tensor) -> Tensor:
        """Coefficients (N, 2) of 1 and v at features (N,) and (N,)."""
        gas = torch.tensor([GAS], dtype=u.dtype)
        change = self.network(inputs(u, beta)) - self.network(inputs(gas[:, 0], gas[:, 1]))
        halves = 0.5 * CORRELATION * step(change + place(1.0 / CORRELATION))
        above, below = halves[:, 0], halves[:, 1]
        return torch.stack([above + below, above - below], -1)


def _factor(part: str, hidden: Sequence[int], generator: torch.Generator) -> nn.Module:
    if part == "exchange":
        return Factor(part, hidden, generator)
    return CorrelationFactor(hidden, generator)


class BoundedNearRegion(MetaFactors):
    """Three factors of u and beta, those of correlation of v, too."""

    factor = staticmethod(_factor)

    def forward(self, rho: Tensor, sigma: Tensor, tau: Tensor, near_region: Tensor) -> Tensor:
        """Energy per particle (N,), Hartree, of rho (N, 2), sigma (N, 3), tau (N, 2), R (N, 1)."""
        return self._energy(rho, sigma, tau, self._at(rho.sum(1), near_region))

    def closed_shell(self, rho: Tensor, sigma: Tensor, tau: Tensor, near_region: Tensor) -> Tensor:
        """The same of a closed shell's totals, all (N, 1)."""
        return self._paired(rho, sigma, tau, self._at(rho[:, 0], near_region))

    def _at(self, n: Tensor, near_region: Tensor) -> Factors:
        """Factors at the contrast of near-region densities R (N, 1)."""
        v = near_region_contrast(n, near_region[:, 0], NEAR_REGION.sigma_bohr)

        def at(part: str, u: Tensor, beta: Tensor) -> Tensor:
            values: Tensor = self.factors[part](u, beta)
            return values[:, 0] + v * values[:, 1]

        correlation = {part: partial(at, part) for part in PARTS[1:]}
        return {"exchange": self.factors["exchange"], **correlation}
