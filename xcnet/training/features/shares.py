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
