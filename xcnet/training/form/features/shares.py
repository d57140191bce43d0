"""Dimensionless bounded measures of the gradient and of the kinetic energy density."""

from __future__ import annotations

import math

from torch import Tensor

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


def near_region_of_gas(width: float) -> float:
    """Near-region density of the uniform gas, in units of its density, bohr^3."""
    return 8.0 * math.pi * width**3


def near_region_contrast(n: Tensor, near_region: Tensor, width: float) -> Tensor:
    """1 - 2 / (1 + g^2) of g = R / (8 pi width^3 n): 0 for the uniform gas, -1 to 1.

    R is the near-region density of the total density n. A quadrature can make it negative, where
    functionals take zero for it: of the square, the slope vanishes there and nothing jumps.
    """
    ratio = near_region.clamp(min=0.0) / (near_region_of_gas(width) * n)
    return 1.0 - 2.0 / (1.0 + ratio * ratio)
