"""Perceptron with the algebraic activation z / sqrt(1 + z^2), and its exact parameter Jacobian.

The activation costs one square root and one division: in float64 a fraction of tanh or exp, and
its derivative (1 + z^2)^(-3/2) reuses the root. It is analytic, so derivatives of every order
of a functional built from it are smooth.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


class AlgebraicPerceptron(nn.Module):
    """Fully connected network of float64 layers; the last one is linear.

    Parameters
    ----------
    widths : sequence of int
        Inputs, hidden widths..., outputs.
    generator : torch.Generator
        Source of the initial weights: the same seed gives the same network.
    """

    def __init__(self, widths: Sequence[int], generator: torch.Generator) -> None:
        super().__init__()
        pairs = list(pairwise(widths))
        self.weights = nn.ParameterList(
            nn.Parameter(_normal((i, o), 1.5 / i**0.5, generator)) for i, o in pairs
        )
        self.biases = nn.ParameterList(
            nn.Parameter(_normal((o,), 0.7, generator)) for _, o in pairs
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs (N, o) of the inputs (N, i)."""
        hidden = inputs
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            z = hidden @ weight + bias
            hidden = z / (1.0 + z * z).sqrt()
        return hidden @ self.weights[-1] + self.biases[-1]

    @torch.no_grad()
    def evaluate(self, inputs: Tensor, tangents: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs (N, o) and their derivatives (N, t, o) along the tangents (N, t, i)."""
        hidden, slopes = inputs, tangents
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            z = hidden @ weight + bias
            root = (1.0 + z * z).rsqrt()
            hidden, slopes = z * root, (slopes @ weight) * (root**3)[:, None]
        return hidden @ self.weights[-1] + self.biases[-1], slopes @ self.weights[-1]

    @torch.no_grad()
    def jacobian(self, inputs: Tensor, tangents: Tensor, value: Tensor, slope: Tensor) -> Tensor:
        """Derivatives of linear functionals of the network with respect to its parameters.

        Row m of a point is ``sum_o value[m, o] out[o] + slope[m, o] (tangents[m] . grad) out[o]``.

        Parameters
        ----------
        inputs : (N, i)
        tangents : (N, m, i)
        value, slope : (N, m, o)

        Returns
        -------
        (N m, p), the parameters ordered weight, bias, weight, bias, ...
        """
        layers = self._forward_records(inputs, tangents)
        blocks: list[Tensor] = []
        for index in reversed(range(len(self.weights))):
            hidden, slopes = layers[index][:2]
            weight = hidden[:, None, :, None] * value[:, :, None, :]
            weight += slopes[..., None] * slope[:, :, None, :]
            blocks[:0] = [weight.flatten(2), value]
            if index:
                _, _, first, second, z_slopes = layers[index]
                value, slope = value @ self.weights[index].T, slope @ self.weights[index].T
                value = first[:, None] * value + second[:, None] * z_slopes * slope
                slope = first[:, None] * slope
        return torch.cat(blocks, dim=2).flatten(0, 1)

    @torch.no_grad()
    def gradient(self, inputs: Tensor, coefficients: Tensor) -> Tensor:
        """Derivatives (p,) of the sum of coefficients (N, o) times outputs by the parameters."""
        hidden, records = inputs, []
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            z = torch.addmm(bias, hidden, weight)
            root = (1.0 + z * z).rsqrt()
            records.append((hidden, root))
            hidden = z * root
        slope = coefficients
        blocks = [hidden.T @ slope, slope.sum(0)]
        for (hidden, root), weight in zip(records[::-1], self.weights[:0:-1], strict=True):
            slope = (slope @ weight.T) * root**3
            blocks[:0] = [hidden.T @ slope, slope.sum(0)]
        return torch.cat([block.flatten() for block in blocks])

    def _forward_records(self, inputs: Tensor, tangents: Tensor) -> list[tuple[Tensor, ...]]:
        """Per layer: its input, the input's slopes, and of the activation before it f', f'', z'."""
        layers: list[tuple[Tensor, ...]] = [(inputs, tangents)]
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            hidden, slopes = layers[-1][:2]
            z, z_slopes = hidden @ weight + bias, slopes @ weight
            root = (1.0 + z * z).rsqrt()
            first = root**3
            second = -3.0 * z * first * root**2
            layers.append((z * root, z_slopes * first[:, None], first, second, z_slopes))
        return layers

    def ordered(self) -> list[nn.Parameter]:
        """Parameters in the order weight, bias, weight, bias, ..."""
        return [p for pair in zip(self.weights, self.biases, strict=True) for p in pair]

    def vector(self) -> Tensor:
        """All parameters as one vector, in the order of `ordered`."""
        return torch.cat([parameter.detach().flatten() for parameter in self.ordered()])

    @torch.no_grad()
    def load_vector(self, vector: Tensor) -> None:
        """Set all parameters from a vector in the order of `ordered`."""
        sizes = [parameter.numel() for parameter in self.ordered()]
        for parameter, values in zip(self.ordered(), vector.split(sizes), strict=True):
            parameter.copy_(values.view_as(parameter))


def _normal(shape: tuple[int, ...], scale: float, generator: torch.Generator) -> Tensor:
    return scale * torch.randn(shape, generator=generator, dtype=torch.float64)
