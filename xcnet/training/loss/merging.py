"""Energies of whole systems as sums over few points that stand for many.

At a fixed density the energy is an integral of (uniform gas) x (factor of the features). Points of
a system whose features share a small cell become one, once: their uniform gas energies add up,
features and coefficients are averaged with these energies as weights. That is exact for factors
that are linear within a cell, and otherwise off by an energy times the square of the cell's width.
So only what has little energy is merged further, in wider and wider cells: a tenth of the points
is left, and the energies of trained networks are off by hundredths of a kcal/mol.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from xcnet.training.loss.problem import Columns, EnergyResiduals

Array = npt.NDArray[np.float64]
#: Cells of the first merging of all points, and of further ones.
WIDTHS = 0.0025 * 2.0 ** np.arange(6)
#: Points are merged further in cells of a width if their share of the system's energy times its
#: square is less.
LIGHT = 1e-8


def energies(columns: Columns, systems: Sequence[tuple[Array, Array]]) -> EnergyResiduals:
    """Energies of systems given by their points' variables (N, k) and weights (N,), Hartree."""
    merged = [_merged(*_shares(columns, *system)) for system in systems]
    numbers = np.repeat(np.arange(len(merged)), [len(energy) for energy, _, _ in merged])
    energy, relative, features = (
        torch.from_numpy(np.concatenate(part)) for part in zip(*merged, strict=True)
    )
    coefficients = energy[:, None] * relative
    return EnergyResiduals(features, coefficients, energy, torch.from_numpy(numbers), len(merged))


def _shares(columns: Columns, variables: Array, weights: Array) -> tuple[Array, Array, Array]:
    """Uniform gas energies, Hartree, coefficients relative to them, and features of points."""
    base, coefficients, features = columns(*torch.from_numpy(variables).unbind(1))
    relative = coefficients / base[:, None]
    return base.numpy() * weights, relative.numpy(), features.numpy()


def _merged(energy: Array, relative: Array, features: Array) -> tuple[Array, ...]:
    """The same of the points that are left."""
    points = _within(WIDTHS[0], energy, relative, features)
    limit = LIGHT * np.abs(energy).sum()
    for width in WIDTHS[1:]:
        light = np.abs(points[0]) * width**2 < limit
        merged = _within(width, *(part[light] for part in points))
        points = tuple(np.concatenate([a[~light], b]) for a, b in zip(points, merged, strict=True))
    return points


def _within(width: float, energy: Array, relative: Array, features: Array) -> tuple[Array, ...]:
    """Points of one cell as one; those without energy are dropped."""
    cells = np.floor(features / width).astype(np.int64)
    cells -= cells.min(axis=0, initial=0)
    numbers = np.ravel_multi_index(tuple(cells.T), tuple(cells.max(axis=0, initial=0) + 1))
    _, place = np.unique(numbers, return_inverse=True)
    size = np.abs(energy)  # with negative weights too an average is one of features

    def sums(values: Array) -> Array:
        return np.stack([np.bincount(place, column) for column in values.T], axis=1)

    total = np.bincount(place, size)
    kept = total > 0.0
    averages = sums(size[:, None] * np.hstack([relative, features]))[kept] / total[kept, None]
    outputs = relative.shape[1]
    return sums(energy[:, None])[kept, 0], averages[:, :outputs], averages[:, outputs:]
