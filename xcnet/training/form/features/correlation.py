"""Correlation: PW92's energy density times a factor that is 1 for the uniform gas.

The factor is 1 + (1 - v) f_1 + b f_2 with network outputs f, v = 1 without a gradient and b = 0
at the kinetic energy density of the uniform gas of the same spin densities.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from xcnet.operators.near_region import NearRegion
from xcnet.training.form.baselines import F_ZETA, PW92_MODIFIED, WIGNER_SEITZ
from xcnet.training.form.features.form import PartForm
from xcnet.training.form.features.shares import (
    UNIFORM,
    gradient_share,
    near_region_contrast,
    orbital_indicator,
)

#: Scale of v: x = 2 weizsaecker / (rho_a^(2/3) + rho_b^(2/3))^2 is proportional to PBE's t^2.
CORRELATION_SCALE = 2.0
#: (rho_a^(2/3) + rho_b^(2/3)) / n^(2/3) goes from 2^(1/3) (unpolarized) to 1 (polarized).
UNPOLARIZED = 2.0 ** (1.0 / 3.0)
PHI_CENTER, PHI_SCALE = 1.26, 7.0
#: Kinetic energy density of the unpolarized uniform gas, tau = PARAMAGNETIC n^(5/3).
PARAMAGNETIC = 0.3 * (3.0 * math.pi**2) ** (2.0 / 3.0)

#: The near-region density R, as wide as published (doi:10.1038/s41524-020-0310-0).
NEAR_REGION = NearRegion("continuum", 0.2)


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
    gas = _Gas.of(rho_a, rho_b)
    weizsaecker = 0.125 * sigma / gas.n
    v, s = gas.gradient_shares(weizsaecker)
    b = orbital_indicator(gas.tau(rho_a, rho_b), weizsaecker, tau)
    base = gas.energy
    return (
        base,
        torch.stack([base * (1.0 - v), base * b], -1),
        torch.stack([gas.r, gas.phi, v, s, b], -1),
    )


def nra_columns(
    rho_a: Tensor, rho_b: Tensor, sigma: Tensor, tau: Tensor, near_region: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """As `columns`, with the contrast of the near-region density R (...) as one more feature."""
    base, coefficients, features = columns(rho_a, rho_b, sigma, tau)
    u = near_region_contrast(rho_a + rho_b, near_region, NEAR_REGION.sigma_bohr)
    return base, coefficients, torch.cat([features, u[..., None]], -1)


def gga_columns(
    rho_a: Tensor, rho_b: Tensor, sigma: Tensor, *_: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """As `columns`, without the kinetic energy density: 1 + (1 - v) f(r, phi, v, s)."""
    gas = _Gas.of(rho_a, rho_b)
    v, s = gas.gradient_shares(0.125 * sigma / gas.n)
    coefficients = (gas.energy * (1.0 - v))[..., None]
    return gas.energy, coefficients, torch.stack([gas.r, gas.phi, v, s], -1)


def lda_columns(rho_a: Tensor, rho_b: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Factor 1 + f(r, phi) of the densities alone: the uniform gas is given up."""
    gas = _Gas.of(rho_a, rho_b)
    return gas.energy, gas.energy[..., None], torch.stack([gas.r, gas.phi], -1)


class _Gas(NamedTuple):
    """What all forms need of the uniform gas with the spin densities of a point."""

    n: Tensor
    root: Tensor
    roots: tuple[Tensor, Tensor]
    squares: Tensor
    energy: Tensor
    r: Tensor
    phi: Tensor

    @classmethod
    def of(cls, rho_a: Tensor, rho_b: Tensor) -> _Gas:
        """The gas of two spin densities; one tensor for both, a closed shell, costs less."""
        if rho_a is rho_b:
            return cls._unpolarized(2.0 * rho_a)
        n = rho_a + rho_b
        root_a, root_b, root = (x ** (1.0 / 3.0) for x in (rho_a, rho_b, n))
        squares = root_a * root_a + root_b * root_b
        rs_root, r = _radius(root)
        energy = n * _pw92(rho_a * root_a + rho_b * root_b, n, root, rho_a - rho_b, rs_root)
        phi = PHI_SCALE * (squares / (root * root) - PHI_CENTER)
        return cls(n, root, (root_a, root_b), squares, energy, r, phi)

    @classmethod
    def _unpolarized(cls, n: Tensor) -> _Gas:
        root = n ** (1.0 / 3.0)
        half_root = 2.0 ** (-1.0 / 3.0) * root
        rs_root, r = _radius(root)
        energy = n * _fit(rs_root, PW92_MODIFIED.para)
        phi = torch.full_like(n, PHI_SCALE * (UNPOLARIZED - PHI_CENTER))
        squares = UNPOLARIZED * (root * root)
        return cls(n, root, (half_root, half_root), squares, energy, r, phi)

    def gradient_shares(self, weizsaecker: Tensor) -> tuple[Tensor, Tensor]:
        """Fourth roots v, by the spin densities, and s, by the total density."""
        _, v = gradient_share(self.squares * self.squares, weizsaecker, CORRELATION_SCALE)
        uniform = PARAMAGNETIC * (self.n * (self.root * self.root))
        return v, gradient_share(uniform, weizsaecker, 1.0)[1]

    def tau(self, rho_a: Tensor, rho_b: Tensor) -> Tensor:
        """Kinetic energy density of the gas."""
        root_a, root_b = self.roots
        return UNIFORM * (rho_a * (root_a * root_a) + rho_b * (root_b * root_b))


def _radius(root: Tensor) -> tuple[Tensor, Tensor]:
    """Square root of the Wigner-Seitz radius, and the feature of it, from 1 to -1."""
    rs_root = (WIGNER_SEITZ / root).sqrt()
    return rs_root, 2.0 / (1.0 + rs_root) - 1.0


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


META_GGA = PartForm(5, 2, columns)
NRA = PartForm(6, 2, nra_columns)
GGA = PartForm(4, 1, gga_columns)
LDA = PartForm(2, 1, lda_columns)
