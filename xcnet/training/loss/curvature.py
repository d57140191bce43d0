"""Second derivatives of the factors over the mesh: wiggles are what grids and frequencies see."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xcnet.training.linear import mesh
from xcnet.training.linear.recipe import RowsRecipe
from xcnet.training.loss.equations import Equations, together

Array = npt.NDArray[np.float64]
ROWS = 100.0
SCALE = 10.0  # second derivatives that count 1 at a factor's sigma of 1
SECOND = ((2, 0), (0, 2), (1, 1))


def equations(recipe: RowsRecipe, prior: Array) -> Equations:
    """The factors' second derivatives stay near those of the prior's coefficients."""
    orders = recipe.expansion
    parts = []
    for part in mesh.PARTS:
        points = mesh.of_part(part, orders).points
        sigma = SCALE * getattr(recipe.mesh, part) / recipe.mesh.curvature
        scale = np.sqrt(ROWS / len(points)) / sigma
        for derivative in SECOND:
            matrix = scale * mesh.rows(part, orders, points, derivative)
            parts.append(Equations(matrix, matrix @ prior))
    return together(parts)
