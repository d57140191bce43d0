"""The expansion with a third feature of correlation: the contrast v of the near-region density.

Polynomials of u and beta are those of `expansion`, each also times v: the columns are those of
factors that are linear in v, as `xcnet.training.form.bounded_near_region` has.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from xcnet.training.form.features.correlation import NEAR_REGION
from xcnet.training.form.features.shares import near_region_contrast
from xcnet.training.linear import expansion
from xcnet.training.linear.expansion import Orders

Array = npt.NDArray[np.float64]
#: What is kept of every system.
KEPT = Orders((24, 24), (16, 16), (16, 16), 2)


def integrate(
    rho: Array, sigma: Array, tau: Array, weights: Array, near_region: Array, orders: Orders
) -> Array:
    """Energies of all columns, Hartree.

    Parameters are those of `expansion.integrate`; ``near_region`` (N,) is the near-region density.
    """
    v = contrast(rho.sum(axis=1), near_region)
    return expansion.integrate(rho, sigma, tau, weights, orders, v)


def contrast(n: Array, near_region: Array) -> Array:
    """Feature v (N,) of near-region densities of densities (N,); 1 where there is none."""
    values, dense = np.ones_like(n), n > expansion.LEAST_DENSITY
    density, near = (torch.from_numpy(x[dense]) for x in (n, near_region))
    values[dense] = near_region_contrast(density, near, NEAR_REGION.sigma_bohr).numpy()
    return values
