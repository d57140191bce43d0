"""How far the factors may go from those that are nearest to r2SCAN, over the mesh."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xcnet.libxc import Functional
from xcnet.training.linear import mesh
from xcnet.training.linear.expansion import FERMI, SLATER, Orders
from xcnet.training.linear.recipe import RowsRecipe
from xcnet.training.loss import constraints, curvature
from xcnet.training.loss.equations import Equations, solve, together

Array = npt.NDArray[np.float64]
ROWS = 100.0  # a whole mesh counts like so many rows
NEAR = 0.03  # of exchange to r2SCAN's factor, in its fit


def coefficients(recipe: RowsRecipe, matrix: Array, energies: Array, sigma: Array) -> Array:
    """Coefficients of the expansion nearest to r2SCAN.

    Its exchange factor is a function of u and beta, too. Its correlation is not divided like this
    expansion's: the factors are those, near 1 - u, that give its energies of the rows.
    """
    orders = recipe.expansion
    exchange, correlation = [mesh.of_part(part, orders) for part in mesh.PARTS[:2]]
    wanted = {
        "exchange": exchange_factor(exchange.u, exchange.beta),
        "equal": 1.0 - correlation.u,
        "opposite": 1.0 - correlation.u,
    }
    sigmas = {"exchange": NEAR, "equal": recipe.mesh.equal, "opposite": recipe.mesh.opposite}
    equations = [Equations(matrix / sigma[:, None], energies / sigma)]
    equations += [_near(part, orders, wanted[part], sigmas[part]) for part in mesh.PARTS]
    equations.append(constraints.uniform_gas(orders))
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


def exchange_factor(u: Array, beta: Array) -> Array:
    """r2SCAN's enhancement factor at features short of their ends, where densities are none."""
    u, beta = u.clip(0.0, 0.999), beta.clip(0.0, 0.999)
    n, s2 = np.ones_like(u), u / (1.0 - u)
    uniform, sigma = 0.3 * FERMI * n, 4.0 * FERMI * s2
    weizsaecker = 0.125 * sigma
    tau = (weizsaecker + beta * uniform) / (1.0 - beta)
    inputs = {
        "rho": np.stack([n, n], axis=1),
        "sigma": np.stack([sigma] * 3, axis=1),
        "tau": np.stack([tau, tau], axis=1),
    }
    zk = np.zeros((len(u), 1))
    Functional("MGGA_X_R2SCAN", 2).evaluate(inputs, {"zk": zk})
    return np.asarray(zk[:, 0] / SLATER)
