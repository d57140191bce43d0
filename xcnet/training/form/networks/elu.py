"""Perceptron of R. Nagai, R. Akashi, O. Sugino, npj Comput. Mater. 6, 43 (2020).

ELU, z for z > 0 and exp(z) - 1 otherwise, after every layer, so that the outputs are above -1. Its
second derivative jumps at 0: second derivatives of a functional built from it are not continuous.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from xcnet.training.form.networks.perceptron import Perceptron


class EluPerceptron(Perceptron):
    """ELU after every layer, the last one too (doi:10.1038/s41524-020-0310-0)."""

    last_activated = True

    @staticmethod
    def activation(z: Tensor) -> Tensor:
        """ELU(z)."""
        return nn.functional.elu(z)

    @staticmethod
    def slopes(z: Tensor, order: int) -> tuple[Tensor, ...]:
        """f, f' and maybe f''."""
        falling = z <= 0.0
        first = torch.exp(torch.where(falling, z, 0.0))
        second = torch.where(falling, first, 0.0)
        return (torch.where(falling, first - 1.0, z), first, second)[: order + 1]


NETWORK = EluPerceptron
