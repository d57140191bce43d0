"""Radial tables of the continuum descriptor: the kernel exp(-d/sigma) in each angular momentum.

With n = sum_lm n_lm(r) Y_lm around an atom, R_lm(r) = integral of g_l(r, r') n_lm(r') r'^2 dr',

    g_l(r, r') = 2 pi integral_{-1}^{1} exp(-d/sigma) P_l(mu) dmu,  d^2 = r^2 + r'^2 - 2 r r' mu

(Funk and Hecke). With d as variable the integrand is smooth; the result is the derivative of
4 pi i_l(r_</sigma) k_l(r_>/sigma) with respect to 1/sigma, without its overflows. n_lm is
interpolated between the shells, and the kernel, which is narrower than the outer shells' distance,
integrated exactly.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise

import numpy as np

from xcnet.operators.points import Array

#: Shells that the interpolation of n_lm between two of them rests on.
STENCIL = 8
#: Fields and densities are interpolated times exp(DECAY r), so that the error of a large value
#: does not reach the small ones outside of it. In 1/bohr; less where shells are more than ``WIDE``
#: bohr apart.
DECAY, WIDE = 1.5, 2.5
#: Gauss points per piece of the radial integral, and longest piece in units of sigma.
PIECE_POINTS, PIECE_LENGTH = 6, 1.0
#: Gauss points of the integral over d, and its length beyond the shortest in units of sigma.
DISTANCE_POINTS, DISTANCE_LENGTH = 32, 30.0


@lru_cache(maxsize=64)
def tables(radii: bytes, volumes: bytes, sigma: float, order: int) -> Array:
    """Matrices (order + 1, 2 K, K) from charges q_lm of K shells to R_lm and dR_lm/dr there.

    ``radii`` and ``volumes`` are the bytes of (K,) float64 arrays: radius and 4 pi r^2 dr. The
    charge of a shell is sum_i w_i n_i Y_lm over its points, (volume / 4 pi) n_lm.
    """
    nodes, weights = np.frombuffer(radii), np.frombuffer(volumes)
    mesh, mesh_weights, interpolation = _mesh(nodes, sigma)
    interpolation = interpolation * (4.0 * math.pi / weights)
    both = np.empty((2, len(nodes), order + 1, len(mesh)))
    for k, r in enumerate(nodes):
        both[:, k] = kernel(float(r), mesh, sigma, order)
    result = (both * mesh_weights).reshape(-1, len(mesh)) @ interpolation
    result = result.reshape(2 * len(nodes), order + 1, len(nodes))
    result = np.ascontiguousarray(result.transpose(1, 0, 2))
    result.flags.writeable = False
    return result


def kernel(r: float, mesh: Array, sigma: float, order: int) -> Array:
    """g_l(r, r') and its derivative by r for r' on a mesh (F,): (2, order + 1, F)."""
    shortest = np.abs(r - mesh)
    length = np.minimum(2.0 * np.minimum(r, mesh), DISTANCE_LENGTH * sigma)
    x, w = _gauss(DISTANCE_POINTS)
    d = shortest[:, None] + length[:, None] * x
    mu = (r**2 + mesh[:, None] ** 2 - d**2) / (2.0 * r * mesh[:, None])
    factor = np.exp(-d / sigma) * w * (2.0 * math.pi * length / (r * mesh))[:, None]
    value_factor, slope_factor = factor * d, -factor * (r - mesh[:, None] * mu) / sigma
    result = np.empty((2, order + 1, len(mesh)))
    legendre, previous = np.ones_like(mu), np.zeros_like(mu)
    for degree in range(order + 1):
        result[0, degree] = np.einsum("fs,fs->f", value_factor, legendre)
        result[1, degree] = np.einsum("fs,fs->f", slope_factor, legendre)
        following = ((2 * degree + 1) * mu * legendre - degree * previous) / (degree + 1)
        legendre, previous = following, legendre
    return result


def _mesh(nodes: Array, sigma: float) -> tuple[Array, Array, Array]:
    """Radii (F,), weights r^2 dr (F,) and interpolation (F, K) from the shells."""
    edges = np.concatenate([[0.0], nodes])
    x, w = _gauss(PIECE_POINTS)
    radii, weights, rows = [], [], []
    for left, right in pairwise(edges):
        pieces = max(1, math.ceil((right - left) / (PIECE_LENGTH * sigma)))
        step = (right - left) / pieces
        r = (left + step * (np.arange(pieces)[:, None] + x)).ravel()
        radii.append(r)
        weights.append(np.tile(w * step, pieces) * r**2)
        rows.append(_interpolation(nodes, left, right, r))
    return np.concatenate(radii), np.concatenate(weights), np.concatenate(rows)


def _interpolation(nodes: Array, left: float, right: float, r: Array) -> Array:
    """Lagrange polynomials, times exp(-DECAY r), of the shells around an interval, at r."""
    size = min(STENCIL, len(nodes))
    below = int(np.searchsorted(nodes, left, side="right"))
    first = min(max(below - size // 2, 0), len(nodes) - size)
    stencil = slice(first, first + size)
    near = _variable(nodes[stencil])
    u = _variable(r)
    result = np.zeros((len(r), len(nodes)))
    for i in range(size):
        others = np.delete(near, i)
        result[:, first + i] = np.prod((u[:, None] - others) / (near[i] - others), axis=1)
    decay = DECAY / max((right - left) / WIDE, 1.0)
    result[:, stencil] *= np.exp(decay * (nodes[stencil] - r[:, None]))
    return result


def _variable(r: Array) -> Array:
    # Evens out the shells' distances, and densities stay smooth in it at the nucleus.
    return np.sqrt(r)


@lru_cache
def _gauss(points: int) -> tuple[Array, Array]:
    """Gauss and Legendre's points and weights on [0, 1]."""
    x, w = np.polynomial.legendre.leggauss(points)
    return 0.5 * (x + 1.0), 0.5 * w
