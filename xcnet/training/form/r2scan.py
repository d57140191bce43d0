"""r2SCAN in torch: J. W. Furness et al., J. Phys. Chem. Lett. 11, 8208 (2020).

doi:10.1021/acs.jpclett.0c02405, equations of its supplement; what it has of SCAN is in `scan`.
Values agree with libxc's to rounding. All derivatives are continuous where the iso-orbital
indicator passes one and, to the digits of the paper's polynomial, 0 and 2.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import pi
from typing import NamedTuple

import torch
from torch import Tensor, exp

from xcnet.training.form.baselines import (
    PBE_BETA,
    PBE_GAMMA,
    PW92_MODIFIED,
    SLATER,
    TINY,
    WIGNER_SEITZ,
    pw92_fit,
    pw92_fit_slope,
    pw92_of_fits,
)
from xcnet.training.form.scan import A1, B1C, B2C, B3C, CHI, G_CNST, H0X, K1, MU

ETA, DP2 = 1e-3, 0.361
#: c1, c2 and d of the interpolation, and its polynomial's coefficients from the constant on.
SWITCH_X, SWITCH_C = (0.667, 0.8, 1.24), (0.64, 1.5, 0.7)
POLYNOMIAL_X = (1.0, -0.667, -0.4445555, -0.663086601049, 1.45129704449, -0.887998041597,
                0.234528941479, -0.023185843322)  # fmt: skip
POLYNOMIAL_C = (1.0, -0.64, -0.4352, -1.535685604549, 3.061560252175, -1.915710236206,
                0.516884468372, -0.051848879792)  # fmt: skip
#: Where the polynomial ends.
LAST = 2.5
#: exp(-p^2 / DP2^4) is zero beyond; larger powers of p would be infinite.
DAMPED = 4.0


def _slope_at_one(polynomial: Sequence[float]) -> float:
    return sum(i * coefficient for i, coefficient in enumerate(polynomial))


#: Equations (S11) and (S12).
C_X = -(20.0 / 27.0 + 5.0 / 3.0 * ETA) * _slope_at_one(POLYNOMIAL_X) * (1.0 - H0X)
SLOPE_C = _slope_at_one(POLYNOMIAL_C)


def r2scan_x(n: Tensor, sigma: Tensor, tau: Tensor) -> Tensor:
    """Exchange energy per volume (N,) of one spin channel, by its own density, gradient, tau."""
    n = n + TINY
    root = n ** (1.0 / 3.0)
    four_thirds = n * root
    p = sigma / (4.0 * (6.0 * pi**2) ** (2.0 / 3.0) * (four_thirds * four_thirds))
    uniform = 0.3 * (6.0 * pi**2) ** (2.0 / 3.0) * (four_thirds * root)
    x = MU * p + C_X * _damped(p)
    h1x = 1.0 + K1 - K1 / (1.0 + x / K1)
    switch = _switch(_indicator(n, sigma, tau, uniform), POLYNOMIAL_X, SWITCH_X)
    gx = 1.0 - exp(-A1 * (p + TINY) ** -0.25)
    slater = (2.0 ** (1.0 / 3.0) * SLATER) * four_thirds
    return slater * (h1x + switch * (H0X - h1x)) * gx


class Spins(NamedTuple):
    """What correlation has of the spins: the uniform gas, its slope by rs, and factors of zeta.

    ``phi`` is ((1 + zeta)^(2/3) + (1 - zeta)^(2/3)) / 2, ``kinetic`` the same of 5/3, and
    ``one_orbital`` scales the energy of one orbital; all (N,), or 1 for closed shells.
    """

    uniform: Tensor
    slope: Tensor
    phi: Tensor | float = 1.0
    kinetic: Tensor | float = 1.0
    one_orbital: Tensor | float = 1.0


def spins(a: Tensor, b: Tensor) -> Spins:
    """Of the densities (N,) of both spins."""
    n = a + b
    zeta = (a - b) / n
    shares = [2.0 * (x + TINY) / n for x in (a, b)]
    roots = [share ** (1.0 / 3.0) for share in shares]
    four_thirds = shares[0] * roots[0] + shares[1] * roots[1]
    phi = 0.5 * (roots[0] * roots[0] + roots[1] * roots[1])
    kinetic = 0.5 * sum(x * y * y for x, y in zip(shares, roots, strict=True))
    z2 = zeta * zeta
    # 1 - zeta^12, free of cancellation at full polarization.
    vanishing = (
        shares[0] * shares[1] * (1.0 + z2 * (1.0 + z2 * (1.0 + z2 * (1.0 + z2 * (1.0 + z2)))))
    )
    rs, root = _radius(n)
    uniform, slope = (
        pw92_of_fits([fit(rs, root, row) for row in PW92_MODIFIED[:3]], zeta, four_thirds,
                     PW92_MODIFIED)
        for fit in (pw92_fit, pw92_fit_slope)
    )  # fmt: skip
    one_orbital = (1.0 - G_CNST * (0.5 * four_thirds - 1.0)) * vanishing
    return Spins(uniform, slope, phi, kinetic, one_orbital)


def paired(n: Tensor) -> Spins:
    """Of the density (N,) of a closed shell."""
    rs, root = _radius(n)
    row = PW92_MODIFIED.para
    return Spins(pw92_fit(rs, root, row), pw92_fit_slope(rs, root, row))


def r2scan_c(n: Tensor, sigma: Tensor, tau: Tensor, of: Spins) -> Tensor:
    """Correlation energy per particle (N,) of the total density, its gradient, the total tau."""
    root = n ** (1.0 / 3.0)
    four_thirds = n * root
    s2 = sigma / (4.0 * (3.0 * pi**2) ** (2.0 / 3.0) * (four_thirds * four_thirds))
    uniform = 0.3 * (3.0 * pi**2) ** (2.0 / 3.0) * (four_thirds * root) * of.kinetic
    switch = _switch(_indicator(n, sigma, tau, uniform), POLYNOMIAL_C, SWITCH_C)
    rs, root_rs = _radius(n)
    denominator = 1.0 + B2C * root_rs + B3C * rs
    lda = -B1C / denominator
    slope = B1C * (0.5 * B2C / root_rs + B3C) / (denominator * denominator)
    g = (1.0 + 4.0 * CHI * s2) ** -0.25
    e0 = (lda + B1C * torch.log(1.0 + (exp(-lda / B1C) - 1.0) * (1.0 - g))) * of.one_orbital
    differences = of.one_orbital * lda - of.uniform, of.one_orbital * slope - of.slope
    e1 = _slowly_varying(rs, s2, of, *differences)
    return e1 + switch * (e0 - e1)


def _slowly_varying(
    rs: Tensor, s2: Tensor, of: Spins, difference: Tensor, difference_slope: Tensor
) -> Tensor:
    """Energy at alpha = 1, equations (S29) to (S34)."""
    scale = PBE_GAMMA * of.phi * of.phi * of.phi
    w1 = exp(-of.uniform / scale) - 1.0
    beta = PBE_BETA * (1.0 + 0.1 * rs) / (1.0 + 0.1778 * rs)
    # t^2 = (3 pi^2/16)^(2/3) s^2 / (phi^2 rs)
    y = (3.0 * pi**2 / 16.0) ** (2.0 / 3.0) / PBE_GAMMA * beta * s2 / (of.phi * of.phi * rs * w1)
    change = 20.0 * rs * difference_slope - 45.0 * ETA * difference
    dy = SLOPE_C / 27.0 * change * _damped(s2) / (of.kinetic * scale * w1)
    g = (1.0 + 4.0 * (y - dy)) ** -0.25
    return of.uniform + scale * torch.log(1.0 + w1 * (1.0 - g))


def _radius(n: Tensor) -> tuple[Tensor, Tensor]:
    """rs and its square root."""
    rs = WIGNER_SEITZ * n ** (-1.0 / 3.0)
    return rs, rs.sqrt()


def _indicator(n: Tensor, sigma: Tensor, tau: Tensor, uniform: Tensor) -> Tensor:
    """Iso-orbital indicator, equation (S6)."""
    weizsaecker = sigma / (8.0 * n)
    return (tau - weizsaecker) / (uniform + ETA * weizsaecker)


def _damped(p: Tensor) -> Tensor:
    """p exp(-p^2 / DP2^4)."""
    small = p.clamp(max=DAMPED)
    return small * exp(-(small * small) / DP2**4)


def _switch(
    alpha: Tensor, polynomial: Sequence[float], parameters: tuple[float, float, float]
) -> Tensor:
    """Interpolation, equation (S26): 1 at 0, 0 at 1, -d at infinity."""
    c1, c2, d = parameters
    negative, large = alpha.clamp(max=0.0), alpha.clamp(min=LAST)
    between = alpha.clamp(0.0, LAST)
    value = torch.full_like(alpha, polynomial[-1])
    for coefficient in reversed(polynomial[:-1]):
        value = coefficient + between * value
    above = torch.where(alpha > LAST, -d * exp(c2 / (1.0 - large)), value)
    return torch.where(alpha < 0.0, exp(-c1 * negative / (1.0 - negative)), above)
