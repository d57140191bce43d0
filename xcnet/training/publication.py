"""From trained weights to a functional folder: record, card, export."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
import torch

import xcnet
from xcnet.errors import InputError
from xcnet.spec import FunctionalSpec
from xcnet.training import datasets, export
from xcnet.training.forms import FORMS
from xcnet.training.recipe import Recipe
from xcnet.training.reference import write_arrays
from xcnet.training.semilocal import DENSITY_THRESHOLD, Semilocal

R2SCAN = {
    "key": "Furness2020_8208",
    "text": (
        "J. W. Furness, A. D. Kaplan, J. Ning, J. P. Perdew, and J. Sun, "
        "J. Phys. Chem. Lett. 11, 8208 (2020)"
    ),
    "doi": "10.1021/acs.jpclett.0c02405",
    "bibtex": (
        "@article{Furness2020_8208,\n"
        "  title = {Accurate and Numerically Efficient r2SCAN Meta-Generalized Gradient "
        "Approximation},\n"
        "  author = {Furness, James W. and Kaplan, Aaron D. and Ning, Jinliang and "
        "Perdew, John P. and Sun, Jianwei},\n"
        "  journal = {The Journal of Physical Chemistry Letters},\n"
        "  volume = {11},\n"
        "  pages = {8208--8215},\n"
        "  year = {2020},\n"
        "  doi = {10.1021/acs.jpclett.0c02405}\n"
        "}"
    ),
}
PROJECT = {
    "key": "xcnet",
    "text": f"xcnet {xcnet.__version__}: neural exchange-correlation functionals, trained there",
    "doi": "",
    "bibtex": (
        "@software{xcnet,\n"
        "  title = {xcnet: neural exchange-correlation functionals behind libxc's interface},\n"
        "  author = {{xcnet developers}},\n"
        f"  version = {{{xcnet.__version__}}}\n"
        "}"
    ),
}

#: Summaries that a table of results needs.
ROWS = ("first_row", "second_row")


def publish(
    recipe: Recipe,
    weights: Path,
    metrics: Mapping[str, Any],
    data: str,
    folder: Path,
    results: Path | None = None,
) -> FunctionalSpec:
    """Export a trained functional with its record and card.

    Parameters
    ----------
    recipe : Recipe
        What it was trained by.
    weights : path
        File that `save_weights` wrote.
    metrics, data : mapping, str
        What `xcnet.training.report.metrics` found, and the SHA-256 of the training densities.
    folder : path
        Where the functional's folder is made; must not exist.
    results : path, optional
        What ``benchmarks/nn_r2scan_atomization.py`` wrote about these weights, for the card.

    Raises
    ------
    InputError
        The weights cannot be read, or the results belong to others.
    ExportError
        From the export.
    """
    facts = record(recipe, weights, metrics, data)
    tested = "" if results is None else validation(results, facts["training"]["weights_sha256"])
    return export(
        load_weights(weights, recipe.form), facts, folder, card=card(recipe, facts, tested)
    )


def republish(
    recipe: Recipe, old: FunctionalSpec, folder: Path, results: Path | None = None
) -> FunctionalSpec:
    """Export the shipped weights of a recipe again, with the metrics of the ``old`` record."""
    metrics, data = old.training["metrics"], old.training["data_sha256"]
    return publish(recipe, shipped_weights(recipe), metrics, data, folder, results)


def record(recipe: Recipe, weights: Path, metrics: Mapping[str, Any], data: str) -> dict[str, Any]:
    """Record of the functional, without what the exporter adds."""
    facts, form, systems = recipe.record, FORMS[recipe.form], _systems(recipe)
    return {
        "format_version": 1,
        "name": facts.name,
        "aliases": [facts.alias],
        "id": facts.id,
        "family": form.family,
        "kind": "exchange-correlation",
        "description": facts.description,
        "inputs": list(form.inputs),
        "descriptors": {},
        "thresholds": {
            "density": DENSITY_THRESHOLD,
            "zeta": 2.2e-16,
            "sigma": 1e-16,
            "tau": 1e-20,
        },
        "enforce_fhc": False,
        "exact_exchange": {"coefficient": 0.0, "omega": 0.0, "alpha": 0.0, "beta": 0.0},
        "dispersion": None,
        "grid_level": facts.grid_level,
        "training": {
            "protocol": (
                f"fitted to libxc's {recipe.exchange.target} and {recipe.correlation.target}: "
                f"energy density and potential on {recipe.densities.xc}/{recipe.densities.basis} "
                f"densities (grid level {recipe.densities.grid_level}), with less weight on points "
                "moved off these and on points spread over all densities"
            ),
            "data": [system.name for system in systems],
            "data_sha256": data,
            "recipe_sha256": recipe.sha256,
            "weights_sha256": sha256(weights),
            "code_version": xcnet.__version__,
            "seed": recipe.seed,
            "metrics": dict(metrics),
        },
        "domain": {
            "elements": sorted({element for system in systems for element in system.symbols}),
            "density": [recipe.densities.min_density, metrics["largest_density"]],
        },
        "citations": [R2SCAN, PROJECT],
        "license": "MIT",
    }


def _systems(recipe: Recipe) -> list[datasets.Molecule]:
    return datasets.gather(datasets.load(name) for name in recipe.sets)


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


def card(recipe: Recipe, facts: Mapping[str, Any], tested: str = "") -> str:
    """Text of the functional's card; ``tested`` is what `validation` says of its weights."""
    metrics, densities = facts["training"]["metrics"], recipe.densities
    hidden = "; ".join(
        f"{name} {'-'.join(map(str, getattr(recipe, name).hidden))}"
        for name in FORMS[recipe.form].networks
    )
    worst = max(abs(x) for x in metrics["energy_errors_hartree"].values())
    paragraphs = [
        f"# {recipe.record.alias}",
        "A network fitted to r2SCAN: a demonstration that serves as r2SCAN's stand-in, no more "
        "accurate than it. Whoever wants r2SCAN itself should use libxc's.",
        "## What it is",
        "Exchange: Slater's energy times a factor of each spin channel (exact spin scaling). "
        "Correlation: PW92's energy times a factor. The factors are 1 + (1 - v) f1 + b f2 with "
        "network outputs f1 and f2 and bounded measures v of the gradient and b of the kinetic "
        f"energy density, so the uniform gas is exact. Hidden layers: {hidden}; activation "
        "z/sqrt(1 + z^2). Apart from the spin scaling and the uniform gas no constraint is built "
        "in: others hold as far as the fit does.",
        "## How it was made",
        "`xcnet train` fitted energy density and potential to libxc's "
        f"{recipe.exchange.target} and {recipe.correlation.target} (Levenberg-Marquardt) on "
        f"Kohn-Sham densities ({densities.xc}/{densities.basis}, grid level "
        f"{densities.grid_level}) of {', '.join(facts['training']['data'])}; with less weight on "
        "points moved off these by random factors and polarizations, and on points spread over "
        "all densities, gradients and kinetic energy densities, so that it stays near r2SCAN "
        "outside its training systems. No measured or wave-function data were used.",
        "## How well it fits",
        f"At the training densities the integrated energy is at most {worst * 1e3:.3f} mHa off; "
        "the energy density is off by (root mean square per electron) "
        f"{metrics['exchange_rms_hartree'] * 1e3:.2f} mHa for exchange and "
        f"{metrics['correlation_rms_hartree'] * 1e3:.2f} mHa for correlation. "
        f"{tested}",
        "## Limits",
        "Trained on elements up to Ne. The cores of heavier atoms and very large gradients rest "
        "on the spread points alone. It needs the same care with grids as r2SCAN.",
    ]
    return "\n\n".join(fill(text, 98) for text in paragraphs) + "\n"


def shipped_weights(recipe: Recipe) -> Path:
    """Path of the weights that the shipped functional of a recipe was exported from."""
    return Path(__file__).parent / "checkpoints" / f"{recipe.record.name}.npz"


def sha256(path: Path) -> str:
    """Hash of a file of weights (InputError if it cannot be read)."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"cannot read weights from {path}: {error}", file=str(path)) from error


def save_weights(module: Semilocal, path: Path) -> None:
    """Write the weights to a small ``.npz`` file that `load_weights` reads."""
    arrays = {
        f"{name}.{key}": value.numpy()
        for name in module.form.networks
        for key, value in module.networks[name].state_dict().items()
    }
    write_arrays(path, arrays)


def load_weights(path: Path, form: str = "meta-gga") -> Semilocal:
    """Functional with the weights of a file that `save_weights` wrote (InputError otherwise)."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            state = {f"networks.{key}": torch.from_numpy(stored[key]) for key in stored.files}
        module = Semilocal(form, {name: _hidden(state, name) for name in FORMS[form].networks}, [0])
        module.load_state_dict(state)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise InputError(f"cannot read weights from {path}: {error}", file=str(path)) from error
    return module.requires_grad_(False)


def _hidden(state: Mapping[str, torch.Tensor], part: str) -> list[int]:
    biases = [key for key in state if key.startswith(f"networks.{part}.biases.")]
    return [len(state[key]) for key in biases[:-1]]
