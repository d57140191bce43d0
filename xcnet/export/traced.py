"""What a traced tensor holds, and where the elements of a moved one came from."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from xcnet.errors import ExportError
from xcnet.export.algebra import widen
from xcnet.export.graph import Node


@dataclass(frozen=True)
class Traced:
    """What a tensor holds: rows of a node (in row-major order) and which axis counts points."""

    node: Node
    shape: tuple[int, ...]
    axis: int

    @property
    def rows(self) -> int:
        """Number of values per point."""
        return prod(self.shape) // self.shape[self.axis]

    def full(self) -> Node:
        """Return the node with all its rows."""
        return widen(self.node, self.rows)

    def numbers(self, first_row: int = 0) -> tuple[Tensor, Tensor]:
        """Row number and point number of every element."""
        n = self.shape[self.axis]
        features = [*self.shape[: self.axis], *self.shape[self.axis + 1 :]]
        rows = torch.arange(first_row, first_row + self.rows).reshape(features)
        points = torch.arange(n).reshape(
            [n if a == self.axis else 1 for a in range(len(self.shape))]
        )
        return rows.unsqueeze(self.axis).expand(self.shape).clone(), points.expand(
            self.shape
        ).clone()


def sources(rows: Tensor, points: Tensor, n: int) -> tuple[list[int], int]:
    """Source row of each row, and the axis that counts points; ExportError if points mix."""
    for axis, size in enumerate(points.shape):
        if size != n:
            continue
        order = torch.arange(n).reshape([n if a == axis else 1 for a in range(points.dim())])
        first = rows.select(axis, 0)
        if bool((points == order).all()) and bool((rows == first.unsqueeze(axis)).all()):
            return first.reshape(-1).tolist(), axis
    raise ExportError("it moves values from one point to another; a point must depend on itself")
