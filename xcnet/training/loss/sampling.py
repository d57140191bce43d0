"""Points to train on: drawn from the densities, moved off them, and spread over everything.

A part (exchange or correlation) has its own variables; ``exchange_variables`` and
``correlation_variables`` make them from a spin density.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xcnet.errors import InputError
from xcnet.scf.densities import GridDensity
from xcnet.training.form.features.correlation import NEAR_REGION
from xcnet.training.form.features.shares import near_region_of_gas
from xcnet.training.form.semilocal import DENSITY_THRESHOLD

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SampledPoints:
    """Variables (N, k), electrons or weight (N,) each point stands for, system number (N,).

    ``weights`` are quadrature weights times one over the probability of being drawn.
    """

    variables: Array
    weights: Array
    system: npt.NDArray[np.int64]


def exchange_variables(density: GridDensity) -> tuple[Array, Array]:
    """rho_s, sigma_ss, tau_s of the points of both channels (N, 3), and weights (N,)."""
    channels = [
        np.stack([density.rho[:, s], density.sigma[:, 2 * s], density.tau[:, s]], axis=1)
        for s in range(2)
    ]
    rows, weights = np.concatenate(channels), np.tile(density.weights, 2)
    kept = rows[:, 0] > 1e-9
    return _physical(rows[kept]), weights[kept]


def correlation_variables(density: GridDensity) -> tuple[Array, Array]:
    """rho_a, rho_b, sigma, tau (sums over spins) of all points (N, 4), and weights (N,)."""
    sigma = density.sigma @ np.array([1.0, 2.0, 1.0])
    rho = density.rho.clip(min=DENSITY_THRESHOLD)
    rows = np.column_stack([rho, sigma, density.tau.sum(axis=1)])
    return _physical(rows), density.weights


def nonlocal_variables(density: GridDensity) -> tuple[Array, Array]:
    """`correlation_variables` with the descriptor R as a fifth column (N, 5)."""
    if not density.descriptors:
        raise InputError(f"the density of {density.name} was made without its descriptor")
    rows, weights = correlation_variables(density)
    values = [descriptor.clip(min=0.0) for descriptor in density.descriptors.values()]
    return np.column_stack([rows, *values]), weights


def channels(variables: Array) -> int:
    """Number of spin densities, which come first; then sigma, tau and maybe R."""
    return 1 if variables.shape[1] == 3 else 2


def electrons(variables: Array) -> Array:
    """Density (N,) of the points of either part."""
    return variables[:, : channels(variables)].sum(axis=1)


def _physical(rows: Array) -> Array:
    """Rows with tau raised to its von Weizsaecker bound where rounding put it below."""
    bound = rows[:, -2] / (8.0 * electrons(rows))
    return np.column_stack([rows[:, :-1], np.maximum(rows[:, -1], bound)])


def draw(
    systems: list[tuple[Array, Array]],
    count: int,
    importance: Callable[[Array], Array],
    rng: np.random.Generator,
) -> SampledPoints:
    """Draw ``count`` points per system with a probability that follows ``importance``.

    ``importance`` maps variables (N, k) to what is integrated, (N,); the square root of it times
    the quadrature weight is the probability.
    """
    parts: list[tuple[Array, Array, npt.NDArray[np.int64]]] = []
    for number, (variables, weights) in enumerate(systems):
        probability = np.abs(importance(variables) * weights) ** 0.6
        probability /= probability.sum()
        chosen = rng.choice(len(weights), count, p=probability)
        drawn = weights[chosen] / (count * probability[chosen])
        parts.append((variables[chosen], drawn, np.full(count, number)))
    return SampledPoints(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def jittered(points: SampledPoints, width: float, rng: np.random.Generator) -> SampledPoints:
    """Points with all variables, and tau's excess over its bound, times random factors.

    Every other point of a spin density also gets any polarization: few molecules in training have
    unpaired electrons, and none of them in every kind of bond.
    """
    rows = points.variables
    sigma = channels(rows)
    tau = sigma + 1
    widths = np.full(rows.shape[1], width)
    widths[[sigma, tau]] *= 2.0
    factors = np.exp(widths * rng.standard_normal(rows.shape))
    excess = rows[:, tau] - rows[:, sigma] / (8.0 * electrons(rows))
    moved = rows * factors
    if sigma == 2:
        share = rng.random(len(rows[::2]))
        total = electrons(moved)[::2]
        moved[::2, :2] = np.stack([share * total, (1.0 - share) * total], axis=1)
    moved[:, tau] = moved[:, sigma] / (8.0 * electrons(moved)) + excess * factors[:, tau]
    return SampledPoints(moved, points.weights, points.system)


def wide(count: int, width: int, rng: np.random.Generator) -> Array:
    """Variables (N, width) spread over what any molecule or atom could have."""
    total = 10.0 ** rng.uniform(-6.0, 3.5, count)
    s = 10.0 ** rng.uniform(-2.0, 1.3, count)
    alpha = np.where(rng.random(count) < 0.15, 0.0, 10.0 ** rng.uniform(-2.0, 2.0, count))
    share = np.ones((count, 1))
    if width > 3:
        minority = np.where(rng.random(count) < 0.3, 0.5, 0.5 * rng.random(count) ** 2)
        share = np.stack([1.0 - minority, minority], axis=1).clip(min=1e-12)
    uniform = 0.3 * (6.0 * np.pi**2) ** (2.0 / 3.0) * (total[:, None] * share) ** (5.0 / 3.0)
    scale = (6.0 if width == 3 else 3.0) * np.pi**2
    sigma = (2.0 * scale ** (1.0 / 3.0) * s) ** 2 * total ** (8.0 / 3.0)
    tau = sigma / (8.0 * total) + alpha * uniform.sum(axis=1)
    rows = [total[:, None] * share, sigma, tau]
    if width > 4:
        contrast = 10.0 ** rng.uniform(-2.5, 1.5, count)
        rows.append(contrast * near_region_of_gas(NEAR_REGION.sigma_bohr) * total)
    return np.column_stack(rows)
