"""Correlation: PW92's energy density times a factor that is 1 for the uniform gas.

The factor is 1 + (1 - v) f_1 + b f_2 with network outputs f, v = 1 without a gradient and b = 0
at the kinetic energy density of the uniform gas of the same spin densities.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from xcnet.training.baselines import (
    F_ZETA,
    PW92_MODIFIED,
    WIGNER_SEITZ,
)
from xcnet.training.features.shares import (
    ETA,
    UNIFORM,
    Array,
    alpha_of,
    gradient_share,
    orbital_indicator,
    weizsaecker_of,
)
from xcnet.training.mesh import Axis

#: Scale of v: x = 2 weizsaecker / (rho_a^(2/3) + rho_b^(2/3))^2 is proportional to PBE's t^2.
CORRELATION_SCALE = 2.0
#: (rho_a^(2/3) + rho_b^(2/3)) / n^(2/3) goes from 1.26 (unpolarized) to 1 (polarized).
PHI_CENTER, PHI_SCALE = 1.26, 7.0
#: Kinetic energy density of the unpolarized uniform gas, tau = PARAMAGNETIC n^(5/3).
PARAMAGNETIC = 0.3 * (3.0 * math.pi**2) ** (2.0 / 3.0)

INPUTS = 5
OUTPUTS = 2
#: r, phi, v and b on the mesh of `xcnet.training.mesh`; s follows from them.
AXES = (
    Axis(0, -0.99, 0.99, 25),
    Axis(1, PHI_SCALE * (1.0 - PHI_CENTER), PHI_SCALE * (2.0 ** (1.0 / 3.0) - PHI_CENTER), 9),
    Axis(2, 0.05, 1.0, 25),
    Axis(4, -0.999, 1.0, 25),
)


def columns(
    rho_a: Tensor, rho_b: Tensor, sigma: Tensor, tau: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Parts of the energy density ``base + sum_o coefficients[o] f_o(features)``.

    Parameters
    ----------
    rho_a, rho_b : (...)
        Spin densities, bohr^-3; both must be positive (an empty channel is clamped before).
    sigma, tau : (...)
        Squared gradient of the total density, total kinetic energy density, atomic units.

    Returns
    -------
    base (...), coefficients (..., 2), features (..., 5)
    """
    n = rho_a + rho_b
    root_a, root_b, root = (x ** (1.0 / 3.0) for x in (rho_a, rho_b, n))
    squares = root_a * root_a + root_b * root_b
    root2 = root * root
    weizsaecker = 0.125 * sigma / n
    uniform = UNIFORM * (rho_a * (root_a * root_a) + rho_b * (root_b * root_b))
    b = orbital_indicator(uniform, weizsaecker, tau)
    _, v = gradient_share(squares * squares, weizsaecker, CORRELATION_SCALE)
    _, s = gradient_share(PARAMAGNETIC * (n * root2), weizsaecker, 1.0)
    rs_root = (WIGNER_SEITZ / root).sqrt()
    base = n * _pw92(rho_a * root_a + rho_b * root_b, n, root, rho_a - rho_b, rs_root)
    r = 2.0 / (1.0 + rs_root) - 1.0
    phi = PHI_SCALE * (squares / root2 - PHI_CENTER)
    return base, torch.stack([base * (1.0 - v), base * b], -1), torch.stack([r, phi, v, s, b], -1)


def variables(r: Array, phi: Array, v: Array, b: Array) -> Array:
    """Spin densities, squared gradient and tau (N, 4) of a density with these features."""
    rs_root = 2.0 / (1.0 + r) - 1.0
    n = 3.0 / (4.0 * math.pi * rs_root**6)
    factor = phi / PHI_SCALE + PHI_CENTER
    spins = n * np.stack([majority := _majority(factor), 1.0 - majority])
    weizsaecker = weizsaecker_of(v, factor**2 * n ** (4.0 / 3.0), CORRELATION_SCALE)
    uniform = UNIFORM * (spins ** (5.0 / 3.0)).sum(axis=0)
    tau = weizsaecker + alpha_of(b) * (uniform + ETA * weizsaecker)
    return np.stack([*spins, 8.0 * n * weizsaecker, tau], axis=1)


def _majority(factor: Array) -> Array:
    """Share y of the majority spin for which y^(2/3) + (1 - y)^(2/3) is ``factor``; bisection."""
    low, high = np.full_like(factor, 0.5), np.ones_like(factor)
    for _ in range(60):
        middle = 0.5 * (low + high)
        above = middle ** (2.0 / 3.0) + (1.0 - middle) ** (2.0 / 3.0) > factor
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.minimum(low, 1.0 - 1e-12)


def _pw92(four_thirds: Tensor, n: Tensor, root: Tensor, spin: Tensor, rs_root: Tensor) -> Tensor:
    """PW92 (doi:10.1103/PhysRevB.45.13244) from powers that the features need anyway."""
    para, ferro, stiffness = (_fit(rs_root, row) for row in PW92_MODIFIED[:3])
    stiffness = stiffness / PW92_MODIFIED.curvature
    f = (2.0 ** (4.0 / 3.0) * F_ZETA) * four_thirds / (n * root) - 2.0 * F_ZETA
    zeta2 = (spin / n) * (spin / n)
    return para + f * (zeta2 * zeta2 * (ferro - para + stiffness) - stiffness)


def _fit(x: Tensor, row: tuple[float, ...]) -> Tensor:
    a, alpha1, beta1, beta2, beta3, beta4 = row
    series = x * (beta1 + x * (beta2 + x * (beta3 + x * beta4)))
    return (-2.0 * a * (1.0 + alpha1 * (x * x))) * torch.log(1.0 + 1.0 / (2.0 * a * series))
