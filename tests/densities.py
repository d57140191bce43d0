"""Random densities for tests."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from xcnet import sample

Array = npt.NDArray[np.float64]


def random_densities(
    points: int, seed: int = 0, low: float = 1e-3, high: float = 10.0
) -> dict[str, Array]:
    """Polarized variables of physical densities, see `xcnet.sample.moderate`; no descriptors."""
    return sample.moderate(("rho", "sigma", "lapl", "tau"), points, seed, low, high)


def closed_shell(polarized: Mapping[str, Array]) -> tuple[dict[str, Array], dict[str, Array]]:
    """Unpolarized variables, and the same density as polarized ones."""
    return sample.closed_shell(polarized)
