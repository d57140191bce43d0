"""Expressions with nonlocal functionals, evaluated on a whole grid.

A nonlocal functional's energy density f = n zk depends at each point on the local variables x
(n, its gradient, tau) and on descriptors R = S (w n) of the density everywhere. All derivatives
of the energy follow from the pointwise partial ones, S and its transpose:

    potential       v  = f_x + [S^T (w f_R)]                              (the latter by n only)
    its change      dv = f_xx dx + f_xR dR + [S^T (w (f_Rx dx + f_RR dR))],   dR = S (w dn).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pyscf.dft import xc_deriv

from xcnet import variables
from xcnet.adapters.pyscf import expressions, layout, neural
from xcnet.adapters.pyscf.expressions import Plan
from xcnet.adapters.pyscf.facade import Libxc
from xcnet.adapters.pyscf.layout import Array
from xcnet.grid import Channel, Grid
from xcnet.spec import NearRegion

NOTHING: Array = np.empty(0)


@dataclass(frozen=True, eq=False)
class Response(Channel):
    """A channel that can change with the density; s spins, N points.

    Attributes
    ----------
    mixed : (s, rows, N)
        d f_R by the density rows; empty for ``deriv=1``.
    curvature : (N,)
        d f_R/dR; zero for ``deriv=1``.
    """

    mixed: Array
    curvature: Array


@dataclass(frozen=True, eq=False)
class Values:
    """An expression and its derivatives at fixed descriptors, and the descriptors' own.

    Attributes
    ----------
    grid : Grid
        All points.
    exc : (N,)
        Energy per particle, Hartree.
    partial : (s, rows, N)
        Derivatives of n zk by the density rows, of both spins for s = 2.
    second : (s, rows, s, rows, N)
        Their derivatives; empty for ``deriv=1``.
    channels : dict
        The nonlocal part, by descriptor.
    """

    grid: Grid
    exc: Array
    partial: Array
    second: Array
    channels: dict[NearRegion, Response]

    @property
    def nonlocal_potential(self) -> Array:
        """Sum of the channels' potentials (N,), Hartree; the same for both spins."""
        return np.sum([channel.potential for channel in self.channels.values()], axis=0)

    @property
    def potential(self) -> Array:
        """Effective derivatives (s, rows, N): the energy's change is sum of w v dx."""
        total = self.partial.copy()
        total[:, 0] += self.nonlocal_potential
        return total

    def response(self, change: Array) -> Array:
        """Change of `potential` (s, rows, N) with the density rows (s, rows, N), to first order.

        It needs values of ``deriv=2``.
        """
        result: Array = np.einsum("sxg,sxtyg->tyg", change, self.second)
        density = change[:, 0].sum(axis=0)
        for descriptor, channel in self.channels.items():
            near = self.grid.near_region(descriptor, density)[:, 0]
            slope = np.einsum("sxg,sxg->g", channel.mixed, change) + channel.curvature * near
            result += channel.mixed * near
            result[:, 0] += self.grid.potential(descriptor, channel.near_region, slope)
        return result


def evaluate(
    libxc: Libxc, plan: Plan, grid: Grid, rho: Array, deriv: int, omega: float | None
) -> Values:
    """Evaluate an expression on a whole grid.

    Parameters
    ----------
    libxc
        The stand-in that made the plan.
    plan
        Of an expression with a nonlocal functional.
    grid
        All points.
    rho : (s, rows, N)
        Density rows; s = 1 for closed shells.
    deriv
        1, or 2 for `Values.response` as well.
    omega
        See `Libxc.eval_xc1`.
    """
    spin, kind = len(rho) - 1, plan.kind
    flat = libxc.add_local(plan, rho, deriv, omega)
    total = rho[:, 0].sum(axis=0)
    parts: dict[NearRegion, tuple[Array, Array, Array]] = {}
    for weight, entry in plan.neural:
        descriptor = expressions.near_region(entry)
        if descriptor is None:
            continue
        if descriptor not in parts:
            size = len(layout.derivatives(kind, spin, deriv - 1)), len(grid)
            near = grid.near_region(descriptor, total)
            parts[descriptor] = near, np.zeros(size), np.zeros(len(grid))
        near, slopes, curvature = parts[descriptor]
        outputs = neural.values(entry, rho, deriv, near)
        own = expressions.kind_of(entry)
        rows, place = neural.flat(outputs, own, spin, deriv), layout.embed(own, kind, spin, deriv)
        flat[place] += weight * rows
        place = layout.embed(own, kind, spin, deriv - 1)
        slopes[place] += weight * _slopes(outputs, own, spin, deriv - 1)
        if deriv > 1:
            curvature += weight * outputs["v2near_region2"][:, 0]
    return Values(
        grid,
        flat[0],
        _by_rows(rho, flat, kind, 1),
        _by_rows(rho, flat, kind, 2) if deriv > 1 else NOTHING,
        {each: _channel(grid, each, rho, kind, deriv, *part) for each, part in parts.items()},
    )


def _slopes(outputs: dict[str, Array], kind: str, spin: int, deriv: int) -> Array:
    """f_R and, for deriv 1, its derivatives, as a flat array."""
    flat = np.empty((len(layout.derivatives(kind, spin, deriv)), len(outputs["vnear_region"])))
    flat[0] = outputs["vnear_region"][:, 0]
    if deriv:
        for name in layout.VARIABLES[kind]:
            label = variables.labels((name, "near_region"), 2)[1]
            flat[layout.label_rows(kind, spin, 1)[f"v{name}"]] = outputs[label].T
    return flat


def _channel(
    grid: Grid,
    descriptor: NearRegion,
    rho: Array,
    kind: str,
    deriv: int,
    near: Array,
    slopes: Array,
    curvature: Array,
) -> Response:
    clipped = near[:, 0] <= 0.0
    slopes[:, clipped] = curvature[clipped] = 0.0
    channel = grid.channel(descriptor, near, slopes[0])
    mixed = _by_rows(rho, slopes, kind, 1) if deriv > 1 else NOTHING
    return Response(near, channel.slope, channel.potential, mixed, curvature)


def _by_rows(rho: Array, flat: Array, kind: str, order: int) -> Array:
    """Derivatives by the density rows, (s, rows, N) or (s, rows, s, rows, N), from flat ones."""
    spin = len(rho) - 1
    values = xc_deriv.transform_xc(rho if spin else rho[0], flat, kind, spin, order)
    shape = (spin + 1, layout.ROWS[kind]) * order
    result: Array = np.asarray(values).reshape(*shape, rho.shape[-1])
    return result
