"""Local exact exchange: the exact exchange energy per volume, of each spin and of each range.

With the density matrix D of one spin, orbitals chi and E = D chi(r),

    h(r) = -1/2 sum_bd E_b E_d (b | v(|r - r'|) | d),   v(R) = 1/R or erf(omega R)/R,

whose integral over all space is the exact exchange energy of that spin, of the long range where
omega > 0. Each h is a quadratic form of D, so that its response is exact without differences.

Source: J. Jaramillo, G. E. Scuseria, M. Ernzerhof, J. Chem. Phys. 118, 1068 (2003),
doi:10.1063/1.1528936; the two ranges: J. Kirkpatrick et al., Science 374, 1385 (2021),
doi:10.1126/science.abj6511.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from math import erf
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from xcnet.operators.base import Array, Rng
from xcnet.operators.fields import OrbitalField, Orbitals

#: Exchange of a gas of one spin is this times rho_s^(4/3), Hartree bohr^-3.
SLATER = -0.75 * (6.0 / np.pi) ** (1.0 / 3.0)
#: Above this omega/(2 k_F), the share of the long range is taken from its series.
SERIES = 5.0
_erf = np.frompyfunc(erf, 1, 1)


@dataclass(frozen=True)
class LocalExactExchange(OrbitalField):
    """The descriptor with its parameters.

    Values: energies per volume, Hartree bohr^-3, negative; of each spin those of all omegas.

    Attributes
    ----------
    omegas : tuple of two floats
        Range separations, bohr^-1: 0, the whole range, and another.

    Raises
    ------
    ValueError
        Others.
    """

    label = "local_exact_exchange"
    width = 2
    scales = True
    schema: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {
            "description": "exact exchange energy per volume for 1/R (omega 0) or erf(omega R)/R",
            "type": "object",
            "additionalProperties": False,
            "required": ["omegas"],
            "properties": {
                "omegas": {
                    "type": "array",
                    "items": {"type": "number", "minimum": 0, "maximum": 10},
                    "minItems": 2,
                    "maxItems": 2,
                },
            },
        }
    )

    omegas: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.omegas[0] != 0.0 or not self.omegas[1] > 0.0:
            raise ValueError(
                f"the omegas {list(self.omegas)} of {self.label} are not 0 and a positive one"
            )

    @classmethod
    def from_record(cls, parameters: Mapping[str, Any]) -> LocalExactExchange:
        """See `Descriptor.from_record`."""
        return cls(tuple(float(omega) for omega in parameters["omegas"]))

    def values(self, orbitals: Orbitals, matrix: Array) -> Array:
        """h (N, 2) of one spin's density matrix."""
        return self._form(orbitals, matrix, matrix)

    def change(self, orbitals: Orbitals, matrix: Array, change: Array) -> Array:
        """Exact, by the symmetry of the form."""
        return 2.0 * self._form(orbitals, matrix, change)

    def fock(self, orbitals: Orbitals, matrix: Array, slopes: Array) -> Array:
        """-1/2 sum_i slopes_i (chi_c A_d + A_c chi_d) at the points i, A = sum_b E_b (b|v|d)."""
        half = np.zeros_like(matrix)
        for part, chi in orbitals.blocks():
            moved = np.zeros_like(chi)
            for omega, slope in zip(self.omegas, slopes[part].T, strict=True):
                moved += slope[:, None] * orbitals.pair_potentials(part, omega, matrix)
            half += chi.T @ moved
        return -0.5 * (half + half.T)

    def fock_change(self, orbitals: Orbitals, matrix: Array, change: Array, slopes: Array) -> Array:
        """Exact, because `fock` is linear in the density matrix."""
        return self.fock(orbitals, change, slopes)

    def _form(self, orbitals: Orbitals, first: Array, second: Array) -> Array:
        """The quadratic forms' bilinear ones (N, 2)."""
        result = np.empty((len(orbitals.coords), len(self.omegas)))
        for part, chi in orbitals.blocks():
            orbital = chi @ second
            for column, omega in enumerate(self.omegas):
                potentials = orbitals.pair_potentials(part, omega, first)
                result[part, column] = -0.5 * np.einsum("pd,pd->p", potentials, orbital)
        return result

    def uniform_gas(self, rho: Array) -> Array:
        """Slater's energy of each spin, times the share of the long range."""
        return self._scaled_gas(rho, np.ones_like(rho))

    def sample(self, n: Array, rho: Array, rng: Rng, wide: bool) -> Array:
        """Of holes that are wider or narrower than the uniform gas's."""
        wider = 10.0 ** rng.uniform(*((-0.5, 0.5) if wide else (-0.2, 0.2)), rho.shape)
        return self._scaled_gas(rho, wider)

    def _scaled_gas(self, rho: Array, wider: Array) -> Array:
        """Values (N, 4) of gases whose holes are wider by factors (N, 2)."""
        wave = np.cbrt(6.0 * np.pi**2 * np.maximum(rho, 1e-300)) / wider
        energy = SLATER * np.cbrt(rho) ** 4 / wider
        columns = [
            energy[:, spin] * long_range_share(0.5 * omega / wave[:, spin]) if omega else e
            for spin, e in enumerate(energy.T)
            for omega in self.omegas
        ]
        return np.stack(columns, axis=1)

    def scaled(self, values: Array, gamma: Array) -> Array:
        """h(0) grows as gamma^4; the share of the long range becomes that of omega/gamma.

        That share is taken from the uniform gas that has the same share before.
        """
        result = values * gamma**4
        for whole, far in ((0, 1), (2, 3)):
            share = _ratio(values[:, far], values[:, whole])
            a = np.interp(share, *_shares())
            moved = long_range_share(a / gamma[:, 0])
            result[:, far] = np.where(share > 0.0, moved, 0.0) * result[:, whole]
        return result

    def energy_scale(self, values: Array) -> Array:
        """Exact exchange itself."""
        return np.asarray(np.abs(values).sum(axis=1))

    def hydrogen(self, radii: Array) -> Array:
        """-n/2 times the potential of the density n, spin a; none of spin b."""
        density = np.exp(-2.0 * radii) / np.pi
        columns = [-0.5 * density * _hydrogen_potential(radii, omega) for omega in self.omegas]
        zero = np.zeros_like(density)
        return np.stack([*columns, *([zero] * len(columns))], axis=1)


def long_range_share(a: Array) -> Array:
    """Share of erf(omega R)/R in the exchange energy of the uniform gas, a = omega/(2 k_F).

    P. M. W. Gill, R. D. Adamson, J. A. Pople, Mol. Phys. 88, 1005 (1996),
    doi:10.1080/00268979609484488, eq. 15.
    """
    a = np.asarray(a, dtype=np.float64)
    near = np.clip(a, 1e-30, SERIES)
    bracket = np.sqrt(np.pi) * np.asarray(_erf(0.5 / near), dtype=np.float64)
    bracket += (2.0 * near - 4.0 * near**3) * np.exp(-0.25 / near**2) - 3.0 * near + 4.0 * near**3
    far = np.maximum(a, SERIES) ** -2
    series = far * (1 / 36 - far * (1 / 960 - far * (1 / 26880 - far / 829440)))
    return np.asarray(np.where(a > SERIES, 1.0 - series, 8.0 / 3.0 * near * bracket))


@cache
def _shares() -> tuple[Array, Array]:
    """`long_range_share` of many arguments, and these."""
    a = np.geomspace(1e-8, 1e3, 4001)
    return long_range_share(a), a


def _ratio(numerator: Array, divisor: Array) -> Array:
    return np.divide(numerator, divisor, out=np.zeros_like(divisor), where=divisor != 0.0)


def _hydrogen_potential(radii: Array, omega: float) -> Array:
    """Potential of the hydrogen atom's density (N,) by 1/R or erf(omega R)/R."""
    if not omega:
        return np.asarray((1.0 - (1.0 + radii) * np.exp(-2.0 * radii)) / radii)
    # The transform of the density is 16/(4 + k^2)^2, that of the kernel 4 pi exp(-k^2/4w^2)/k^2.
    nodes, weights = np.polynomial.legendre.leggauss(500)
    wave = 7.0 * omega * (1.0 + nodes)
    amplitude = 14.0 * omega * weights / np.pi * 16.0 / (4.0 + wave**2) ** 2
    amplitude *= np.exp(-((0.5 * wave / omega) ** 2))
    return np.asarray(np.sinc(wave * radii[:, None] / np.pi) @ amplitude)


DESCRIPTOR = LocalExactExchange
