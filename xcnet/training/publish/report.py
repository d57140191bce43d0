"""What came out of a training: numbers for the record and the report."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xcnet.scf.densities import GridDensity
from xcnet.training.form.semilocal import Semilocal
from xcnet.training.loss import parts, sampling
from xcnet.training.loss.parts import Part
from xcnet.training.publish import drawing
from xcnet.training.recipe import Recipe
from xcnet.training.trainer import Progress

Array = npt.NDArray[np.float64]


def metrics(recipe: Recipe, module: Semilocal, densities: Sequence[GridDensity]) -> dict[str, Any]:
    """Errors at the training densities, on the full grids, Hartree."""
    measured: dict[str, Any] = {}
    total = np.zeros(len(densities))
    for part in parts.trained(recipe.form):
        errors = [_errors(part, recipe, module, density) for density in densities]
        sums = np.array([(error * weights).sum() for error, weights, _ in errors])
        squares = [
            (error**2 / n * weights).sum() / (n * weights).sum() for error, weights, n in errors
        ]
        measured[f"{part.name}_rms_hartree"] = float(np.sqrt(np.mean(squares)))
        measured[f"{part.name}_energy_mae_hartree"] = float(np.abs(sums).mean())
        total += sums
    names = [density.name for density in densities]
    measured["energy_errors_hartree"] = dict(zip(names, total.tolist(), strict=True))
    measured["largest_density"] = max(float(d.rho.sum(axis=1).max()) for d in densities)
    return measured


def _errors(
    part: Part, recipe: Recipe, module: Semilocal, density: GridDensity
) -> tuple[Array, Array, Array]:
    """Error of the energy density, quadrature weight and density at each point (N,)."""
    variables, weights = part.variables(density)
    wanted = part.target(parts.settings(part, recipe).target, variables)[:, 0]
    predicted = drawing.energies(part, module, variables)
    return predicted - wanted, weights, sampling.electrons(variables)


def write(
    folder: Path,
    recipe: Recipe,
    module: Semilocal,
    progress: Progress,
    densities: Sequence[GridDensity],
    numbers: Mapping[str, Any],
) -> list[Path]:
    """Write ``report.json`` and ``report.png`` (what `drawing.draw` draws); return their paths."""
    table, picture = folder / "report.json", folder / "report.png"
    losses: dict[str, Any] = {name: part.history for name, part in progress.parts.items()}
    if progress.rounds:
        losses["rounds"] = [round_progress.history for round_progress in progress.rounds]
    document = {"recipe": progress.recipe, "data": progress.data, **numbers, "losses": losses}
    table.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    drawing.draw(picture, recipe, module, progress, densities, numbers.get("reactions"))
    return [table, picture]
