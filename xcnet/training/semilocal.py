"""A semilocal functional of two small networks: one for exchange, one for correlation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from xcnet.training.baselines import is_present
from xcnet.training.features import correlation, exchange
from xcnet.training.networks.algebraic import AlgebraicPerceptron

#: Spin densities at or below are an empty channel: floor of the functionals of this form.
DENSITY_THRESHOLD = 1e-12


class Semilocal(nn.Module):
    """Meta-GGA whose exchange and correlation factors are networks.

    Parameters
    ----------
    exchange_hidden, correlation_hidden : sequence of int
        Hidden widths of the networks.
    seed : sequence of int
        Seed of the initial weights.
    """

    def __init__(
        self, exchange_hidden: Sequence[int], correlation_hidden: Sequence[int], seed: Sequence[int]
    ) -> None:
        super().__init__()
        number = int(np.random.SeedSequence(seed).generate_state(1)[0])
        generator = torch.Generator().manual_seed(number)
        self.exchange = AlgebraicPerceptron(
            (exchange.INPUTS, *exchange_hidden, exchange.OUTPUTS), generator
        )
        self.correlation = AlgebraicPerceptron(
            (correlation.INPUTS, *correlation_hidden, correlation.OUTPUTS), generator
        )

    def forward(self, rho: Tensor, sigma: Tensor, tau: Tensor) -> Tensor:
        """Energy per particle (N,), Hartree, of rho (N, 2), sigma (N, 3), tau (N, 2)."""
        total = sigma[:, 0] + 2.0 * sigma[:, 1] + sigma[:, 2]
        present = [is_present(rho[:, i], rho.sum(1), DENSITY_THRESHOLD) for i in range(2)]
        # Spin factors of correlation have infinite slopes at full polarization: an empty channel's
        # density is not followed there.
        a, b = (torch.where(present[i], rho[:, i], DENSITY_THRESHOLD) for i in range(2))
        columns = correlation.columns(a, b, total, tau[:, 0] + tau[:, 1])
        density = energy(self.correlation, columns)
        for i, channel in enumerate((a, b)):
            columns = exchange.columns(channel, sigma[:, 2 * i], tau[:, i])
            density = density + torch.where(present[i], energy(self.exchange, columns), 0.0)
        return density / (a + b)


def energy(network: nn.Module, columns: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Energy density (N,) of base + sum_o coefficients[o] network_o(features)."""
    base, coefficients, features = columns
    return base + (coefficients * network(features)).sum(-1)
