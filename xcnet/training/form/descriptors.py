"""Grid operators in torch: the runtime's own maps, with their exact adjoints."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from xcnet.grid import Grid
from xcnet.operators import GridOperator, LinearMap


def values(channels: Tensor, grid: Grid, descriptor: GridOperator) -> Tensor:
    """Descriptor U (N, k) of channels (N, c), or of the total density (N,), bohr^-3; clipped.

    Differentiable any number of times. Computed in float64 on the CPU, whatever the channels are;
    the result is of their type and on their device.

    Parameters
    ----------
    channels : (N,) or (N, c) tensor
        At the points of the grid, in their order.
    grid : Grid
        The whole grid.
    descriptor : GridOperator
        With its parameters.
    """
    weights = torch.from_numpy(grid.points.weights)[:, None]
    values = channels.to(device="cpu", dtype=torch.float64).reshape(len(grid), -1)
    result = _linear(values * weights, grid.map(descriptor), False)
    if descriptor.floor is not None:
        result = descriptor.floor + torch.relu(result - descriptor.floor)
    return result.to(device=channels.device, dtype=channels.dtype)


def _linear(columns: Tensor, operator: LinearMap, transposed: bool) -> Tensor:
    result: Tensor = _Linear.apply(columns, operator, transposed)  # type: ignore[no-untyped-call]
    return result


class _Linear(torch.autograd.Function):
    """S x or its transpose; each is the other's derivative."""

    @staticmethod
    def forward(ctx: Any, columns: Tensor, operator: LinearMap, transposed: bool) -> Tensor:
        ctx.operator, ctx.transposed = operator, transposed
        apply = operator.transpose if transposed else operator.apply
        return torch.from_numpy(apply(columns.detach().numpy()))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return _linear(gradients[0], ctx.operator, not ctx.transposed), None, None
