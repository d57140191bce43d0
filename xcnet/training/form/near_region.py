"""The near-region descriptor in torch: the runtime's own routine, with its exact adjoint."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from xcnet.grid import Grid
from xcnet.near_region import Operator
from xcnet.spec import NearRegion


def near_region(density: Tensor, grid: Grid, descriptor: NearRegion) -> Tensor:
    """Descriptor R (N, 1), in electrons, of the total density (N,), bohr^-3, clipped at zero.

    Differentiable any number of times. Computed in float64 on the CPU, whatever the density is;
    the result is of the density's type and on its device.

    Parameters
    ----------
    density : (N,) tensor
        At the points of the grid, in their order.
    grid : Grid
        The whole grid.
    descriptor : NearRegion
        Definition, width and cut-off.
    """
    weights = torch.from_numpy(grid.points.weights)
    charges = density.to(device="cpu", dtype=torch.float64) * weights
    values = torch.relu(_Linear.apply(charges, grid.operator(descriptor), False))
    return values[:, None].to(device=density.device, dtype=density.dtype)


class _Linear(torch.autograd.Function):
    """S x or its transpose; each is the other's derivative."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, operator: Operator, transposed: bool) -> Tensor:
        ctx.operator, ctx.transposed = operator, transposed
        apply = operator.transpose if transposed else operator.apply
        return torch.from_numpy(apply(values.detach().numpy()))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return _Linear.apply(gradients[0], ctx.operator, not ctx.transposed), None, None
