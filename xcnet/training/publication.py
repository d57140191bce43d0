"""From trained weights to a functional folder: record, card, export."""

from __future__ import annotations

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
from xcnet.training.parts import PARTS
from xcnet.training.recipe import Recipe
from xcnet.training.reference import write_arrays
from xcnet.training.sampling import DENSITY_THRESHOLD
from xcnet.training.semilocal import Semilocal

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


def publish(
    recipe: Recipe, module: Semilocal, metrics: Mapping[str, Any], data: str, folder: Path
) -> FunctionalSpec:
    """Export a trained functional with its record and card to ``folder``, which must not exist."""
    facts = record(recipe, metrics, data)
    return export(module, facts, folder, card=card(recipe, facts))


def record(recipe: Recipe, metrics: Mapping[str, Any], data: str) -> dict[str, Any]:
    """Record of the functional, without what the exporter adds."""
    facts, systems = recipe.record, _systems(recipe)
    return {
        "format_version": 1,
        "name": facts.name,
        "aliases": [facts.alias],
        "id": facts.id,
        "family": "mgga",
        "kind": "exchange-correlation",
        "description": facts.description,
        "inputs": ["rho", "sigma", "tau"],
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
            "code_version": xcnet.__version__,
            "seed": recipe.seed,
            "metrics": dict(metrics),
        },
        "domain": {
            "elements": sorted({element for system in systems for element in system.elements}),
            "density": [recipe.densities.min_density, metrics["largest_density"]],
        },
        "citations": [R2SCAN, PROJECT],
        "license": "MIT",
    }


def _systems(recipe: Recipe) -> list[datasets.System]:
    return [system for name in recipe.sets for system in datasets.load(name)]


def card(recipe: Recipe, facts: Mapping[str, Any]) -> str:
    """Text of the functional's card."""
    metrics, densities = facts["training"]["metrics"], recipe.densities
    hidden = "; ".join(
        f"{part.name} {'-'.join(map(str, getattr(recipe, part.name).hidden))}" for part in PARTS
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
        f"{recipe.record.validation}",
        "## Limits",
        "Trained on elements up to Ne. The cores of heavier atoms and very large gradients rest "
        "on the spread points alone. It needs the same care with grids as r2SCAN.",
    ]
    return "\n\n".join(fill(text, 98) for text in paragraphs) + "\n"


def shipped_weights(recipe: Recipe) -> Path:
    """Path of the weights that the shipped functional of a recipe was exported from."""
    return Path(__file__).parent / "checkpoints" / f"{recipe.record.name}.npz"


def save_weights(module: Semilocal, path: Path) -> None:
    """Write the weights to a small ``.npz`` file that `load_weights` reads."""
    write_arrays(path, {name: value.numpy() for name, value in module.state_dict().items()})


def load_weights(path: Path) -> Semilocal:
    """Functional with the weights of a file that `save_weights` wrote (InputError otherwise)."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            state = {key: torch.from_numpy(stored[key]) for key in stored.files}
        hidden = {part.name: _hidden(state, part.name) for part in PARTS}
        module = Semilocal(hidden["exchange"], hidden["correlation"], [0])
        module.load_state_dict(state)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise InputError(f"cannot read weights from {path}: {error}", file=str(path)) from error
    return module.requires_grad_(False)


def _hidden(state: Mapping[str, torch.Tensor], part: str) -> list[int]:
    biases = [key for key in state if key.startswith(f"{part}.biases.")]
    return [len(state[key]) for key in biases[:-1]]
