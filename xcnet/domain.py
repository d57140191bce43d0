"""How much of a molecule's density a functional has not been trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xcnet.density import Array
from xcnet.spec import FunctionalSpec

#: Share of the electrons outside the domain from which on users are warned.
LARGE = 0.01


@dataclass(frozen=True)
class Outside:
    """Shares of the electrons outside a functional's domain.

    ``density``: where the density is outside its range; ``nearest``: nearest to an atom of
    ``elements``, which its training data lack; ``share``: either.
    """

    share: float
    density: float
    nearest: float
    elements: tuple[str, ...]

    @property
    def is_large(self) -> bool:
        """Whether the functional extrapolates."""
        return self.share > LARGE


def outside(
    spec: FunctionalSpec,
    n: Array,
    weights: Array,
    coords: Array,
    symbols: Sequence[str],
    positions: Array,
) -> Outside:
    """Share of a molecule's electrons outside the domain that the record states.

    Parameters
    ----------
    spec : FunctionalSpec
        The functional; without elements in its record none is outside.
    n, weights, coords : (N,), (N,), (N, 3) arrays
        Density (bohr^-3) on a grid, its weights (bohr^3) and points (bohr).
    symbols, positions : sequence and (M, 3) array
        The atoms (bohr).
    """
    electrons = weights * n
    low, high = spec.density_range
    far = (n < low) | (n > high)
    unknown = np.array([bool(spec.elements) and s not in spec.elements for s in symbols])
    foreign = np.zeros(len(n), dtype=bool)
    if unknown.any():
        foreign = unknown[_nearest(coords, np.asarray(positions))]
    total = electrons.sum()
    either, density, nearest = (
        float(electrons[part].sum() / total) for part in (far | foreign, far, foreign)
    )
    missing = sorted({s for s, gone in zip(symbols, unknown, strict=True) if gone})
    return Outside(either, density, nearest, tuple(missing))


def _nearest(coords: Array, positions: Array) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Index of the atom nearest to each point; few atoms at a time, for the memory's sake."""
    best = np.full(len(coords), np.inf)
    index = np.zeros(len(coords), dtype=np.intp)
    for i, position in enumerate(positions):
        distance = ((coords - position) ** 2).sum(axis=1)
        closer = distance < best
        best[closer], index[closer] = distance[closer], i
    return index
