"""Exchange of one spin channel: Slater's energy density times an enhancement factor.

The factor is 1 + (1 - v) f_1 + b f_2 with network outputs f: exactly 1 for the uniform gas, where
v = 1 and b = 0. One channel is enough: E_x[rho_a, rho_b] is the sum of both by the exact spin
scaling (G. L. Oliver, J. P. Perdew, Phys. Rev. A 20, 397 (1979), doi:10.1103/PhysRevA.20.397).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from xcnet.training.form.features.form import PartForm
from xcnet.training.form.features.shares import UNIFORM, gradient_share, orbital_indicator

#: Exchange energy density of the uniform gas of one spin, e = SLATER rho_s^(4/3).
SLATER = -0.75 * (6.0 / math.pi) ** (1.0 / 3.0)
#: Scale of the gradient feature: resolves r2SCAN's changes at s below 0.4.
GRADIENT_SCALE = 3.0


def columns(rho: Tensor, sigma: Tensor, tau: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Parts of the energy density ``base + sum_o coefficients[o] f_o(features)`` of one channel.

    Parameters
    ----------
    rho, sigma, tau : (...)
        Density, its squared gradient and kinetic energy density of the channel, atomic units.

    Returns
    -------
    base (...), coefficients (..., 2), features (..., 3)
    """
    root = rho ** (1.0 / 3.0)
    weizsaecker = 0.125 * sigma / rho
    uniform = UNIFORM * rho * (root * root)
    v4, v = gradient_share(uniform, weizsaecker, GRADIENT_SCALE)
    b = orbital_indicator(uniform, weizsaecker, tau)
    base = SLATER * (rho * root)
    return base, torch.stack([base * (1.0 - v), base * b], -1), torch.stack([v, v4, b], -1)


def gga_columns(rho: Tensor, sigma: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """As `columns`, without the kinetic energy density: 1 + (1 - v) f(v, v^4)."""
    root = rho ** (1.0 / 3.0)
    uniform = UNIFORM * rho * (root * root)
    v4, v = gradient_share(uniform, 0.125 * sigma / rho, GRADIENT_SCALE)
    base = SLATER * (rho * root)
    return base, (base * (1.0 - v))[..., None], torch.stack([v, v4], -1)


def slater_columns(rho: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Slater's exchange alone: nothing to learn."""
    base = SLATER * rho ** (4.0 / 3.0)
    return base, torch.empty(*rho.shape, 0, dtype=rho.dtype), rho[..., None]


META_GGA = PartForm(3, 2, columns)
GGA = PartForm(2, 1, gga_columns)
SLATER_ONLY = PartForm(1, 0, slater_columns)
