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

    def sentence(self, functional: str, molecule: str = "the molecule") -> str:
        """What users are told where the functional extrapolates."""
        return (
            f"{100 * self.share:.0f} % of the electrons of {molecule} are where {functional} was "
            f"not trained{lacking(self.elements)}"
        )


def lacking(elements: Sequence[str]) -> str:
    """The elements that training data lack, in brackets; nothing where there are none."""
    return f" (its training data lack {', '.join(elements)})" if elements else ""


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
    missing = unknown_elements(spec, symbols)
    low, high = spec.density_range
    far = (n < low) | (n > high)
    unknown = np.array([symbol in missing for symbol in symbols])
    foreign = np.zeros(len(n), dtype=bool)
    if unknown.any():
        foreign = unknown[_nearest(coords, np.asarray(positions))]
    total = electrons.sum()
    either, density, nearest = (
        float(electrons[part].sum() / total) for part in (far | foreign, far, foreign)
    )
    return Outside(either, density, nearest, missing)


def unknown_elements(spec: FunctionalSpec, symbols: Sequence[str]) -> tuple[str, ...]:
    """Elements of a molecule that the training data lack; none where the record names none."""
    return tuple(sorted(set(symbols) - set(spec.elements))) if spec.elements else ()


def _nearest(coords: Array, positions: Array) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Index of the atom nearest to each point; few atoms at a time, for the memory's sake."""
    best = np.full(len(coords), np.inf)
    index = np.zeros(len(coords), dtype=np.intp)
    for i, position in enumerate(positions):
        distance = ((coords - position) ** 2).sum(axis=1)
        closer = distance < best
        best[closer], index[closer] = distance[closer], i
    return index
