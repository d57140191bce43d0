"""Points like those of molecules: what exported functionals are checked and documented with."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: tau of the uniform gas is this times rho_s^(5/3), for each spin.
UNIFORM_TAU = 0.3 * (6.0 * np.pi**2) ** (2.0 / 3.0)
FERMI = 2.0 * (6.0 * np.pi**2) ** (1.0 / 3.0)


def sample(variables: Iterable[str], n: int, seed: int) -> dict[str, Array]:
    """Spin-resolved density variables ``(n, k)``, Hartree atomic units, by name.

    A quarter each of closed shells, open shells, strong polarization (down to a spin channel
    that holds 1e-8 of the density), and tails (density 1e-9 to 1e-4, large reduced gradients).
    Cores and one-orbital regions (tau at its von Weizsaecker limit) are among all of them.
    """
    rng = np.random.default_rng(seed)
    kind = np.arange(n) % 4
    total = np.where(kind == 3, 10.0 ** rng.uniform(-9, -4, n), 10.0 ** rng.uniform(-4, 2.5, n))
    minority = np.select(
        [kind == 0, kind == 2],
        [np.full(n, 0.5), 10.0 ** rng.uniform(-8, -2, n)],
        rng.uniform(0.1, 0.9, n),
    )
    rho = total[:, None] * np.stack([1.0 - minority, minority], axis=1)
    s = np.where(kind == 3, rng.uniform(1.0, 8.0, n), 10.0 ** rng.uniform(-2.0, 0.4, n))
    spread = np.where(kind == 0, 1.0, 10.0 ** rng.uniform(-0.3, 0.3, n))
    gradient = FERMI * rho ** (4.0 / 3.0) * s[:, None] * np.stack([spread, 1.0 / spread], axis=1)
    cosine = np.where(kind == 0, 1.0, rng.uniform(-0.9, 1.0, n))
    sigma = np.stack([gradient[:, 0], cosine * gradient[:, 0], gradient[:, 1]], axis=1)
    sigma *= gradient[:, [0, 1, 1]]
    alpha = np.where(rng.random(n) < 0.1, 1e-6, 10.0 ** rng.uniform(-1.5, 1.0, n))
    tau = gradient**2 / (8.0 * rho) + alpha[:, None] * UNIFORM_TAU * rho ** (5.0 / 3.0)
    lapl = rng.normal(size=(n, 1)) * FERMI**2 * rho ** (5.0 / 3.0)
    # 8 pi sigma^3 n is what a uniform gas gives for sigma = 0.2 bohr.
    near_region = 0.2 * total[:, None] * 10.0 ** rng.uniform(-0.5, 0.5, (n, 1))
    values = {"rho": rho, "sigma": sigma, "lapl": lapl, "tau": tau, "near_region": near_region}
    return {name: np.ascontiguousarray(values[name]) for name in variables}


def channels(inputs: dict[str, Array]) -> dict[str, Array]:
    """Share of the electrons in the spin channel that each component belongs to.

    Components of both spins (``sigma_ab``) take the geometric mean, those of the total density
    one. Same shapes as ``inputs``.
    """
    share = inputs["rho"] / inputs["rho"].sum(axis=1, keepdims=True)
    both = np.sqrt(share[:, :1] * share[:, 1:])
    mixed = {1: np.ones_like(both), 2: share, 3: np.hstack([share[:, :1], both, share[:, 1:]])}
    return {name: mixed[value.shape[1]] for name, value in inputs.items()}


def magnitudes(inputs: dict[str, Array]) -> dict[str, Array]:
    """Natural unit of each component: its size, and for ``sigma_ab`` that of |grad a||grad b|."""
    result = {name: np.abs(value) for name, value in inputs.items()}
    if "sigma" in result:
        result["sigma"] = result["sigma"].copy()
        result["sigma"][:, 1] = np.sqrt(result["sigma"][:, 0] * result["sigma"][:, 2])
    return result
