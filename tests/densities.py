"""Random densities and Ridders' finite differences for the laws that every functional obeys."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from xcnet import sample
from xcnet.check.ridders import SHRINK, extrapolated

Array = npt.NDArray[np.float64]


def random_densities(
    points: int, seed: int = 0, low: float = 1e-3, high: float = 10.0
) -> dict[str, Array]:
    """Polarized variables of physical densities, see `xcnet.sample.moderate`; no descriptors."""
    return sample.moderate(("rho", "sigma", "lapl", "tau"), points, seed, low, high)


def closed_shell(polarized: Mapping[str, Array]) -> tuple[dict[str, Array], dict[str, Array]]:
    """Unpolarized variables, and the same density as polarized ones."""
    return sample.closed_shell(polarized)


def ridders(
    function: Callable[[Array], Array], x: Array, step: Array, rows: int = 9
) -> tuple[Array, Array]:
    """Derivative of a function of one variable at many points, and its estimated error.

    Central differences with steps shrinking by 1.4, extrapolated by Neville's scheme; the entry
    of the smallest error estimate is taken at each point.
    Source: C. J. F. Ridders, Adv. Eng. Softw. 4, 75 (1982), doi:10.1016/S0141-1195(82)80057-0.
    """
    steps = [step / SHRINK**row for row in range(rows)]
    central = np.array([(function(x + h) - function(x - h)) / (2 * h) for h in steps])
    return extrapolated(central)
