"""A semilocal functional of two small networks: one for exchange, one for correlation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from xcnet.training.features import correlation, exchange
from xcnet.training.networks.algebraic import AlgebraicPerceptron


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
        density = energy(
            self.correlation,
            correlation.columns(rho[:, 0], rho[:, 1], total, tau[:, 0] + tau[:, 1]),
        )
        for spin in range(2):
            channel = exchange.columns(rho[:, spin], sigma[:, 2 * spin], tau[:, spin])
            density = density + energy(self.exchange, channel)
        return density / (rho[:, 0] + rho[:, 1])


def energy(network: nn.Module, columns: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Energy density (N,) of base + sum_o coefficients[o] network_o(features)."""
    base, coefficients, features = columns
    return base + (coefficients * network(features)).sum(-1)
