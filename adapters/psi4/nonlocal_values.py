"""Nonlocal functionals on a whole grid: energies, potentials, and what a moving point adds.

The energy density f = n zk of a nonlocal functional depends at each point on the local variables
x and on the descriptor R = S (w n) of the density everywhere (`xcnet.grid`). Its potential is
f_x + S^T (w f_R), the latter by n only.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations_with_replacement

import numpy as np

from xcnet.adapters.psi4.nonlocal_partition import Array
from xcnet.adapters.psi4.nonlocal_parts import Parts
from xcnet.functionals import LibXCFunctional
from xcnet.grid import Channel, Grid
from xcnet.registry import Entry
from xcnet.spec import NearRegion


@dataclass(frozen=True, eq=False)
class Values:
    """Nonlocal terms at the density of N points.

    Attributes
    ----------
    grid : Grid
        The points.
    exc : (N,)
        Energy density n zk, Hartree bohr^-3.
    potential : (s, 5, N)
        Derivatives of the energy, divided by the weights, by the density's rows n, grad n, tau;
        s = 1 for closed shells, of the total density, 2 for those of both spins.
    channels : dict
        The nonlocal part of it, by descriptor.
    """

    grid: Grid
    exc: Array
    potential: Array
    channels: dict[NearRegion, Channel]

    @property
    def energy(self) -> float:
        """Energy in Hartree."""
        return float(self.grid.points.weights @ self.exc)

    def motion(self, gradient: Array) -> Array:
        """What a moving point adds: `Grid.motion`, for the total density's gradient (3, N)."""
        return self.grid.motion(self.channels, gradient)


def evaluate(parts: Parts, grid: Grid, rows: Array) -> Values:
    """Evaluate nonlocal terms for density rows (s, 5, N) of a whole grid."""
    inputs = _variables(rows)
    density = rows[:, 0].sum(axis=0)
    exc, potential = np.zeros(len(grid)), np.zeros_like(rows)
    near: dict[NearRegion, Array] = {}
    slopes: dict[NearRegion, Array] = {}
    for weight, entry in parts.terms:
        assert entry.spec is not None
        descriptor = entry.spec.descriptors.get("near_region")
        if descriptor is not None:
            if descriptor not in near:
                near[descriptor] = grid.near_region(descriptor, density)
                slopes[descriptor] = np.zeros(len(grid))
            inputs["near_region"] = near[descriptor]
        outputs = _functional(entry, len(rows)).compute(inputs)
        exc += weight * density * outputs["zk"][:, 0]
        _add_potential(potential, weight, outputs, rows)
        if descriptor is not None:
            slopes[descriptor] += weight * outputs["vnear_region"][:, 0]
    channels = {each: grid.channel(each, near[each], slopes[each]) for each in near}
    for channel in channels.values():
        potential[:, 0] += channel.potential
    return Values(grid, exc, potential, channels)


def _variables(rows: Array) -> dict[str, Array]:
    """libxc's variables (N, components)."""
    pairs = combinations_with_replacement(rows[:, 1:4], 2)
    sigma = np.array([np.einsum("xg,xg->g", a, b) for a, b in pairs])
    values = {"rho": rows[:, 0], "sigma": sigma, "tau": rows[:, 4]}
    return {name: np.ascontiguousarray(value.T) for name, value in values.items()}


def _add_potential(potential: Array, weight: float, outputs: dict[str, Array], rows: Array) -> None:
    """Add derivatives by the rows, from those by libxc's variables at a fixed descriptor."""
    potential[:, 0] += weight * outputs["vrho"].T
    if "vsigma" in outputs:
        pairs = combinations_with_replacement(range(len(rows)), 2)
        for (a, b), slope in zip(pairs, weight * outputs["vsigma"].T, strict=True):
            potential[a, 1:4] += slope * rows[b, 1:4]
            potential[b, 1:4] += slope * rows[a, 1:4]
    if "vtau" in outputs:
        potential[:, 4] += weight * outputs["vtau"].T


@lru_cache(maxsize=64)
def _functional(entry: Entry, spins: int) -> LibXCFunctional:
    return LibXCFunctional(entry.name, spins)
