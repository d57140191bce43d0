"""Density rows as hosts compute them, libxc's variables, and the chain rule between the two.

Rows (s, R, N) of N points: n, its gradient and tau (R = 1, 4 or 5), of closed shells (s = 1) or of
each spin. sigma_ab = grad n_a . grad n_b is the only variable that is not a row itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations_with_replacement

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

GRADIENT = slice(1, 4)
TAU = 4


def variables_of(rows: Array, names: Iterable[str]) -> dict[str, Array]:
    """libxc's variables (N, components) of density rows; those that are named."""
    values = {"rho": rows[:, 0]}
    names = tuple(names)
    if "sigma" in names:
        pairs = combinations_with_replacement(rows[:, GRADIENT], 2)
        values["sigma"] = np.array([np.einsum("xg,xg->g", a, b) for a, b in pairs])
    if "tau" in names:
        values["tau"] = rows[:, TAU]
    return {name: np.ascontiguousarray(values[name].T) for name in names}


def change_of(rows: Array, change: Array, names: Iterable[str]) -> dict[str, Array]:
    """Change of the variables to first order in a change of the rows."""
    result = variables_of(change, names)
    if "sigma" in result:
        pairs = combinations_with_replacement(range(len(rows)), 2)
        for column, (a, b) in enumerate(pairs):
            result["sigma"][:, column] = np.einsum(
                "xg,xg->g", rows[a, GRADIENT], change[b, GRADIENT]
            ) + np.einsum("xg,xg->g", change[a, GRADIENT], rows[b, GRADIENT])
    return result


def by_rows(rows: Array, slopes: Mapping[str, Array]) -> Array:
    """Derivatives (s, R, N) by the rows from those (N, components) by the variables."""
    result = np.zeros_like(rows)
    if "rho" in slopes:
        result[:, 0] = slopes["rho"].T
    if "sigma" in slopes:
        pairs = combinations_with_replacement(range(len(rows)), 2)
        for (a, b), slope in zip(pairs, slopes["sigma"].T, strict=True):
            result[a, GRADIENT] += slope * rows[b, GRADIENT]
            result[b, GRADIENT] += slope * rows[a, GRADIENT]
    if "tau" in slopes:
        result[:, TAU] = slopes["tau"].T
    return result


def change_by_rows(
    rows: Array, change: Array, slopes: Mapping[str, Array], changes: Mapping[str, Array]
) -> Array:
    """Change of `by_rows` to first order: of the rows, and of the derivatives by the variables."""
    moved = {name: slopes[name] for name in slopes if name == "sigma"}
    return by_rows(rows, changes) + by_rows(change, moved)
