"""Skala-1.0 on a whole grid, as `benchmarks.published_speed` measures it: ours and torch's.

Torch's program has the same linear operator as ours, between two networks that share their first
layers, which it computes once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from xcnet.grid import Grid
from xcnet.operators import GridOperator
from xcnet.published.functional import Published

Array = npt.NDArray[np.float64]
#: Benzene's carbon ring and its hydrogens: distances from the middle, bohr.
RINGS = (2.63, 4.69)
#: Of the points around the atoms, bohr.
SPREAD = 1.5


def benzene_grid(points: int) -> Grid:
    """Points around the atoms of benzene, without the order or the weights of a real grid."""
    angles = np.arange(6) * np.pi / 3.0
    circle = np.stack([np.cos(angles), np.sin(angles), 0.0 * angles], axis=1)
    centres = np.concatenate([radius * circle for radius in RINGS])
    rng = np.random.default_rng(0)
    parents = rng.integers(len(centres), size=points)
    coords = centres[parents] + rng.normal(scale=SPREAD, size=(points, 3))
    ones = np.ones(points)
    return Grid(coords, ones, centres=centres, parents=parents, volumes=ones)


class _Once(torch.nn.Module):
    """A module that both networks call and that computes once."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.module = module
        self.known: torch.Tensor | None = None

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Values at two spins."""
        if self.known is None:
            self.known = self.module(*inputs)
        return self.known

    def closed_shell(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Values of totals."""
        if self.known is None:
            self.known = self.module.closed_shell(*inputs)
        return self.known


class _Operator(torch.autograd.Function):
    """The linear operator with its adjoint; all weights are 1."""

    @staticmethod
    def forward(ctx: Any, channels: torch.Tensor, linear_map: Any) -> torch.Tensor:
        """U (N, k) of channels (N, c)."""
        ctx.linear_map = linear_map
        return torch.from_numpy(linear_map.apply(channels.detach().numpy()))

    @staticmethod
    def backward(ctx: Any, *slopes: torch.Tensor) -> tuple[torch.Tensor, None]:
        """Transpose."""
        return torch.from_numpy(ctx.linear_map.transpose(slopes[0].numpy())), None


class OnGrid(torch.nn.Module):
    """Energy per particle (N,) with the operator inside.

    Parameters
    ----------
    published : Published
        With channels and hidden values.
    grid : Grid
        Its points; all weights are 1.
    operator : GridOperator
        The record's.
    closed : bool
        Whether the inputs are totals.
    """

    def __init__(
        self, published: Published, grid: Grid, operator: GridOperator, closed: bool
    ) -> None:
        super().__init__()
        first: Any = published.channels
        energy: Any = published.module
        self._first, self._energy = (m.closed_shell if closed else m for m in (first, energy))
        self._map, self._label = grid.map(operator), operator.label
        self._once = _Once(published.hidden)
        first.hidden = energy.hidden = self._once

    def forward(self, **inputs: torch.Tensor) -> Any:
        """See the class."""
        self._once.known = None
        values = _Operator.apply(self._first(**inputs), self._map)  # type: ignore[no-untyped-call]
        return self._energy(**inputs, **{self._label: values})
