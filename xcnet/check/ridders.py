"""Derivatives by finite differences that know their own error."""

from __future__ import annotations

import numpy as np

from xcnet.density import Array

#: Ratio of successive steps.
SHRINK = 1.4


def extrapolated(central: Array) -> tuple[Array, Array]:
    """Derivatives, and their estimated errors, from central differences with shrinking steps.

    Neville's scheme for vanishing steps; the entry of the smallest error estimate is taken.
    Source: C. J. F. Ridders, Adv. Eng. Softw. 4, 75 (1982), doi:10.1016/S0141-1195(82)80057-0.

    Parameters
    ----------
    central : (rows, ...) array
        Central differences; each step is that of the row before over `SHRINK`.
    """
    best, error = np.zeros_like(central[0]), np.full_like(central[0], np.inf)
    table: list[Array] = []
    for row in central:
        new = [row]
        factor = SHRINK**2
        for previous in table:
            new.append((new[-1] * factor - previous) / (factor - 1.0))
            factor *= SHRINK**2
            estimate = np.maximum(abs(new[-1] - new[-2]), abs(new[-1] - previous))
            better = estimate < error
            best = np.where(better, new[-1], best)
            error = np.where(better, estimate, error)
        table = new
    return best, error
