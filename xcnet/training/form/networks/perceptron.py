"""Fully connected networks with exact parameter Jacobians, whatever the activation.

A kind of network is a class with the activation and its slopes; training needs no more of it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from xcnet.training.form.networks.network import Network


class _Layer(NamedTuple):
    """What a layer is given: inputs and their slopes.

    ``first``, ``second``: f' and f'' of the activation that made the inputs, at its argument,
    whose slopes are ``before``; none of them for the network's own inputs.
    """

    inputs: Tensor
    slopes: Tensor
    first: Tensor | None = None
    second: Tensor | None = None
    before: Tensor | None = None


class Perceptron(Network, ABC):
    """Float64 layers with an activation after each but the last, and maybe after this, too.

    Parameters
    ----------
    widths : sequence of int
        Inputs, hidden widths..., outputs.
    generator : torch.Generator
        Source of the initial weights: the same seed gives the same network.
    """

    #: Whether the activation is taken of the outputs as well.
    last_activated = False

    def __init__(self, widths: Sequence[int], generator: torch.Generator) -> None:
        super().__init__()
        pairs = list(pairwise(widths))
        self.weights = nn.ParameterList(
            nn.Parameter(_normal((i, o), 1.5 / i**0.5, generator)) for i, o in pairs
        )
        self.biases = nn.ParameterList(
            nn.Parameter(_normal((o,), 0.7, generator)) for _, o in pairs
        )

    @staticmethod
    @abstractmethod
    def activation(z: Tensor) -> Tensor:
        """f(z), of operations that can be exported."""

    @staticmethod
    @abstractmethod
    def slopes(z: Tensor, order: int) -> tuple[Tensor, ...]:
        """f(z), f'(z) and, with ``order`` 2, f''(z)."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs (N, o) of the inputs (N, i)."""
        values = inputs
        for weight, bias, activated in self._layers():
            z = values @ weight + bias
            values = self.activation(z) if activated else z
        return values

    @torch.no_grad()
    def evaluate(self, inputs: Tensor, tangents: Tensor) -> tuple[Tensor, Tensor]:
        """See `Network.evaluate`: forwards through the layers."""
        values, along = inputs, tangents
        for weight, bias, activated in self._layers():
            values, along = values @ weight + bias, along @ weight
            if activated:
                values, first = self.slopes(values, 1)
                along = along * first[:, None]
        return values, along

    @torch.no_grad()
    def jacobian(self, inputs: Tensor, tangents: Tensor, value: Tensor, slope: Tensor) -> Tensor:
        """See `Network.jacobian`: backwards through the layers, values and slopes at once."""
        layers = self._records(inputs, tangents)
        blocks: list[Tensor] = []
        for index in reversed(range(len(self.weights))):
            value, slope = _before_activation(layers[index + 1], value, slope)
            layer = layers[index]
            weight = layer.inputs[:, None, :, None] * value[:, :, None, :]
            weight += layer.slopes[..., None] * slope[:, :, None, :]
            blocks[:0] = [weight.flatten(2), value]
            if index:
                value, slope = value @ self.weights[index].T, slope @ self.weights[index].T
        return torch.cat(blocks, dim=2).flatten(0, 1)

    @torch.no_grad()
    def gradient(self, inputs: Tensor, coefficients: Tensor) -> Tensor:
        """Derivatives (p,) of the sum of coefficients (N, o) times outputs by the parameters."""
        values, records = inputs, []
        for weight, bias, activated in self._layers():
            z, first, layer_inputs = torch.addmm(bias, values, weight), None, values
            values = z
            if activated:
                values, first = self.slopes(z, 1)
            records.append((layer_inputs, first))
        slope = coefficients
        blocks: list[Tensor] = []
        for (layer_inputs, first), weight in zip(
            records[::-1], reversed(self.weights), strict=True
        ):
            slope = slope if first is None else slope * first
            blocks[:0] = [layer_inputs.T @ slope, slope.sum(0)]
            slope = slope @ weight.T
        return torch.cat([block.flatten() for block in blocks])

    def ordered(self) -> list[nn.Parameter]:
        """Parameters in the order weight, bias, weight, bias, ..."""
        return [p for pair in zip(self.weights, self.biases, strict=True) for p in pair]

    def _layers(self) -> list[tuple[Tensor, Tensor, bool]]:
        """Weight, bias, and whether the activation follows."""
        last = len(self.weights) - 1
        pairs = zip(self.weights, self.biases, strict=True)
        return [(w, b, i < last or self.last_activated) for i, (w, b) in enumerate(pairs)]

    def _records(self, inputs: Tensor, tangents: Tensor) -> list[_Layer]:
        """What each layer is given, then the outputs as if they were given to one more."""
        records = [_Layer(inputs, tangents)]
        for weight, bias, activated in self._layers():
            z, along = records[-1].inputs @ weight + bias, records[-1].slopes @ weight
            if not activated:
                records.append(_Layer(z, along))
                continue
            value, first, second = self.slopes(z, 2)
            records.append(_Layer(value, along * first[:, None], first, second, along))
        return records


def _before_activation(layer: _Layer, value: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
    """Coefficients of a layer's inputs and their slopes, as those of the activation's argument."""
    if layer.first is None or layer.second is None or layer.before is None:
        return value, slope
    value = layer.first[:, None] * value + layer.second[:, None] * layer.before * slope
    return value, layer.first[:, None] * slope


def _normal(shape: tuple[int, ...], scale: float, generator: torch.Generator) -> Tensor:
    return scale * torch.randn(shape, generator=generator, dtype=torch.float64)
