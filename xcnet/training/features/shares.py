"""Dimensionless bounded measures of the gradient and of the kinetic energy density."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from torch import Tensor

Array = npt.NDArray[np.float64]

#: Regularization of the iso-orbital indicator, as in r2SCAN (doi:10.1021/acs.jpclett.0c02405).
ETA = 1e-3
#: Kinetic energy density of the uniform gas of one spin, tau_s = UNIFORM rho_s^(5/3).
UNIFORM = 0.3 * (6.0 * math.pi**2) ** (2.0 / 3.0)


def gradient_share(uniform: Tensor, weizsaecker: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """1 / (1 + x) and its fourth root for x = scale * weizsaecker / uniform, both from 0 to 1.

    The fourth root is the decay of r2SCAN's own gradient functions, and costs two square roots.
    """
    share = uniform / (uniform + scale * weizsaecker)
    return share, share.sqrt().sqrt()


def orbital_indicator(uniform: Tensor, weizsaecker: Tensor, tau: Tensor) -> Tensor:
    """(1 - alpha) / sqrt(1 + alpha^2) of the regularized alpha: 1 for one orbital, 0 uniform gas.

    Unlike rational or exponential forms it has neither pole nor kink, also for tau below its
    von Weizsaecker bound (alpha < 0), which host programs do produce.
    """
    denominator = uniform + ETA * weizsaecker
    numerator = tau - weizsaecker
    return (denominator - numerator) / (denominator * denominator + numerator * numerator).sqrt()


def weizsaecker_of(share: Array, uniform: Array | float, scale: float) -> Array:
    """Kinetic energy density that gives `gradient_share`'s fourth root this value."""
    found: Array = uniform * (share**-4.0 - 1.0) / scale
    return found


def alpha_of(indicator: Array) -> Array:
    """The alpha, not negative, whose `orbital_indicator` this is (above -1, at most 1)."""
    c = 1.0 - indicator**2
    root = np.sqrt(np.maximum(0.0, 1.0 - c * c))
    # Of the two solutions of c alpha^2 - 2 alpha + c = 0, whose product is 1.
    small = c / (1.0 + root)
    found: Array = np.where(indicator >= 0.0, small, 1.0 / np.maximum(small, 1e-300))
    return found
