"""Factors of the expansion over a mesh of their features.

Penalties and bounds are on function values here, not on coefficients: coefficients of polynomials
that molecules hardly tell apart say little, and a small one may still make a factor wiggle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.polynomial import legendre

from xcnet.training.linear.expansion import Orders

Array = npt.NDArray[np.float64]
PARTS = ("exchange", "equal", "opposite")
SIZE = 21  # points in u and in beta


@dataclass(frozen=True)
class Mesh:
    """Points (N, 3) in u, beta and v."""

    points: Array

    @property
    def u(self) -> Array:
        """First feature."""
        return np.asarray(self.points[:, 0])

    @property
    def beta(self) -> Array:
        """Second feature."""
        return np.asarray(self.points[:, 1])


def mesh(size: int, powers: int) -> Mesh:
    """Even mesh over 0 <= u, beta <= 1, and -1 <= v <= 1 where factors depend on it."""
    contrasts = np.linspace(-1.0, 1.0, 5) if powers > 1 else np.zeros(1)
    axes = (np.linspace(0.0, 1.0, size), np.linspace(0.0, 1.0, size), contrasts)
    return Mesh(np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=1))


def of_part(part: str, orders: Orders, size: int = SIZE) -> Mesh:
    """Mesh of a part's features."""
    return mesh(size, 1 if part == "exchange" else orders.contrast)


def values(part: str, orders: Orders, points: Array, derivative: tuple[int, int] = (0, 0)) -> Array:
    """A part's factor, or a derivative of it by u and beta, at points by its coefficients (N, k).

    For equal spins the factor is without its 2 beta.
    """
    in_u, in_beta = getattr(orders, part)
    u, beta = (
        _polynomials(points[:, axis], order, times)
        for axis, (order, times) in enumerate(zip((in_u, in_beta), derivative, strict=True))
    )
    products = np.einsum("ni,nj->nij", u, beta).reshape(len(points), -1)
    powers = 1 if part == "exchange" else orders.contrast
    return np.hstack([products * points[:, 2:] ** power for power in range(powers)])


def rows(part: str, orders: Orders, points: Array, derivative: tuple[int, int] = (0, 0)) -> Array:
    """`values` in the columns of all parts."""
    places = orders.parts()
    whole = np.zeros((len(points), sum(orders.sizes().values())))
    whole[:, places[part]] = values(part, orders, points, derivative)
    return whole


def _polynomials(x: Array, order: int, derivative: int) -> Array:
    """Derivatives of the Legendre polynomials of 2 x - 1 by x (N, order)."""
    basis: Array = np.eye(order)
    if derivative:
        basis = np.asarray(legendre.legder(basis, derivative, scl=2.0, axis=0), dtype=np.float64)
    return np.asarray(legendre.legval(2.0 * x - 1.0, basis).T)
