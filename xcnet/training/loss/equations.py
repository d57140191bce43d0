"""Weighted equations in the coefficients of a linear expansion, put together from terms."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Equations:
    """``matrix @ coefficients = target``, each already divided by its sigma."""

    matrix: Array
    target: Array


def together(parts: Iterable[Equations]) -> Equations:
    """All equations of several terms."""
    parts = list(parts)
    return Equations(
        np.concatenate([part.matrix for part in parts]),
        np.concatenate([part.target for part in parts]),
    )


def compressed(equations: Equations) -> Equations:
    """As many equations as there are unknowns, and one more, with the same sum of squares."""
    whole = np.hstack([equations.matrix, equations.target[:, None]])
    triangle = np.asarray(np.linalg.qr(whole, mode="r"))
    return Equations(triangle[:, :-1], triangle[:, -1])


def solve(equations: Equations) -> Array:
    """Coefficients with the least sum of squares."""
    return np.asarray(np.linalg.lstsq(equations.matrix, equations.target, rcond=1e-13)[0])
