"""How far the factors may go from those that are nearest to the prior, over the mesh."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xcnet.training.linear import mesh
from xcnet.training.linear.expansion import Orders
from xcnet.training.linear.recipe import RowsRecipe
from xcnet.training.loss import constraints, curvature
from xcnet.training.loss.equations import Equations, solve, together

Array = npt.NDArray[np.float64]
ROWS = 100.0  # a whole mesh counts like so many rows
NEAR = 0.03  # of exchange to the prior's factor, in its fit


def coefficients(recipe: RowsRecipe, matrix: Array, energies: Array, sigma: Array) -> Array:
    """Coefficients of the expansion nearest to the prior: r2SCAN, or PBE where there is no beta.

    Its exchange factor is a function of the same features. Its correlation is not divided like this
    expansion's: the factors are those, near 1 - u, that give its energies of the rows.
    """
    orders = recipe.expansion
    exchange, correlation = [mesh.of_part(part, orders) for part in mesh.PARTS[:2]]
    wanted = {
        "exchange": recipe.family.exchange(exchange.u, exchange.beta),
        "equal": 1.0 - correlation.u,
        "opposite": 1.0 - correlation.u,
    }
    sigmas = {"exchange": NEAR, "equal": recipe.mesh.equal, "opposite": recipe.mesh.opposite}
    equations = [Equations(matrix / sigma[:, None], energies / sigma)]
    equations += [_near(part, orders, wanted[part], sigmas[part]) for part in mesh.PARTS]
    equations.append(constraints.uniform_gas(recipe))
    equations.append(curvature.equations(recipe, np.zeros(matrix.shape[1])))
    return solve(together(equations))


def equations(recipe: RowsRecipe, prior: Array) -> Equations:
    """The factors stay near those of the prior's coefficients."""
    orders = recipe.expansion
    parts = []
    for part in mesh.PARTS:
        points = mesh.of_part(part, orders).points
        wanted = mesh.rows(part, orders, points) @ prior
        parts.append(_near(part, orders, wanted, getattr(recipe.mesh, part)))
    return together(parts)


def _near(part: str, orders: Orders, wanted: Array, sigma: float) -> Equations:
    points = mesh.of_part(part, orders).points
    scale = np.sqrt(ROWS / len(points)) / sigma
    return Equations(scale * mesh.rows(part, orders, points), scale * wanted)
