"""The picture of a training: losses, parity, enhancement factors, errors of the reactions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

import xcnet
from xcnet import enhancement, variables
from xcnet.scf.densities import GridDensity
from xcnet.training.form.forms import FORMS
from xcnet.training.form.semilocal import Semilocal
from xcnet.training.loss import parts, sampling
from xcnet.training.loss.parts import Part
from xcnet.training.recipe import Recipe
from xcnet.training.trainer import Progress

Array = npt.NDArray[np.float64]
#: Of the kinetic energy: one orbital, the uniform gas, between closed shells.
ALPHAS = (0.0, 1.0, 5.0)


def energies(part: Part, module: Semilocal, points: Array) -> Array:
    """Energy density of a part at its variables (N, k), Hartree bohr^-3."""
    with torch.no_grad():
        columns = part.columns(*torch.from_numpy(points).unbind(1))
        values: Array = module.energy(part.name, columns).numpy()
    return values


def draw(
    path: Path,
    recipe: Recipe,
    module: Semilocal,
    progress: Progress,
    densities: Sequence[GridDensity],
    reactions: Mapping[str, Any] | None,
) -> None:
    """Draw what there is; ``reactions`` is what the refinement found, if there was one."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = parts.trained(recipe.form)
    rows = len(shown) + 1 + (reactions is not None)
    figure = Figure(figsize=(10, 4 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, 2)
    for part, (curve, parity) in zip(shown, panels[: len(shown)], strict=True):
        _losses(curve, part.name, progress.parts[part.name].history)
        _parity(parity, part, recipe, module, densities)
    for axes, zeta in zip(panels[len(shown)], (0.0, 1.0), strict=True):
        _enhancement(axes, recipe, module, zeta)
    if reactions is not None:
        _losses(panels[-1][0], "rounds", [finished.history for finished in progress.rounds])
        _reactions(panels[-1][1], reactions)
    figure.savefig(path, dpi=110)


def _losses(axes: Any, title: str, histories: Sequence[Sequence[float]]) -> None:
    for history in histories:
        axes.semilogy(history)
    axes.set(title=f"{title}: loss", xlabel="step", ylabel="sum of squares")


def _parity(
    axes: Any, part: Part, recipe: Recipe, module: Semilocal, densities: Sequence[GridDensity]
) -> None:
    for density in densities:
        variables, _ = part.variables(density)
        variables = variables[:: max(1, len(variables) // 300)]
        wanted = part.target(parts.settings(part, recipe).target, variables)[:, 0]
        n = sampling.electrons(variables)
        axes.plot(wanted / n, energies(part, module, variables) / n, ".", markersize=2)
    axes.set(title=f"{part.name}: energy per electron, Hartree", xlabel="target", ylabel="network")


def _enhancement(axes: Any, recipe: Recipe, module: Semilocal, zeta: float) -> None:
    """F_xc at rs = 1 over s, or over rs where the functional knows no gradient; dashed: target."""
    form = FORMS[recipe.form]
    target = xcnet.functional(" + ".join(_targets(recipe)), variables.POLARIZED)
    descriptors = {form.descriptor.label: form.descriptor} if form.descriptor else {}
    name, label, most = ("s", "s at rs = 1", 4.0)
    if "sigma" not in form.inputs:
        name, label, most = ("rs", "rs, bohr", 10.0)
    x = np.linspace(0.01, most, 201)
    for alpha in ALPHAS if "tau" in form.inputs else ALPHAS[1:2]:
        place: dict[str, npt.ArrayLike] = {"alpha": alpha, "zeta": zeta, name: x}
        inputs = enhancement.points([*form.inputs, *descriptors], **place, descriptors=descriptors)
        unit = enhancement.uniform_exchange(inputs["rho"].sum(axis=1))
        with torch.no_grad():
            energy = module(**{name: torch.from_numpy(value) for name, value in inputs.items()})
        (line,) = axes.plot(x, energy.numpy() / unit, label=f"alpha = {alpha:g}")
        wanted = target.compute({name: inputs[name] for name in form.inputs})["zk"][:, 0]
        axes.plot(x, wanted / unit, "--", color=line.get_color(), linewidth=1)
    axes.set(
        title=f"enhancement factor, zeta = {zeta:g} (dashed: target)",
        xlabel=label,
        ylabel="e_xc / e_x of the uniform gas",
    )
    if "tau" in form.inputs:
        axes.legend()


def _targets(recipe: Recipe) -> list[str]:
    """What exchange and correlation were fitted to; exchange without a network is Slater's."""
    form = FORMS[recipe.form]
    fixed = ["lda_x"] if form.exchange and "exchange" not in form.networks else []
    return [*fixed, *(getattr(recipe, name).target for name in form.networks)]


def _reactions(axes: Any, reactions: Mapping[str, Any]) -> None:
    """Errors at the densities of the last round, and self-consistently."""
    for title, summary in reactions["self_consistent"].items():
        fixed = reactions["fixed"][-1][title]["errors"]
        pairs = np.array([(fixed[name], error) for name, error in summary["errors"].items()])
        axes.plot(*pairs.T, ".", label=f"{title}: {summary['mean_absolute']:.2f} on average")
    axes.axline((0.0, 0.0), slope=1.0, color="grey", linewidth=0.8)
    axes.set(
        title="errors of the reactions, kcal/mol",
        xlabel="at the densities of the last round",
        ylabel="self-consistent",
    )
    axes.legend()
