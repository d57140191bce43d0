"""A meta-GGA that is linear in its coefficients: products of Legendre polynomials of two features.

Exchange of each spin is Slater's energy density times a factor of that spin's features. PW92's
correlation is divided into parts of equal and of opposite spins (H. Stoll, C. M. E. Pavlidou,
H. Preuss, Theor. Chim. Acta 49, 143 (1978), doi:10.1007/PL00020511); the first has a factor of each
spin's features, the second of the whole density's. With s the reduced gradient, the features are

    u = s^2 / (1 + s^2)    and    beta = (tau - tau_W) / (tau + tau_uniform)

(J. W. Furness, J. Sun, Phys. Rev. B 99, 041119 (2019), doi:10.1103/PhysRevB.99.041119), the
polynomials' arguments 2 u - 1 and 2 beta - 1. Equal spins carry a factor 2 beta: no correlation
where there is one orbital, all of it in the uniform gas (beta = 1/2). Each polynomial of a
correlation part may come times powers of a third feature from -1 to 1, too (`near_region`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.polynomial import legendre

from xcnet.libxc import Functional

Array = npt.NDArray[np.float64]
SLATER = -0.75 * (6.0 / math.pi) ** (1.0 / 3.0)
FERMI = (6.0 * math.pi**2) ** (2.0 / 3.0)  # squared Fermi wave number of one spin over rho^(2/3)
LEAST_DENSITY = 1e-12


@dataclass(frozen=True)
class Orders:
    """Number of polynomials in u and in beta of each part; ``contrast`` powers in correlation."""

    exchange: tuple[int, int]
    equal: tuple[int, int]
    opposite: tuple[int, int]
    contrast: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.contrast, int) or self.contrast < 1:
            raise ValueError(f"powers of the contrast are 1 or more, not {self.contrast}")

    def sizes(self) -> dict[str, int]:
        """Number of columns of each part."""
        return {
            "exchange": math.prod(self.exchange),
            "equal": math.prod(self.equal) * self.contrast,
            "opposite": math.prod(self.opposite) * self.contrast,
        }

    def parts(self) -> dict[str, slice]:
        """Places of each part's columns."""
        slices, first = {}, 0
        for name, size in self.sizes().items():
            slices[name] = slice(first, first + size)
            first += size
        return slices

    def fits(self, larger: Orders) -> bool:
        """Whether all of these orders' columns are among those of larger ones."""
        return self.contrast <= larger.contrast and all(
            order <= most
            for part in larger.parts()
            for order, most in zip(getattr(self, part), getattr(larger, part), strict=True)
        )

    def within(self, larger: Orders) -> npt.NDArray[np.int64]:
        """Places of these orders' columns among those of larger ones."""
        chosen = []
        for name, part in larger.parts().items():
            powers = 1 if name == "exchange" else larger.contrast
            shape = (powers, *getattr(larger, name))
            places = np.arange(part.start, part.stop).reshape(shape)
            in_u, in_beta = getattr(self, name)
            kept = 1 if name == "exchange" else self.contrast
            chosen.append(places[:kept, :in_u, :in_beta].ravel())
        return np.concatenate(chosen)


#: What is kept of every system; fits use as much of it as the data bear.
KEPT = Orders((24, 24), (16, 16), (16, 16))


def integrate(
    rho: Array,
    sigma: Array,
    tau: Array,
    weights: Array,
    orders: Orders,
    contrast: Array | None = None,
) -> Array:
    """Energies of all columns, Hartree (exchange, equal, opposite; beta runs fastest, then u, v).

    Parameters
    ----------
    rho, sigma, tau : (N, 2), (N, 3), (N, 2)
        Spin densities, their gradients' products aa, ab, bb, kinetic energy densities, atomic
        units.
    weights : (N,)
    contrast : (N,)
        The third feature, v, where orders have more than one power.
    """
    v = np.zeros(len(rho)) if contrast is None else contrast
    sizes = orders.sizes()
    exchange, equal = np.zeros(sizes["exchange"]), np.zeros(sizes["equal"])
    local = [pure(rho, spin) for spin in range(2)]
    for spin in range(2):
        kept = rho[:, spin] > LEAST_DENSITY
        n = rho[kept, spin]
        u, beta = features(n, sigma[kept, 2 * spin], tau[kept, spin], FERMI * n ** (2.0 / 3.0))
        slater = SLATER * n ** (4.0 / 3.0) * weights[kept]
        exchange += sums(u, beta, slater, orders.exchange)
        energy = local[spin][kept] * weights[kept] * 2.0 * beta
        equal += _powers(v[kept], u, beta, energy, orders.equal, orders.contrast)
    n = rho.sum(axis=1)
    kept = n > LEAST_DENSITY
    n, a, b = n[kept], rho[kept, 0], rho[kept, 1]
    energy = (uniform_gas(rho)[kept] - local[0][kept] - local[1][kept]) * weights[kept]
    whole = sigma[kept] @ np.array([1.0, 2.0, 1.0])
    u, beta = opposite_features(a, b, whole, tau[kept].sum(axis=1))
    opposite = _powers(v[kept], u, beta, energy, orders.opposite, orders.contrast)
    return np.concatenate([exchange, equal, opposite])


def features(n: Array, sigma: Array, tau: Array, fermi2: Array) -> tuple[Array, Array]:
    """Features u and beta of a density with squared Fermi wave number ``fermi2``."""
    s2 = sigma / (4.0 * fermi2 * n * n)
    weizsaecker = 0.125 * sigma / n
    return s2 / (1.0 + s2), _beta(tau, weizsaecker, 0.3 * fermi2 * n)


def opposite_features(a: Array, b: Array, sigma: Array, tau: Array) -> tuple[Array, Array]:
    """Features of the whole density (spin densities a, b)."""
    n = a + b
    s2 = sigma / (4.0 * (3.0 * math.pi**2 * n) ** (2.0 / 3.0) * n * n)
    uniform = 0.3 * FERMI * (a ** (5.0 / 3.0) + b ** (5.0 / 3.0))
    return s2 / (1.0 + s2), _beta(tau, 0.125 * sigma / n, uniform)


def _beta(tau: Array, weizsaecker: Array, uniform: Array) -> Array:
    return (np.maximum(tau, weizsaecker) - weizsaecker) / (tau + uniform)


def polynomials(u: Array, beta: Array, orders: tuple[int, int]) -> tuple[Array, Array]:
    """Legendre polynomials of both features (N, order)."""
    in_u, in_beta = (
        np.asarray(legendre.legvander(2.0 * x - 1.0, order - 1), dtype=np.float64)
        for x, order in zip((u, beta), orders, strict=True)
    )
    return in_u, in_beta


def sums(u: Array, beta: Array, energy: Array, orders: tuple[int, int]) -> Array:
    """Energies of all products of polynomials, of the energies (N,) at points."""
    in_u, in_beta = polynomials(u, beta, orders)
    return np.asarray((in_u * energy[:, None]).T @ in_beta).ravel()


def _powers(
    v: Array, u: Array, beta: Array, energy: Array, orders: tuple[int, int], powers: int
) -> Array:
    return np.concatenate([sums(u, beta, energy * v**power, orders) for power in range(powers)])


def uniform_gas(rho: Array) -> Array:
    """PW92's correlation per volume."""
    zk = np.zeros((len(rho), 1))
    Functional("LDA_C_PW_MOD", 2).evaluate({"rho": np.ascontiguousarray(rho)}, {"zk": zk})
    return np.asarray(zk[:, 0] * rho.sum(axis=1))


def pure(rho: Array, spin: int) -> Array:
    """PW92's correlation of one spin alone."""
    alone = np.zeros_like(rho)
    alone[:, spin] = rho[:, spin]
    return uniform_gas(alone)


def r2scan_exchange(u: Array, beta: Array) -> Array:
    """r2SCAN's enhancement factor (N,) at features short of 1, where densities are none."""
    u, beta = u.clip(0.0, 0.999), beta.clip(0.0, 0.999)
    n, s2 = np.ones_like(u), u / (1.0 - u)
    uniform, sigma = 0.3 * FERMI * n, 4.0 * FERMI * s2
    weizsaecker = 0.125 * sigma
    tau = (weizsaecker + beta * uniform) / (1.0 - beta)
    inputs = {
        "rho": np.stack([n, n], axis=1),
        "sigma": np.stack([sigma] * 3, axis=1),
        "tau": np.stack([tau, tau], axis=1),
    }
    zk = np.zeros((len(u), 1))
    Functional("MGGA_X_R2SCAN", 2).evaluate(inputs, {"zk": zk})
    return np.asarray(zk[:, 0] / SLATER)
