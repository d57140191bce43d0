"""Nonlocal functionals on a whole grid: descriptors from the density, and the effective potential.

The energy E = sum_i w_i n_i zk_i depends on the density at point i also through the descriptor R
at all others. Its exact derivative, dE/dn_i = w_i v_i, defines the effective potential

    v_i = d(n zk)/dn_i + [S^T (w f_R)]_i,    f_R = d(n zk)/dR where R > 0, else 0,

with R = S (w n) from `xcnet.near_region`: nothing is divided by a weight, which may be zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xcnet import engine
from xcnet.errors import InputError
from xcnet.near_region import Array, Operator, operator
from xcnet.near_region.points import read_points, read_values
from xcnet.spec import NearRegion
from xcnet.terms import TermFunctional


@dataclass(frozen=True, eq=False)
class Channel:
    """What an energy has to do with one descriptor.

    Attributes
    ----------
    near_region : (N, 1)
        The descriptor R, electrons.
    slope : (N,)
        f_R = d(n zk)/dR, zero where R is clipped.
    potential : (N,)
        The nonlocal potential S^T (w f_R), Hartree.
    """

    near_region: Array
    slope: Array
    potential: Array


class Grid:
    """All points of a calculation, in any order. A host makes it once per geometry.

    Parameters
    ----------
    coords : (N, 3) array
        Points, bohr.
    weights : (N,) array
        Integration weights, bohr^3, of any sign.
    centres : (A, 3) array, optional
        Centres of the atomic grids, bohr. The continuum descriptor needs this and the next two.
    parents : (N,) array of int, optional
        Centre that each point belongs to, -1 for none (padding of zero weight).
    volumes : (N,) array, optional
        Weights before the partition among the atoms.
    numbers : (A,) array, optional
        Atomic numbers of the centres, 0 for ghosts. With them the continuum descriptor is several
        times more accurate on coarse grids, and the nonlocal potential has a meaning only times
        the weights: it is huge where a weight is tiny.

    Raises
    ------
    InputError, ArgumentTypeError
        Naming the array that is wrong.
    """

    def __init__(
        self,
        coords: Any,
        weights: Any,
        *,
        centres: Any = None,
        parents: Any = None,
        volumes: Any = None,
        numbers: Any = None,
    ) -> None:
        self.points = read_points(coords, weights, centres, parents, volumes, numbers)
        self._operators: dict[NearRegion, Operator] = {}

    def __len__(self) -> int:
        return len(self.points.weights)

    def operator(self, descriptor: NearRegion) -> Operator:
        """The descriptor's linear map on these points, made when first asked for."""
        found = self._operators.get(descriptor)
        if found is None:
            found = self._operators[descriptor] = operator(descriptor, self.points)
        return found

    def near_region(self, descriptor: NearRegion, density: Any) -> Array:
        """Descriptor R (N, 1), in electrons, of the total density n (N,) in bohr^-3.

        Quadrature noise can make it slightly negative; functionals clip it at zero.
        """
        density = read_values("density", density, len(self))
        return self.operator(descriptor).apply(self.points.weights * density)[:, None]

    def potential(self, descriptor: NearRegion, near_region: Array, slopes: Any) -> Array:
        """Nonlocal part (N,) of the potential, Hartree, from f_R = d(n zk)/dR (N, 1) at R (N, 1).

        What is added to the derivative by rho, of either spin, at fixed R.
        """
        slopes = read_values("slopes", np.reshape(slopes, -1), len(self))
        # A clipped descriptor does not change with the density.
        active = np.where(np.reshape(near_region, -1) > 0.0, self.points.weights, 0.0)
        return self.operator(descriptor).transpose(active * slopes)

    def channel(self, descriptor: NearRegion, near_region: Array, slope: Array) -> Channel:
        """Channel of the descriptor R (N, 1), from f_R (N,) before it is clipped."""
        potential = self.potential(descriptor, near_region, slope)
        return Channel(near_region, np.where(near_region[:, 0] > 0.0, slope, 0.0), potential)

    def motion(self, channels: Mapping[NearRegion, Channel], gradient: Array) -> Array:
        """What a moving point adds to (w v) grad x: (3, N), Hartree/bohr.

        A point moves through the field R, whose gradient is S (w grad n) as for any convolution,
        while its own share in the field of the others does not count: a quadrature error.

        Parameters
        ----------
        channels : mapping
            The channels of an energy, by descriptor.
        gradient : (3, N)
            Of the total density.
        """
        result = np.zeros_like(gradient)
        for descriptor, channel in channels.items():
            field = [self.near_region(descriptor, along)[:, 0] for along in gradient]
            result += channel.slope * np.array(field) - channel.potential * gradient
        return self.points.weights * result

    def check_size(self, points: int, functional: str) -> None:
        """Raise InputError unless the density has as many points as the grid."""
        if points != len(self):
            raise InputError(
                f"{functional}: the density has {points} points, coords and weights have "
                f"{len(self)}; a nonlocal functional is evaluated on the whole grid at once",
                functional=functional,
                argument="coords",
                expected=len(self),
                given=points,
            )


def add_terms(
    grid: Grid,
    terms: Sequence[tuple[float, TermFunctional]],
    inputs: Mapping[str, Array],
    views: Mapping[str, Array],
) -> None:
    """Add weighted functionals on the whole grid to outputs; vrho becomes the effective potential.

    Parameters
    ----------
    grid : Grid
        All N points.
    terms : sequence of (weight, functional)
        Local and nonlocal ones.
    inputs : mapping
        Validated density variables (N, k), without descriptors.
    views : mapping
        Outputs (N, width) by label, of orders exc and vxc.
    """
    density = inputs["rho"].sum(axis=1)
    wanted = dict.fromkeys(t.near_region for _, t in terms if t.near_region is not None)
    near = {each: grid.near_region(each, density) for each in wanted}
    slopes = {each: np.zeros_like(near[each]) for each in near} if "vrho" in views else {}

    def work(part: slice) -> None:
        chunk = {name: array[part] for name, array in inputs.items()}
        for weight, term in terms:
            own, outputs = dict(chunk), dict(views)
            if term.near_region is not None:
                own["near_region"] = near[term.near_region][part]
                if slopes:
                    outputs["vnear_region"] = slopes[term.near_region]
            for label, value in term.evaluate(own, outputs.keys()).items():
                outputs[label][part] += weight * value

    size = engine.chunk([True, True], inputs["rho"].shape[1])
    engine.for_each_chunk(len(density), size, work)
    for each, slope in slopes.items():
        views["vrho"][...] += grid.potential(each, near[each], slope)[:, None]
