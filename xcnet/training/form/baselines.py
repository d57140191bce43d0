"""Textbook functionals in torch, spin resolved: Slater, PW92, PBE and TPSS.

Every function maps ``rho (N, 2)``, ``sigma (N, 3)`` in the order (aa, ab, bb) and ``tau (N, 2)``
with the factor 1/2, all in Hartree atomic units, to the energy per particle ``(N,)`` in Hartree.
Constants are those of libxc, so the values agree with it to rounding. All operations are smooth
(but for libxc's bounds in TPSS correlation, and where the exchange of an empty channel ends) and
free of data-dependent control flow; an empty spin channel gives finite values and derivatives.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log, pi
from typing import NamedTuple

import torch
from torch import Tensor, exp, maximum, sqrt
from torch import log as torch_log

#: Keeps negative powers of an exactly empty spin channel finite; below rounding elsewhere.
TINY = 1e-30
#: The same for the correlation of one channel alone, whose energy must not round to zero.
TINY_ALONE = 1e-25

SLATER = -0.75 * (3.0 / pi) ** (1.0 / 3.0)
WIGNER_SEITZ = (3.0 / (4.0 * pi)) ** (1.0 / 3.0)
#: More than half of libxc's floor of 1 - zeta.
HALF_EPSILON = 1.2e-16
F_ZETA = 1.0 / (2.0 ** (4.0 / 3.0) - 2.0)

PBE_KAPPA = 0.8040
PBE_BETA = 0.06672455060314922
PBE_MU = PBE_BETA * pi**2 / 3.0
PBE_GAMMA = (1.0 - log(2.0)) / pi**2
#: phi of full polarization, 2^(-1/3), as libxc has it: 1 - zeta is held at machine epsilon.
PHI_FERRO = 0.5 * (2.0 ** (2.0 / 3.0) + 2.0 ** (-52.0 * 2.0 / 3.0))

TPSS_B, TPSS_C, TPSS_E, TPSS_MU = 0.40, 1.59096, 1.537, 0.21951
TPSS_D = 2.8
TPSS_C00 = (0.53, 0.87, 0.50, 2.26)
#: Half of libxc's 1 - |zeta| up to which it takes C(1, xi), the sum of these, for C(zeta, xi).
TPSS_POLARIZED = 0.5e-12


class PW92(NamedTuple):
    """Parameters of the Perdew-Wang fit: para-, ferromagnetic and minus the spin stiffness.

    Each row is (A, alpha1, beta1, beta2, beta3, beta4) of equation (10); ``curvature`` is
    f''(0). Source: J. P. Perdew, Y. Wang, Phys. Rev. B 45, 13244 (1992),
    doi:10.1103/PhysRevB.45.13244.
    """

    para: tuple[float, ...]
    ferro: tuple[float, ...]
    stiffness: tuple[float, ...]
    curvature: float


_PARA = (0.21370, 7.5957, 3.5876, 1.6382, 0.49294)
_FERRO = (0.20548, 14.1189, 6.1977, 3.3662, 0.62517)
_STIFFNESS = (0.11125, 10.357, 3.6231, 0.88026, 0.49671)

#: As printed in the paper: libxc's LDA_C_PW.
PW92_ORIGINAL = PW92(
    (0.031091, *_PARA), (0.015545, *_FERRO), (0.016887, *_STIFFNESS), curvature=1.709921
)
#: With more digits, as PBE and TPSS use it: libxc's LDA_C_PW_MOD.
PW92_MODIFIED = PW92(
    (0.0310907, *_PARA),
    (0.01554535, *_FERRO),
    (0.0168869, *_STIFFNESS),
    curvature=1.709920934161365617563962776245,
)


def slater(rho: Tensor, empty: float = 0.0) -> Tensor:
    """Slater exchange: P. A. M. Dirac, doi:10.1017/S0305004100016108.

    ``empty``: see `sum_of_channels`; so in all exchange functions here.
    """
    return sum_of_channels(_slater_by_spin(rho), rho, empty)


def sum_of_channels(energies: Tensor, rho: Tensor, empty: float) -> Tensor:
    """Energy per particle (N,) of the exchange energies per volume (N, 2) of both spin channels.

    A channel whose density is at most ``empty`` (bohr^-3), or vanishes beside the other's, has
    none: as in libxc, and because the powers in its derivatives would be huge.
    """
    present = is_present(rho, rho.sum(1, keepdim=True), empty)
    return torch.where(present, energies, 0.0).sum(1) / rho.sum(1)


def is_present(rho: Tensor, total: Tensor, empty: float) -> Tensor:
    """Whether a channel's density exceeds ``empty`` and the rounding of the total density."""
    return rho > empty + HALF_EPSILON * total


def pw92_fit(rs: Tensor, root: Tensor, row: tuple[float, ...]) -> Tensor:
    """Equation (10) of Perdew and Wang; ``root`` is sqrt(rs)."""
    a, alpha1, beta1, beta2, beta3, beta4 = row
    series = root * (beta1 + root * (beta2 + root * (beta3 + root * beta4)))
    return -2.0 * a * (1.0 + alpha1 * rs) * torch_log(1.0 + 1.0 / (2.0 * a * series))


def pw92_fit_slope(rs: Tensor, root: Tensor, row: tuple[float, ...]) -> Tensor:
    """Derivative of `pw92_fit` by rs."""
    a, alpha1, beta1, beta2, beta3, beta4 = row
    q = 2.0 * a * root * (beta1 + root * (beta2 + root * (beta3 + root * beta4)))
    slope = a * (beta1 / root + 2.0 * beta2 + root * (3.0 * beta3 + 4.0 * beta4 * root))
    logarithm = torch_log(1.0 + 1.0 / q)
    return -2.0 * a * (alpha1 * logarithm - (1.0 + alpha1 * rs) * slope / (q * (q + 1.0)))


def pw92(rho: Tensor, parameters: PW92 = PW92_ORIGINAL) -> Tensor:
    """Perdew-Wang correlation of the uniform gas, spin resolved."""
    n = rho.sum(1)
    share = 2.0 * (rho + TINY) / n[:, None]
    zeta = (rho[:, 0] - rho[:, 1]) / n
    rs = WIGNER_SEITZ * n ** (-1.0 / 3.0)
    return pw92_between(rs, zeta, (share ** (4.0 / 3.0)).sum(1), parameters)


def pw92_between(rs: Tensor, zeta: Tensor, shares: Tensor, parameters: PW92) -> Tensor:
    """The same; ``shares`` is (1 + zeta)^(4/3) + (1 - zeta)^(4/3)."""
    root = sqrt(rs)
    fits = [pw92_fit(rs, root, row) for row in parameters[:3]]
    return pw92_of_fits(fits, zeta, shares, parameters)


def pw92_of_fits(fits: Sequence[Tensor], zeta: Tensor, shares: Tensor, parameters: PW92) -> Tensor:
    """Between the values, or slopes by rs, of the three fits."""
    para, ferro, stiffness = fits
    f = F_ZETA * (shares - 2.0)
    z4 = zeta**4
    stiffness = stiffness / parameters.curvature
    return para + f * (z4 * (ferro - para + stiffness) - stiffness)


def _pw92_ferro(rho: Tensor) -> Tensor:
    """Correlation energy of a fully polarized gas of the density ``rho`` (N,)."""
    rs = WIGNER_SEITZ * rho ** (-1.0 / 3.0)
    return pw92_fit(rs, sqrt(rs), PW92_MODIFIED.ferro)


def _slater_by_spin(rho: Tensor) -> Tensor:
    """Exchange energy per volume of each channel (N, 2): half the closed-shell one of 2 rho_s."""
    return (2.0 ** (1.0 / 3.0) * SLATER) * (rho + TINY) ** (4.0 / 3.0)


def _reduced_gradient(rho: Tensor, sigma: Tensor) -> Tensor:
    """Squared reduced gradient s^2 of each spin channel (N, 2)."""
    return sigma[:, ::2] * (rho + TINY) ** (-8.0 / 3.0) / (4.0 * (6.0 * pi**2) ** (2.0 / 3.0))


def pbe_x(rho: Tensor, sigma: Tensor, empty: float = 0.0) -> Tensor:
    """PBE exchange: J. P. Perdew, K. Burke, M. Ernzerhof, doi:10.1103/PhysRevLett.77.3865."""
    s2 = _reduced_gradient(rho, sigma)
    factor = 1.0 + PBE_KAPPA - PBE_KAPPA**2 / (PBE_KAPPA + PBE_MU * s2)
    return sum_of_channels(_slater_by_spin(rho) * factor, rho, empty)


def _pbe_gradient_term(uniform: Tensor, phi3: Tensor | float, t2: Tensor) -> Tensor:
    """H of PBE, equation (7), from the uniform energy, phi^3 and t^2."""
    ratio = PBE_BETA / PBE_GAMMA
    a_t2 = ratio * t2 / (exp(-uniform / (PBE_GAMMA * phi3)) - 1.0)
    argument = ratio * t2 * (1.0 + a_t2) / (1.0 + a_t2 * (1.0 + a_t2))
    return PBE_GAMMA * phi3 * torch_log(1.0 + argument)


def pbe_c(rho: Tensor, sigma: Tensor) -> Tensor:
    """PBE correlation: J. P. Perdew, K. Burke, M. Ernzerhof, doi:10.1103/PhysRevLett.77.3865."""
    n = rho.sum(1)
    phi = 0.5 * ((2.0 * (rho + TINY) / n[:, None]) ** (2.0 / 3.0)).sum(1)
    total = sigma[:, 0] + 2.0 * sigma[:, 1] + sigma[:, 2]
    t2 = total * n ** (-7.0 / 3.0) * (pi / 3.0) ** (1.0 / 3.0) / (16.0 * phi**2)
    uniform = pw92(rho, PW92_MODIFIED)
    return uniform + _pbe_gradient_term(uniform, phi**3, t2)


def _pbe_c_ferro(rho: Tensor, sigma: Tensor) -> Tensor:
    """PBE correlation of each spin channel alone (N, 2); ``sigma`` (N, 2) is (aa, bb)."""
    rho = rho + TINY_ALONE
    t2 = sigma * rho ** (-7.0 / 3.0) * ((pi / 3.0) ** (1.0 / 3.0) / (16.0 * PHI_FERRO**2))
    uniform = _pw92_ferro(rho)
    return uniform + _pbe_gradient_term(uniform, PHI_FERRO**3, t2)


def tpss_x(rho: Tensor, sigma: Tensor, tau: Tensor, empty: float = 0.0) -> Tensor:
    """TPSS exchange: J. Tao et al., Phys. Rev. Lett. 91, 146401 (2003).

    Equations (5)-(10), doi:10.1103/PhysRevLett.91.146401. The square root of equation (10) is
    written without its zero: p sqrt(((3/5 z/p)^2 + 1)/2), where z/p does not depend on sigma.
    """
    ge, kappa = 10.0 / 81.0, PBE_KAPPA
    root_e = TPSS_E**0.5
    p = _reduced_gradient(rho, sigma)
    uniform_tau = 0.3 * (6.0 * pi**2) ** (2.0 / 3.0) * (rho + TINY) ** (5.0 / 3.0)
    weizsaecker = sigma[:, ::2] / (8.0 * (rho + TINY))
    z = weizsaecker / tau
    alpha = (tau - weizsaecker) / uniform_tau
    q = 0.45 * (alpha - 1.0) / sqrt(1.0 + TPSS_B * alpha * (alpha - 1.0)) + 2.0 / 3.0 * p
    slope = (5.0 / 3.0) * uniform_tau / tau  # z/p
    root = p * sqrt(0.18 * slope**2 + 0.5)
    x = (
        (ge + TPSS_C * z**2 / (1.0 + z**2) ** 2) * p
        + 146.0 / 2025.0 * q**2
        - 73.0 / 405.0 * q * root
        + ge**2 / kappa * p**2
        + 2.0 * root_e * ge * 0.36 * z**2
        + TPSS_E * TPSS_MU * p**3
    ) / (1.0 + root_e * p) ** 2
    factor = 1.0 + kappa * x / (kappa + x)
    return sum_of_channels(_slater_by_spin(rho) * factor, rho, empty)


def _tpss_polarization(rho: Tensor, sigma: Tensor) -> Tensor:
    """C(zeta, xi) of TPSS correlation, equations (13) and (14)."""
    n = rho.sum(1)
    a, b = rho[:, 0], rho[:, 1]
    zeta2 = ((a - b) / n) ** 2
    grad_zeta2 = b**2 * sigma[:, 0] - 2.0 * a * b * sigma[:, 1] + a**2 * sigma[:, 2]
    xi2 = grad_zeta2 * n ** (-14.0 / 3.0) / (3.0 * pi**2) ** (2.0 / 3.0)
    share = 2.0 * (rho + TINY) / n[:, None]
    c0, c2, c4, c6 = TPSS_C00
    numerator = c0 + zeta2 * (c2 + zeta2 * (c4 + zeta2 * c6))
    mixed = numerator / (1.0 + 0.5 * xi2 * (share ** (-4.0 / 3.0)).sum(1)) ** 4
    return torch.where(rho.amin(1) <= TPSS_POLARIZED * n, sum(TPSS_C00), mixed)


def tpss_c(rho: Tensor, sigma: Tensor, tau: Tensor, empty: float = 0.0) -> Tensor:
    """TPSS correlation: equations (11)-(14), doi:10.1103/PhysRevLett.91.146401.

    As in libxc, z is at most 1, and an empty channel (see `sum_of_channels`) has the energy per
    particle of both.
    """
    n = rho.sum(1)
    z = (sigma[:, 0] + 2.0 * sigma[:, 1] + sigma[:, 2]) / (8.0 * n * tau.sum(1))
    z = torch.where(z > 1.0, 1.0, z)
    both = pbe_c(rho, sigma)
    single = maximum(_pbe_c_ferro(rho, sigma[:, ::2]), both[:, None])
    single = torch.where(is_present(rho, n[:, None], empty), single, both[:, None])
    c = _tpss_polarization(rho, sigma)
    revpkzb = both * (1.0 + c * z**2) - (1.0 + c) * z**2 * (rho * single).sum(1) / n
    return revpkzb * (1.0 + TPSS_D * revpkzb * z**3)
