"""The near-region density: how much density there is within a fraction of a bohr around a point.

R(r) = integral of n(r') exp(-|r - r'|/sigma). A functional's record says which of two definitions
it was trained with: ``grid-sum``, the published sum over the molecular grid, or ``continuum``, the
integral itself. The continuum's map may contain 1/w: its potential means something only times w.

Source: R. Nagai, R. Akashi, O. Sugino, npj Comput. Mater. 6, 43 (2020),
doi:10.1038/s41524-020-0310-0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

import numpy as np

from xcnet.operators.base import Array, GridOperator, LinearMap, Motion, Points, Rng

#: Width of all functionals so far, bohr; samples of others are scaled from it.
USUAL = 0.2


@dataclass(frozen=True)
class NearRegion(GridOperator):
    """The descriptor with its parameters.

    Attributes
    ----------
    definition : {"grid-sum", "continuum"}
        See the module.
    sigma_bohr : float
        Width, bohr.
    cutoff : float or None
        Of the grid sum: pairs with exp(-d/sigma) below it are left out.

    Raises
    ------
    ValueError
        Another definition, or a grid sum without cut-off.
    """

    label = "near_region"
    #: Quadrature noise can make it slightly negative; the published definition clips it.
    floor = 0.0
    schema: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {
            "description": "R(r) = integral of n(r') exp(-|r - r'|/sigma)",
            "type": "object",
            "additionalProperties": False,
            "required": ["definition", "sigma_bohr"],
            "properties": {
                "definition": {"enum": ["grid-sum", "continuum"]},
                "sigma_bohr": {"type": "number", "exclusiveMinimum": 0, "maximum": 10},
                "cutoff": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
            },
        }
    )

    definition: str
    sigma_bohr: float
    cutoff: float | None = None

    def __post_init__(self) -> None:
        if self.definition not in ("grid-sum", "continuum"):
            raise ValueError(
                f"the definition {self.definition!r} of near_region is not known; there are "
                "'grid-sum' and 'continuum'"
            )
        if self.definition == "grid-sum" and self.cutoff is None:
            raise ValueError("the definition 'grid-sum' of near_region needs a cutoff")

    def on(self, points: Points) -> LinearMap:
        """See `GridOperator.on`; the continuum needs the atoms of the points."""
        if self.cutoff is not None and self.definition == "grid-sum":
            from xcnet.operators.near_region.grid_sum import GridSum

            return Field(GridSum(points.coords, self.sigma_bohr, self.cutoff), points.weights)
        from xcnet.operators.near_region.continuum import Continuum

        return Field(Continuum(points, self.sigma_bohr), points.weights)

    def uniform_gas(self, rho: Array) -> Array:
        """8 pi sigma^3 n."""
        result: Array = 8.0 * np.pi * self.sigma_bohr**3 * rho.sum(axis=1, keepdims=True)
        return result

    def sample(self, n: Array, rho: Array, rng: Rng, wide: bool) -> Array:
        """About the uniform gas's, which is 0.2 n for the usual width."""
        size = (len(n), 1)
        gas = (self.sigma_bohr / USUAL) ** 3
        if wide:
            return np.asarray(gas * 0.2 * n * 10.0 ** rng.uniform(-0.5, 0.5, size))
        return np.asarray(gas * n * rng.uniform(0.05, 0.2, size))

    def hydrogen(self, radii: Array) -> Array:
        """Integral of the hydrogen atom's density times the kernel, by shells of r'."""
        nodes, weights = np.polynomial.legendre.leggauss(60)
        edges = np.array([0.0, 0.1, 0.3, 0.6, 1.0, 1.5, 2.5, 4.0, 6.0, 9.0, 14.0, 20.0])
        half = np.diff(edges)[:, None] / 2.0
        inner = (edges[:-1, None] + half * (1.0 + nodes)).ravel()
        weight = (half * weights).ravel()
        sigma = self.sigma_bohr

        def primitive(u: Array) -> Array:
            return np.asarray(-sigma * (u + sigma) * np.exp(-u / sigma))

        far, near = radii[:, None] + inner, np.abs(radii[:, None] - inner)
        shell = 2.0 * np.pi * inner / radii[:, None] * (primitive(far) - primitive(near))
        result = (shell * weight * np.exp(-2.0 * inner) / np.pi).sum(axis=1)
        return np.asarray(result[:, None])


class _Sum(Protocol):
    """One of the definitions on a set of points, without the axis of channels."""

    def apply(self, charges: Array) -> Array: ...

    def transpose(self, slopes: Array) -> Array: ...


class Field:
    """The map on one set of points, as a `LinearMap`.

    Parameters
    ----------
    matrix : GridSum or Continuum
        The definition on the points.
    weights : (N,)
        Of the points.
    """

    def __init__(self, matrix: _Sum, weights: Array) -> None:
        self._matrix = matrix
        self._weights = weights

    def apply(self, charges: Array) -> Array:
        """R (N, 1), electrons, of the charges w n (N, 1)."""
        return self._matrix.apply(np.ascontiguousarray(charges[:, 0]))[:, None]

    def transpose(self, slopes: Array) -> Array:
        """S^T x (N, 1), Hartree, of x (N, 1)."""
        return self._matrix.transpose(np.ascontiguousarray(slopes[:, 0]))[:, None]

    def motion(
        self, channels: Array, slopes: Array, adjoint: Array, gradient: Array | None
    ) -> Motion:
        """A point moves through the field R, whose gradient is S (w grad n) as for any convolution.

        Its own share in the field of the others does not count, and neither do the weights: both
        are quadrature errors of R.
        """
        if gradient is None:
            raise ValueError("a field of the density moves with its gradient")
        weights = self._weights
        field = np.array([self._matrix.apply(weights * along) for along in gradient])
        return Motion(weights * (slopes[:, 0] * field - adjoint[:, 0] * gradient))


DESCRIPTOR = NearRegion
