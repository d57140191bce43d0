"""What the exact functional obeys: the uniform gas, bounds of exchange, the sign of correlation.

The gas is an equation of great weight. Bounds become equations where a fit breaks them. Correlation
has the sign of its uniform gas everywhere if no factor is negative.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xcnet.training.linear import mesh
from xcnet.training.linear.recipe import RowsRecipe
from xcnet.training.loss.equations import Equations, solve, together

Array = npt.NDArray[np.float64]
EXACT = 1e-4  # sigma of equations that shall hold
SIZE = 41  # points of the bounds' mesh in each feature
PENALTY = 1e-3  # distance outside a bound that counts 1
TOLERANCE = 5e-3  # of bounds that hold
ROUNDS = 60


def uniform_gas(recipe: RowsRecipe) -> Equations:
    """All factors are 1 in the gas: at u = 0 and, of a meta-GGA, beta = 1/2, whatever v."""
    orders, parts = recipe.expansion, []
    for part in mesh.PARTS:
        powers = 1 if part == "exchange" else orders.contrast
        contrasts = np.linspace(-1.0, 1.0, powers) if powers > 1 else np.zeros(1)
        seconds = recipe.family.gas(getattr(orders, part)[1])
        second, v = (x.ravel() for x in np.meshgrid(seconds, contrasts, indexing="ij"))
        points = np.stack([np.zeros_like(v), second, v], axis=1)
        ones = np.full(len(points), 1.0 / EXACT)
        parts.append(Equations(mesh.rows(part, orders, points) / EXACT, ones))
    return together(parts)


def bounded(recipe: RowsRecipe, equations: Equations) -> Array:
    """Coefficients of the least sum of squares whose factors keep the bounds on the mesh.

    What is outside counts as an equation of great weight, what comes back inside counts no more:
    Newton's method for the sum of squares with a penalty, which ends when nothing changes sides.
    """
    matrix, low, high = _bounds(recipe)
    outside = np.zeros(len(matrix), dtype=int)
    for _ in range(ROUNDS):
        held = np.flatnonzero(outside)
        bound = np.where(outside[held] < 0, low[held], high[held])
        extra = Equations(matrix[held] / PENALTY, bound / PENALTY)
        coefficients = solve(together([equations, extra]))
        values = matrix @ coefficients
        before, outside = outside, (values > high).astype(int) - (values < low)
        if (before == outside).all():
            break
    return coefficients


def broken(recipe: RowsRecipe, coefficients: Array) -> dict[str, float]:
    """Share of the mesh where each part's bound is broken by more than the tolerance."""
    orders, shares = recipe.expansion, {}
    for part in mesh.PARTS:
        points = mesh.of_part(part, orders, SIZE).points
        low, high = _limits(recipe, part, points)
        values = mesh.rows(part, orders, points) @ coefficients
        outside = (values > high + TOLERANCE) | (values < low - TOLERANCE)
        shares[part] = float(np.mean(outside))
    return shares


def _bounds(recipe: RowsRecipe) -> tuple[Array, Array, Array]:
    rows, lows, highs = [], [], []
    for part in mesh.PARTS:
        points = mesh.of_part(part, recipe.expansion, SIZE).points
        low, high = _limits(recipe, part, points)
        rows.append(mesh.rows(part, recipe.expansion, points))
        lows.append(low)
        highs.append(high)
    return np.concatenate(rows), np.concatenate(lows), np.concatenate(highs)


def _limits(recipe: RowsRecipe, part: str, points: Array) -> tuple[Array, Array]:
    low = np.zeros(len(points))
    if part != "exchange":
        return low, np.full(len(points), np.inf)
    limits = recipe.constraints
    one_orbital = points[:, 1] == 0.0
    return low, np.where(one_orbital, limits.one_orbital, limits.largest)
