"""SCAN in torch, spin resolved: J. Sun, A. Ruzsinszky, J. P. Perdew (2015).

Phys. Rev. Lett. 115, 036402, doi:10.1103/PhysRevLett.115.036402, with its supplement. Arguments
and results are those of `baselines`; the values agree with libxc's to rounding. All derivatives of
the functional are continuous, but those of the switching functions are tiny on both sides of
alpha = 1 and large beside it.
"""

from __future__ import annotations

from math import pi

import torch
from torch import Tensor, exp

from xcnet.training.form.baselines import (
    PBE_BETA,
    PBE_GAMMA,
    PW92_MODIFIED,
    TINY,
    WIGNER_SEITZ,
    _reduced_gradient,
    _slater_by_spin,
    pw92,
    sum_of_channels,
)

H0X, A1, K1, MU = 1.174, 4.9479, 0.065, 10.0 / 81.0
B2 = (5913.0 / 405000.0) ** 0.5
B1 = 511.0 / 13500.0 / (2.0 * B2)
B3 = 0.5
B4 = MU**2 / K1 - 1606.0 / 18225.0 - B1**2
#: c1, c2 and d of the switching functions, equation (9).
SWITCH_X = (0.667, 0.8, 1.24)
SWITCH_C = (0.64, 1.5, 0.7)
B1C, B2C, B3C = 0.0285764, 0.0889, 0.125541
CHI = 0.12802585262625815
G_CNST = 2.363
#: Around alpha = 1 the switching functions are below 1e-16.
GAP = 0.01


def scan_x(rho: Tensor, sigma: Tensor, tau: Tensor, empty: float = 0.0) -> Tensor:
    """SCAN exchange energy per particle (N,)."""
    return sum_of_channels(scan_x_by_spin(rho, sigma, tau), rho, empty)


def scan_x_by_spin(rho: Tensor, sigma: Tensor, tau: Tensor) -> Tensor:
    """SCAN exchange energy per volume of each spin channel (N, 2)."""
    p = _reduced_gradient(rho, sigma)
    uniform = 0.3 * (6.0 * pi**2) ** (2.0 / 3.0) * (rho + TINY) ** (5.0 / 3.0)
    alpha = (tau - sigma[:, ::2] / (8.0 * (rho + TINY))) / uniform
    rest = 1.0 - alpha
    x = MU * p + B4 * p**2 * exp(-abs(B4) / MU * p)
    x = x + (B1 * p + B2 * rest * exp(-B3 * rest**2)) ** 2
    h1x = 1.0 + K1 - K1 / (1.0 + x / K1)
    gx = 1.0 - exp(-A1 * (p + TINY) ** -0.25)
    return _slater_by_spin(rho) * (h1x + _switch(alpha, *SWITCH_X) * (H0X - h1x)) * gx


def _switch(alpha: Tensor, c1: float, c2: float, d: float) -> Tensor:
    """f(alpha), equation (9): 1 at 0, 0 at 1, -d at infinity."""
    below = torch.clamp(alpha, max=1.0 - GAP)
    above = torch.clamp(alpha, min=1.0 + GAP)
    left, right = exp(-c1 * below / (1.0 - below)), -d * exp(c2 / (1.0 - above))
    return torch.where(alpha < 1.0, left, right)


def scan_c(rho: Tensor, sigma: Tensor, tau: Tensor) -> Tensor:
    """SCAN correlation energy per particle (N,)."""
    n = rho.sum(1)
    total = sigma[:, 0] + 2.0 * sigma[:, 1] + sigma[:, 2]
    share = 2.0 * (rho + TINY) / n[:, None]
    uniform = 0.3 * (3.0 * pi**2) ** (2.0 / 3.0) * n ** (5.0 / 3.0)
    uniform = uniform * 0.5 * (share ** (5.0 / 3.0)).sum(1)
    switch = _switch((tau.sum(1) - total / (8.0 * n)) / uniform, *SWITCH_C)
    rs = WIGNER_SEITZ * n ** (-1.0 / 3.0)
    s2 = total * n ** (-8.0 / 3.0) / (4.0 * (3.0 * pi**2) ** (2.0 / 3.0))
    e0, e1 = _one_orbital(rho, share, rs, s2), _slowly_varying(rho, share, rs, s2)
    return e1 + switch * (e0 - e1)


def _one_orbital(rho: Tensor, share: Tensor, rs: Tensor, s2: Tensor) -> Tensor:
    """Energy at alpha = 0."""
    lda = -B1C / (1.0 + B2C * rs**0.5 + B3C * rs)
    g = (1.0 + 4.0 * CHI * s2) ** -0.25
    h0 = B1C * torch.log(1.0 + (exp(-lda / B1C) - 1.0) * (1.0 - g))
    dx = 0.5 * (share ** (4.0 / 3.0)).sum(1)
    z2 = ((rho[:, 0] - rho[:, 1]) / rho.sum(1)) ** 2
    # 1 - zeta^12, free of cancellation at full polarization.
    vanishing = (
        share[:, 0] * share[:, 1] * (1.0 + z2 * (1.0 + z2 * (1.0 + z2 * (1.0 + z2 * (1.0 + z2)))))
    )
    return (lda + h0) * (1.0 - G_CNST * (dx - 1.0)) * vanishing


def _slowly_varying(rho: Tensor, share: Tensor, rs: Tensor, s2: Tensor) -> Tensor:
    """Energy at alpha = 1."""
    phi3 = (0.5 * (share ** (2.0 / 3.0)).sum(1)) ** 3
    lda = pw92(rho, PW92_MODIFIED)
    w1 = exp(-lda / (PBE_GAMMA * phi3)) - 1.0
    beta = PBE_BETA * (1.0 + 0.1 * rs) / (1.0 + 0.1778 * rs)
    # t^2 = (3 pi^2/16)^(2/3) s^2 / (phi^2 rs)
    t2 = (3.0 * pi**2 / 16.0) ** (2.0 / 3.0) * s2 / (phi3 ** (2.0 / 3.0) * rs)
    g = (1.0 + 4.0 * beta / PBE_GAMMA * t2 / w1) ** -0.25
    return lda + PBE_GAMMA * phi3 * torch.log(1.0 + w1 * (1.0 - g))
