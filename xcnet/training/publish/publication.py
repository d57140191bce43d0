"""From trained weights to a functional folder: record, card, export."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from xcnet import variables
from xcnet.errors import InputError
from xcnet.export.exporter import export
from xcnet.scf.kept import write_arrays
from xcnet.spec import FunctionalSpec
from xcnet.training import trainer
from xcnet.training.form.semilocal import Semilocal
from xcnet.training.linear.directions import DirectionsRecipe
from xcnet.training.linear.recipe import RowsRecipe
from xcnet.training.publish.cards import card
from xcnet.training.publish.records import record
from xcnet.training.recipe import Recipe

#: Summaries that a table of results needs.
ROWS = ("first_row", "second_row")


def publish(
    recipe: Recipe,
    weights: Path,
    metrics: Mapping[str, Any],
    data: str,
    folder: Path,
    results: Path | None = None,
    orders: Sequence[str] = variables.ORDERS[:4],
) -> FunctionalSpec:
    """Export a trained functional with its record and card.

    Parameters
    ----------
    recipe : Recipe
        What it was trained by.
    weights : path
        File that `save_weights` wrote.
    metrics, data : mapping, str
        What `.report.metrics` found, and the SHA-256 of the training densities.
    folder : path
        Where the functional's folder is made; must not exist.
    results : path, optional
        What ``benchmarks/nn_r2scan_atomization.py`` wrote about these weights, for the card.
    orders : sequence of str
        Derivative orders of its graphs.

    Raises
    ------
    InputError
        The weights cannot be read, or the results belong to others.
    ExportError
        From the export.
    """
    facts = record(recipe, weights, metrics, data)
    tested = "" if results is None else validation(results, facts["training"]["weights_sha256"])
    module, text = load_weights(weights, recipe), card(recipe, facts, tested)
    return export(module, facts, folder, orders, card=text)


def draft(
    recipe: Recipe, weights: Path, metrics: Mapping[str, Any], data: str, folder: Path
) -> FunctionalSpec:
    """Export what only the training itself uses: first derivatives, no card, no laws measured.

    Parameters and errors are those of `publish`.
    """
    facts = record(recipe, weights, metrics, data)
    module = load_weights(weights, recipe)
    return export(module, facts, folder, variables.ORDERS[:2], lawful=False)


def republish(
    recipe: Recipe,
    old: FunctionalSpec,
    folder: Path,
    results: Path | None = None,
    orders: Sequence[str] = variables.ORDERS[:4],
) -> FunctionalSpec:
    """Export the shipped weights of a recipe again, with the metrics of the ``old`` record."""
    metrics, data = old.training["metrics"], old.training["data_sha256"]
    return publish(recipe, shipped_weights(recipe), metrics, data, folder, results, orders)


def validation(results: Path, weights: str) -> str:
    """Sentence for the card from tests outside the training; ``weights`` is the SHA-256 of these.

    InputError if the file cannot be read, or holds results of other weights.
    """
    try:
        lines = results.read_text(encoding="utf-8").splitlines()
        settings = json.loads(lines[0])
        measured, first, second = (settings[k] for k in ("weights_sha256", *ROWS))
    except (OSError, ValueError, IndexError, KeyError, TypeError) as error:
        raise InputError(f"cannot read results from {results}: {error!r}") from error
    if measured != weights:
        raise InputError(
            f"{results} holds results of the weights {measured}, not of {weights}: run "
            "benchmarks/nn_r2scan_atomization.py with these",
            file=str(results),
            expected=weights,
            given=measured,
        )
    return (
        f"Self-consistent atomization energies of {first['molecules']} molecules of first-row "
        f"atoms from G2 ({settings['basis']}, grid level {settings['grid_level']}, density "
        f"fitting) differ from those of libxc's r2SCAN by {first['mean_absolute_kcal']:.2f} "
        f"kcal/mol on average and {first['largest_kcal']:.2f} at most, those of "
        f"{second['molecules']} molecules of second-row atoms by "
        f"{second['mean_absolute_kcal']:.2f} and {second['largest_kcal']:.2f} "
        f"(benchmarks/results/{results.name}, of the weights with the SHA-256 {weights[:12]}...)."
    )


def shipped_weights(recipe: Recipe | RowsRecipe | DirectionsRecipe) -> Path:
    """Path of the weights that the shipped functional of a recipe was exported from."""
    return Path(__file__).parents[1] / "checkpoints" / f"{recipe.record.name}.npz"


def save_weights(module: Semilocal, path: Path) -> None:
    """Write the weights to a small ``.npz`` file that `load_weights` reads."""
    arrays = {
        f"{name}.{key}": value.numpy()
        for name in module.form.networks
        for key, value in module.networks[name].state_dict().items()
    }
    write_arrays(path, arrays)


def load_weights(path: Path, recipe: Recipe) -> Semilocal:
    """Functional of a recipe with the weights of a file that `save_weights` wrote.

    InputError if it is no such file, or holds the weights of other networks.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            state = {f"networks.{key}": torch.from_numpy(stored[key]) for key in stored.files}
        module = trainer.build(recipe)
        module.load_state_dict(state)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise InputError(f"cannot read weights from {path}: {error}", file=str(path)) from error
    return module.requires_grad_(False)
