"""Becke's partition of a molecular grid among its atoms, and its derivatives.

A. D. Becke, J. Chem. Phys. 88, 2547 (1988), doi:10.1063/1.454033. Point r belongs to atom i by
P_i / sum_k P_k with P_i = product_j s(nu_ij), nu = mu + a (1 - mu^2), mu = (d_i - d_j) / R_ij,
d_i = |r - X_i|, and a step s with s(-nu) = 1 - s(nu), so that each pair is looked at once.

Here are the cells of hosts, with derivatives; softer cells of descriptors are made of the same
`shifted` and `steeper` (`partition_loops`).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from xcnet import threads
from xcnet.operators.points import Array

Indices = npt.NDArray[np.int64]

#: Points of a chunk: the arrays of a pair of atoms stay in the cache.
CHUNK = 4096
#: Below this a divisor is zero, and so is the quotient.
_VANISHING = 1e-200


def shifted(mu: Any, a: Any) -> Any:
    """Coordinate between two atoms, -1 to 1, with the border moved by a; numbers or arrays."""
    return mu + a * (1.0 - mu * mu)


def steeper(nu: Any) -> Any:
    """Becke's polynomial, from -1 to 1, flat at both ends; iterated it becomes a step."""
    return nu * (1.5 - 0.5 * nu * nu)


def adjustments(radii: Array, power: float) -> Array:
    """Becke's a_ij (A, A), which shifts borders between atoms of different radii (any unit).

    ``power`` 1 is Becke's choice, 1/2 that of O. Treutler and R. Ahlrichs, J. Chem. Phys. 102, 346
    (1995), doi:10.1063/1.469408, 0 none.
    """
    ratio = (radii[:, None] / radii) ** power
    return np.clip((1.0 - ratio**2) / (4.0 * ratio), -0.5, 0.5)


def shares(coords: Array, centres: Array, parents: Indices, a: Array) -> Array:
    """Share (N,) of its own atom in each point."""
    result = np.empty(len(coords))

    def work(part: slice) -> None:
        products = _products(np.linalg.norm(coords[part, None] - centres, axis=2), centres, a)
        own = products[parents[part], np.arange(products.shape[1])]
        result[part] = own / products.sum(axis=0)

    threads.for_each_chunk(len(coords), CHUNK, work)
    return result


def response(coords: Array, centres: Array, parents: Indices, charges: Array, a: Array) -> Array:
    """Derivatives (A, 3) of sum_i w_i f_i by the atoms' places, from charges w f (N,).

    A point moves with its atom; the values f stay what they are.
    """
    parts: dict[int, Array] = {}

    def work(part: slice) -> None:
        arguments = coords[part], centres, parents[part], charges[part], a
        parts[part.start] = _chunk_response(*arguments)

    threads.for_each_chunk(len(coords), CHUNK, work)
    return np.sum([parts[start] for start in sorted(parts)] or [np.zeros_like(centres)], axis=0)


def _chunk_response(
    coords: Array, centres: Array, parents: Indices, charges: Array, a: Array
) -> Array:
    vectors = coords - centres[:, None]  # (A, N, 3)
    distances = np.linalg.norm(vectors, axis=2)
    products = _products(distances.T, centres, a)
    # Derivatives by ln P_k: of w f = charge at fixed normalization, minus that of the sum.
    slopes = -charges * products / products.sum(axis=0)
    slopes[parents, np.arange(len(coords))] += charges
    by_distance = np.zeros_like(distances)
    result = np.zeros_like(centres)
    for i, j, inverse, mu in _pairs(distances, centres):
        step, slope = _step(shifted(mu, a[i, j]))
        slope *= _ratio(slopes[i], step) - _ratio(slopes[j], 1.0 - step)
        slope *= (1.0 - 2.0 * a[i, j] * mu) * inverse
        by_distance[i] += slope
        by_distance[j] -= slope
        stretch = (slope @ mu) * inverse * (centres[i] - centres[j])
        result[i] -= stretch
        result[j] += stretch
    # Pruning can leave points at a nucleus.
    along = _ratio(by_distance, distances)[:, :, None] * vectors
    result -= along.sum(axis=1)
    np.add.at(result, parents, along.sum(axis=0))
    return result


def _products(distances: Array, centres: Array, a: Array) -> Array:
    """P (A, N) from distances (N, A) to the atoms."""
    result = np.ones(distances.shape[::-1])
    for i, j, _, mu in _pairs(np.ascontiguousarray(distances.T), centres):
        step, _ = _step(shifted(mu, a[i, j]))
        result[i] *= step
        result[j] *= 1.0 - step
    return result


def _pairs(distances: Array, centres: Array) -> Iterator[tuple[int, int, float, Array]]:
    """Pairs of atoms, 1/R and mu (N,)."""
    for i, j in combinations(range(len(centres)), 2):
        inverse = 1.0 / float(np.linalg.norm(centres[i] - centres[j]))
        yield i, j, inverse, (distances[i] - distances[j]) * inverse


def _step(nu: Array) -> tuple[Array, Array]:
    """Becke's step of third order, from 1 to 0, and its derivative."""
    slope = np.full_like(nu, -0.5)
    for _ in range(3):
        slope *= 1.5 * (1.0 - nu**2)
        nu = steeper(nu)
    return 0.5 * (1.0 - nu), slope


def _ratio(numerator: Array, divisor: Array) -> Array:
    return np.divide(numerator, divisor, out=np.zeros_like(divisor), where=divisor > _VANISHING)
