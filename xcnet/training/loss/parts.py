"""The parts of a functional, exchange and correlation or both in one, as training problems."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from xcnet.scf.densities import GridDensity
from xcnet.training.form.features.form import PartForm
from xcnet.training.form.forms import FORMS
from xcnet.training.loss import merging, sampling, targets
from xcnet.training.loss.problem import (
    Columns,
    EnergyResiduals,
    PointResiduals,
    Terms,
    energy_residuals,
    point_residuals,
)
from xcnet.training.recipe import PartSettings, Recipe

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """Exchange or correlation of one form of functional.

    ``variables`` gives the part's variables from a density, ``target`` the values to learn (libxc
    name, variables -> e and derivatives).
    """

    name: str
    form: PartForm
    variables: Callable[[GridDensity], tuple[Array, Array]]
    target: Callable[[str, Array], Array]

    @property
    def columns(self) -> Columns:
        """The form: density variables to base, coefficients and features."""
        return self.form.columns

    def energies(self, densities: Sequence[GridDensity]) -> EnergyResiduals:
        """Energies of systems with these densities, Hartree."""
        return merging.energies(self.columns, [self.variables(density) for density in densities])


def of(form: str) -> tuple[Part, ...]:
    """Exchange and correlation of one of the `FORMS`, or the one part of both."""
    chosen = FORMS[form]
    whole = sampling.nonlocal_variables if chosen.descriptor else sampling.correlation_variables
    if chosen.exchange is None:
        return (Part("correlation", chosen.correlation, whole, targets.together),)
    return (
        Part("exchange", chosen.exchange, sampling.exchange_variables, targets.exchange),
        Part("correlation", chosen.correlation, whole, targets.correlation),
    )


def trained(form: str) -> list[Part]:
    """Those of a form's parts that have a network."""
    return [part for part in of(form) if part.form.outputs]


def settings(part: Part, recipe: Recipe) -> PartSettings:
    """Settings of a part in a recipe."""
    chosen: PartSettings = getattr(recipe, part.name)
    return chosen


def terms(part: Part, recipe: Recipe, densities: Sequence[GridDensity]) -> Terms:
    """Residuals of the recipe's loss: points, moved points, spread points, energies."""
    rng = np.random.default_rng([recipe.seed, ("exchange", "correlation").index(part.name)])
    sizes, loss, target = recipe.sampling, recipe.loss, settings(part, recipe).target
    systems = [part.variables(density) for density in densities]
    points = sampling.draw(systems, sizes.points, sampling.electrons, rng)
    near = sampling.jittered(
        sampling.draw(systems, sizes.jittered, sampling.electrons, rng), sizes.jitter, rng
    )
    wide = sampling.wide(sizes.wide, points.variables.shape[1], rng)
    per_electron = _electron_scales(points, loss.core)
    moved = loss.jittered * _electron_scales(near, loss.core)
    relative = loss.wide / np.abs(_uniform(part, wide)) / np.sqrt(len(wide))
    drawn = sampling.draw(systems, sizes.energy_points, lambda v: part.target(target, v)[:, 0], rng)
    energies = part.target(target, drawn.variables)[:, 0]
    return [
        _at_points(part, target, variables, scale, loss.potential)
        for variables, scale in (
            (points.variables, per_electron),
            (near.variables, moved),
            (wide, relative),
        )
    ] + [
        energy_residuals(
            part.columns,
            torch.from_numpy(drawn.variables),
            torch.from_numpy(energies),
            loss.energy * torch.from_numpy(drawn.weights),
            torch.from_numpy(drawn.system),
        )
    ]


def _at_points(
    part: Part, target: str, variables: Array, scale: Array, potential: float
) -> PointResiduals:
    """Residuals where e and each (derivative times its variable) count ``scale``."""
    units = variables.copy()
    channels = sampling.channels(variables)
    if channels == 2:
        # Where the minority density vanishes its potential diverges: count it by both densities.
        units[:, :2] = np.sqrt(variables[:, :2] * sampling.electrons(variables)[:, None])
    units[:, channels] *= 2.0
    scales = scale[:, None] * np.column_stack([np.ones(len(scale)), potential * units])
    return point_residuals(
        part.columns,
        torch.from_numpy(variables),
        torch.from_numpy(part.target(target, variables)),
        torch.from_numpy(scales),
    )


def _electron_scales(points: sampling.SampledPoints, core: float) -> Array:
    """Scale of an error per volume: root mean square per electron, averaged over systems."""
    n = sampling.electrons(points.variables)
    share = np.abs(points.weights * n)
    share /= np.bincount(points.system, share)[points.system] * (points.system.max() + 1)
    scales: Array = np.sqrt(share) / n / (1.0 + core * np.cbrt(n))
    return scales


def _uniform(part: Part, variables: Array) -> Array:
    """Energy per volume of the uniform gas at the points (N,)."""
    base, _, _ = part.columns(*torch.from_numpy(variables).unbind(1))
    values: Array = base.numpy()
    return values
