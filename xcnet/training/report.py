"""What came out of a training: numbers for the record, curves and parity plots for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from xcnet.training import parts, sampling
from xcnet.training.parts import Part
from xcnet.training.recipe import Recipe
from xcnet.training.reference import GridDensity
from xcnet.training.semilocal import Semilocal
from xcnet.training.trainer import Progress

Array = npt.NDArray[np.float64]


def metrics(recipe: Recipe, module: Semilocal, densities: Sequence[GridDensity]) -> dict[str, Any]:
    """Errors at the training densities, on the full grids, Hartree."""
    found: dict[str, Any] = {}
    total = np.zeros(len(densities))
    for part in parts.trained(recipe.form):
        errors = [_errors(part, recipe, module, density) for density in densities]
        sums = np.array([(error * weights).sum() for error, weights, _ in errors])
        squares = [
            (error**2 / n * weights).sum() / (n * weights).sum() for error, weights, n in errors
        ]
        found[f"{part.name}_rms_hartree"] = float(np.sqrt(np.mean(squares)))
        found[f"{part.name}_energy_mae_hartree"] = float(np.abs(sums).mean())
        total += sums
    names = [density.name for density in densities]
    found["energy_errors_hartree"] = dict(zip(names, total.tolist(), strict=True))
    found["largest_density"] = max(float(d.rho.sum(axis=1).max()) for d in densities)
    return found


def _errors(
    part: Part, recipe: Recipe, module: Semilocal, density: GridDensity
) -> tuple[Array, Array, Array]:
    """Error of the energy density, quadrature weight and density at each point (N,)."""
    variables, weights = part.variables(density)
    wanted = part.target(parts.settings(part, recipe).target, variables)[:, 0]
    return _energies(part, module, variables) - wanted, weights, sampling.electrons(variables)


def _energies(part: Part, module: Semilocal, variables: Array) -> Array:
    with torch.no_grad():
        columns = part.columns(*torch.from_numpy(variables).unbind(1))
        found: Array = module.energy(part.name, columns).numpy()
    return found


def write(
    folder: Path,
    recipe: Recipe,
    module: Semilocal,
    progress: Progress,
    densities: Sequence[GridDensity],
    numbers: Mapping[str, Any],
) -> list[Path]:
    """Write ``report.json`` and ``report.png`` (loss curves, parity) and return their paths."""
    table, picture = folder / "report.json", folder / "report.png"
    losses = {name: part.history for name, part in progress.parts.items()}
    document = {"recipe": progress.recipe, "data": progress.data, **numbers, "losses": losses}
    table.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    _draw(picture, recipe, module, progress, densities)
    return [table, picture]


def _draw(
    path: Path,
    recipe: Recipe,
    module: Semilocal,
    progress: Progress,
    densities: Sequence[GridDensity],
) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 8), layout="constrained")
    FigureCanvasAgg(figure)
    shown = parts.trained(recipe.form)
    panels = figure.subplots(len(shown), 2, squeeze=False)
    for part, (curve, parity) in zip(shown, panels, strict=True):
        for history in progress.parts[part.name].history:
            curve.semilogy(history)
        curve.set(title=f"{part.name}: loss", xlabel="step", ylabel="sum of squares")
        for density in densities:
            variables, _ = part.variables(density)
            variables = variables[:: max(1, len(variables) // 300)]
            wanted = part.target(parts.settings(part, recipe).target, variables)[:, 0]
            n = sampling.electrons(variables)
            parity.plot(wanted / n, _energies(part, module, variables) / n, ".", markersize=2)
        parity.set(
            title=f"{part.name}: energy per electron, Hartree", xlabel="target", ylabel="network"
        )
    figure.savefig(path, dpi=110)
