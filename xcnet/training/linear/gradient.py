"""A GGA that is linear in its coefficients: the parts of `expansion`, without tau.

Exchange has polynomials of u alone, a correlation part of u and of d = 1 / (1 + sqrt(r_s)), each of
its density: of a spin's for equal spins, of the whole one for opposite spins. Equal spins have no
factor 2 beta: one electron is not seen to be one.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numpy.polynomial import legendre

from xcnet.libxc import Functional
from xcnet.training.linear.expansion import (
    FERMI,
    LEAST_DENSITY,
    SLATER,
    Orders,
    pure,
    sums,
    uniform_gas,
)

Array = npt.NDArray[np.float64]
#: What is kept of every system. Exchange has one polynomial in d: none.
KEPT = Orders((24, 1), (16, 16), (16, 16))


def integrate(rho: Array, sigma: Array, tau: Array, weights: Array, orders: Orders) -> Array:
    """Energies of all columns, Hartree (exchange, equal, opposite; d runs fastest, then u).

    Parameters are those of `expansion.integrate`; ``tau`` is not used.
    """
    exchange, equal = (np.zeros(orders.sizes()[part]) for part in ("exchange", "equal"))
    local = [pure(rho, spin) for spin in range(2)]
    for spin in range(2):
        kept = rho[:, spin] > LEAST_DENSITY
        n = rho[kept, spin]
        u, d = features(n, sigma[kept, 2 * spin], FERMI * n ** (2.0 / 3.0))
        exchange += sums(u, d, SLATER * n ** (4.0 / 3.0) * weights[kept], orders.exchange)
        equal += sums(u, d, local[spin][kept] * weights[kept], orders.equal)
    n = rho.sum(axis=1)
    kept = n > LEAST_DENSITY
    n, whole = n[kept], sigma[kept] @ np.array([1.0, 2.0, 1.0])
    energy = (uniform_gas(rho)[kept] - local[0][kept] - local[1][kept]) * weights[kept]
    u, d = features(n, whole, (3.0 * math.pi**2 * n) ** (2.0 / 3.0))
    return np.concatenate([exchange, equal, sums(u, d, energy, orders.opposite)])


def features(n: Array, sigma: Array, fermi2: Array) -> tuple[Array, Array]:
    """Features u and d of a density with squared Fermi wave number ``fermi2``, from 0 to 1."""
    s2 = sigma / (4.0 * fermi2 * n * n)
    wigner_seitz = (3.0 / (4.0 * math.pi * n)) ** (1.0 / 3.0)
    return s2 / (1.0 + s2), 1.0 / (1.0 + np.sqrt(wigner_seitz))


def gas(order: int) -> Array:
    """Values of d (order,) that polynomials of this order are known by: all are of the gas."""
    return np.asarray(0.5 * (1.0 + legendre.leggauss(order)[0]))


def pbe_exchange(u: Array, d: Array) -> Array:
    """PBE's enhancement factor (N,) at values of u short of 1, where densities are none."""
    s2 = u.clip(0.0, 0.999) / (1.0 - u.clip(0.0, 0.999))
    n, sigma = np.ones_like(u), 4.0 * FERMI * s2
    inputs = {"rho": np.stack([n, n], axis=1), "sigma": np.stack([sigma] * 3, axis=1)}
    zk = np.zeros((len(u), 1))
    Functional("GGA_X_PBE", 2).evaluate(inputs, {"zk": zk})
    return np.asarray(zk[:, 0] / SLATER)
