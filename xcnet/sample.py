"""Densities at single points, in all variables: what functionals are checked with.

Spin-resolved arrays ``(N, k)`` by name, Hartree atomic units, components in libxc's order.
Values of descriptors are samples of their own, or those of the uniform gas.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import prod
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from xcnet import variables as conventions
from xcnet.operators import Descriptor

Array = NDArray[np.float64]

#: tau of the uniform gas is this times rho_s^(5/3), for each spin.
UNIFORM_TAU = 0.3 * (6.0 * np.pi**2) ** (2.0 / 3.0)
FERMI = 2.0 * (6.0 * np.pi**2) ** (1.0 / 3.0)
#: For functionals without descriptors.
NO_DESCRIPTORS: Mapping[str, Descriptor] = MappingProxyType({})


def sample(
    variables: Iterable[str],
    n: int,
    seed: int,
    descriptors: Mapping[str, Descriptor] = NO_DESCRIPTORS,
) -> dict[str, Array]:
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
    values = {"rho": rho, "sigma": sigma, "lapl": lapl, "tau": tau}
    for label, descriptor in descriptors.items():
        values[label] = descriptor.sample(total[:, None], rho, rng, wide=True)
    return {name: np.ascontiguousarray(values[name]) for name in variables}


def moderate(
    variables: Iterable[str],
    n: int,
    seed: int = 0,
    low: float = 1e-3,
    high: float = 10.0,
    descriptors: Mapping[str, Descriptor] = NO_DESCRIPTORS,
) -> dict[str, Array]:
    """Physical densities strictly inside every bound, so that small steps stay inside.

    Spin densities are log-uniform, reduced gradients up to 3, tau between the von Weizsaecker
    bound and about five times the uniform gas's, lapl of either sign.
    """
    rng = np.random.default_rng(seed)
    rho = np.exp(rng.uniform(np.log(low), np.log(high), (n, 2)))
    norm = rng.uniform(0.05, 3.0, (n, 2)) * FERMI * rho ** (4 / 3)
    saa, sbb = (norm**2).T
    # |sigma_ab| is limited by the mean, which is at least the geometric one.
    sab = rng.uniform(-0.95, 0.95, n) * np.sqrt(saa * sbb)
    sigma = np.stack([saa, sab, sbb], axis=1)
    tau = sigma[:, ::2] / (8.0 * rho) + rng.uniform(0.02, 5.0, (n, 2)) * UNIFORM_TAU * rho ** (
        5 / 3
    )
    lapl = rng.normal(size=(n, 2)) * rho ** (5 / 3)
    values = {"rho": rho, "sigma": sigma, "lapl": lapl, "tau": tau}
    total = rho.sum(axis=1, keepdims=True)
    for label, descriptor in descriptors.items():
        values[label] = descriptor.sample(total, rho, rng, wide=False)
    return {name: values[name] for name in variables}


def closed_shell(polarized: Mapping[str, Array]) -> tuple[dict[str, Array], dict[str, Array]]:
    """Unpolarized variables, ``(N, 1)`` of the density, and the same density as polarized ones."""
    total, channels = {}, {}
    for name, array in polarized.items():
        width, all_spins = conventions.sizes(name)
        total[name] = array[:, :width] / conventions.closed_shell_share(name)
        channels[name] = np.tile(array[:, :width], (1, all_spins // width))
    return total, channels


def scaled(
    points: Mapping[str, Array],
    gamma: Array | float,
    descriptors: Mapping[str, Descriptor] = NO_DESCRIPTORS,
) -> dict[str, Array]:
    """Uniformly scaled densities, gamma^3 n(gamma r), at the points that r is scaled to.

    Descriptors become what they themselves say (`Descriptor.scaled`).
    """
    power = {"rho": 3, "sigma": 8, "lapl": 5, "tau": 5}
    factor = np.asarray(gamma, dtype=np.float64).reshape(-1, 1)
    return {
        name: descriptors[name].scaled(array, factor)
        if name in descriptors
        else array * factor ** power[name]
        for name, array in points.items()
    }


def one_spin(points: Mapping[str, Array], channel: int) -> dict[str, Array]:
    """Densities of which both spins are one spin (0, 1) of the given ones."""
    result = {}
    for name, array in points.items():
        columns = [i for i, s in enumerate(conventions.spin_channels(name)) if s == (channel,)]
        width = array.shape[1]
        result[name] = np.tile(array[:, columns], (1, width // len(columns)))
    return result


def channels(inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Share of the electrons in the spin channel that each component belongs to.

    Components of both spins (``sigma_ab``) take the geometric mean, those of the total density
    and of closed shells one. Same shapes as ``inputs``.
    """
    if inputs["rho"].shape[1] == 1:
        return {name: np.ones_like(value) for name, value in inputs.items()}
    share = inputs["rho"] / inputs["rho"].sum(axis=1, keepdims=True)
    both = np.sqrt(share[:, :1] * share[:, 1:])
    parts = {(): np.ones_like(both), (0,): share[:, :1], (1,): share[:, 1:], (0, 1): both}
    return {
        name: np.hstack([parts[spins] for spins in conventions.spin_channels(name)])
        for name in inputs
    }


def magnitudes(inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Natural unit of each component: its size, and for ``sigma_ab`` that of |grad a||grad b|."""
    result = {name: np.abs(value) for name, value in inputs.items()}
    if result.get("sigma", np.empty((0, 1))).shape[1] == 3:
        result["sigma"] = result["sigma"].copy()
        result["sigma"][:, 1] = np.sqrt(result["sigma"][:, 0] * result["sigma"][:, 2])
    return result


class Scales:
    """What the components of a derivative are measured by: the energy, in their own units.

    A derivative may vanish by cancellation, where no digit of it means anything; so a difference
    in it is compared with the larger of two: the component itself, and the energy density times
    the share of the electrons in the least populated spin channel that the component belongs to,
    in the natural units of its variables.
    """

    def __init__(self, points: Mapping[str, Array], zk: Array) -> None:
        self._energy = np.abs(zk[:, 0] * points["rho"].sum(axis=1))
        self._units, self._shares = magnitudes(points), channels(points)
        self._spin = points["rho"].shape[1]

    def of(self, label: str, column: int, values: Array) -> Array:
        """Scale ``(N,)`` of one column of an output with these values ``(N,)``."""
        factors = conventions.components(label, self._spin)[column]
        if not factors:
            return np.abs(values)
        unit = prod((self._units[v][:, i] for v, i in factors), start=np.ones_like(values))
        shares = [np.ones_like(values), *(self._shares[v][:, i] for v, i in factors)]
        floor: Array = self._energy * np.min(shares, axis=0) / unit
        return np.maximum(np.abs(values), floor)
