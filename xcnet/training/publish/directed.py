"""From numbers along directions to a functional folder: record, card, export."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
import numpy.typing as npt

import xcnet
from xcnet import registry, variables
from xcnet.export.exporter import export
from xcnet.scf import kept
from xcnet.scf.densities import file_sha256
from xcnet.spec import FunctionalSpec
from xcnet.training.form.directed import DENSITY_THRESHOLD, Directed
from xcnet.training.form.features import nagai2020
from xcnet.training.form.features.correlation import NEAR_REGION
from xcnet.training.linear.directions import Changes, DirectionsRecipe
from xcnet.training.publish.publication import shipped_weights
from xcnet.training.publish.records import PROJECT

Array = npt.NDArray[np.float64]
#: libxc's functionals that directions have besides r2SCAN, by what is in the directions' names.
OTHERS = {"LYP": "gga_c_lyp", "PBE": "gga_c_pbe"}
#: Of functionals whose exchange is r2SCAN's.
R2SCAN_EXCHANGE = ("spin_scaling", "exchange_scaling", "lieb_oxford")
LOCAL_TEXT = {
    "exchange": "r2SCAN's exchange beyond the uniform gas times (1 - zeta^2) alpha / (1 + alpha)",
    "LYP": "LYP's correlation less r2SCAN's",
    "LYP, 0": "LYP's correlation less r2SCAN's, times 1 - zeta^2",
    "PBE, 0": "PBE's correlation less r2SCAN's, times (1 - zeta^2) alpha / (1 + alpha)",
}
TEXT = {
    **LOCAL_TEXT,
    **{f"({name}) v": f"{text}, times v" for name, text in LOCAL_TEXT.items()},
    "correlation v": "r2SCAN's correlation times (1 - zeta^2) v alpha / (1 + alpha)",
}
NEAR_REGION_TEXT = (
    "v is the contrast of the near-region density R of total density n, 1 - 2 / (1 + g^2) of g = "
    "R / (8 pi width^3 n): 0 in the uniform gas, -1 to 1. "
)


def publish(
    recipe: DirectionsRecipe,
    fitted: Changes,
    watched: Changes,
    data_sha256: str,
    weights: Path,
    folder: Path,
) -> FunctionalSpec:
    """Export the functional whose numbers are in a file, with its record and card.

    Parameters
    ----------
    recipe : DirectionsRecipe
    fitted, watched : Changes
        Of the energies that determined the numbers, and of those for validation.
    data_sha256 : str
        Hash of the file of both.
    weights : path
        File that `save_numbers` wrote.
    folder : path
        Where the functional's folder is made; must not exist.
    """
    numbers = load_numbers(weights)
    facts = record(recipe, weights, data_sha256)
    facts["training"]["metrics"] = {
        "numbers": dict(zip(recipe.names, numbers.tolist(), strict=True)),
        "ridge": recipe.ridge,
        "energies": _metrics(fitted, recipe, numbers),
        "validation": _metrics(watched, recipe, numbers),
    }
    return _export(recipe, facts, weights, folder, variables.ORDERS[:4])


def republish(
    recipe: DirectionsRecipe,
    old: FunctionalSpec,
    folder: Path,
    orders: Sequence[str] = variables.ORDERS[:4],
) -> FunctionalSpec:
    """Export the shipped numbers of a recipe again, with the metrics of the ``old`` record."""
    weights = shipped_weights(recipe)
    facts = record(recipe, weights, old.training["data_sha256"])
    facts["training"]["metrics"] = old.training["metrics"]
    return _export(recipe, facts, weights, folder, orders)


def _export(
    recipe: DirectionsRecipe,
    facts: Mapping[str, Any],
    weights: Path,
    folder: Path,
    orders: Sequence[str],
) -> FunctionalSpec:
    module = Directed(recipe.names, load_numbers(weights).tolist())
    return export(module, facts, folder, orders, card=card(recipe, facts))


def save_numbers(numbers: Array, path: Path) -> None:
    """Write the numbers to a small ``.npz`` file that `load_numbers` reads."""
    kept.write(path, {"numbers": numbers})


def load_numbers(path: Path) -> Array:
    """Numbers of a file that `save_numbers` wrote; InputError if it was altered."""
    return np.asarray(kept.read(path, ("numbers",), "numbers")["numbers"])


def record(recipe: DirectionsRecipe, weights: Path, data_sha256: str) -> dict[str, Any]:
    """Record of the functional, without metrics and what the exporter adds."""
    facts = recipe.record
    reactions = [reaction for chosen in recipe.energies for reaction in chosen.reactions()]
    elements = {e for r in reactions for _, system in r.terms for e in system.symbols}
    changes_exchange = any("exchange" in name for name in recipe.names)
    exchange = () if changes_exchange else R2SCAN_EXCHANGE
    descriptors = {NEAR_REGION.label: NEAR_REGION.parameters()} if recipe.near_region else {}
    return {
        "format_version": 1,
        "name": facts.name,
        "aliases": [facts.alias],
        "id": facts.id,
        "family": "mgga",
        "kind": "exchange-correlation",
        "description": facts.description,
        "inputs": ["rho", "sigma", "tau"],
        "descriptors": descriptors,
        "thresholds": {"density": DENSITY_THRESHOLD, "zeta": 2.2e-16, "sigma": 1e-16, "tau": 1e-20},
        "enforce_fhc": False,
        "exact_exchange": {"coefficient": 0.0, "omega": 0.0, "alpha": 0.0, "beta": 0.0},
        "dispersion": None,
        "grid_level": facts.grid_level,
        "constraints": [*exchange, "one_electron"],
        "training": {
            "protocol": _protocol(recipe),
            "data": [chosen.set for chosen in recipe.energies],
            "data_sha256": data_sha256,
            "recipe_sha256": recipe.sha256,
            "weights_sha256": file_sha256(weights),
            "code_version": xcnet.__version__,
        },
        "domain": {"elements": sorted(elements), "density": list(facts.densities)},
        "citations": _citations(recipe),
        "license": "MIT",
    }


def _citations(recipe: DirectionsRecipe) -> list[dict[str, str]]:
    others = [OTHERS[name] for name in OTHERS if any(name in own for own in recipe.names)]
    known = {
        citation.key: asdict(citation)
        for name in ("mgga_x_r2scan", *others)
        for citation in registry.find(name).citations
    }
    descriptor = [nagai2020.CITATION] if recipe.near_region else []
    return [*known.values(), *descriptor, PROJECT]


def _protocol(recipe: DirectionsRecipe) -> str:
    trained = ", ".join(r.name for chosen in recipe.energies for r in chosen.reactions())
    watched = sum(len(chosen.reactions()) for chosen in recipe.validation)
    sets = " and ".join(chosen.set for chosen in recipe.validation)
    return (
        f"a number along each of {len(recipe.names)} directions from r2SCAN, determined by the "
        f"energies of {trained} at fixed r2SCAN densities; {watched} energies of {sets} "
        "chose the directions and the ridge"
    )


def card(recipe: DirectionsRecipe, facts: Mapping[str, Any]) -> str:
    """Text of the functional's card."""
    metrics = facts["training"]["metrics"]
    numbers = metrics["numbers"]
    terms = " + ".join(f"{number:.4f} ({TEXT[name]})" for name, number in numbers.items())
    paragraphs = [
        f"# {recipe.record.alias}",
        f"{facts['description']}. There is no network in it.",
        "## What it is",
        f"r2SCAN + {terms}. {NEAR_REGION_TEXT * recipe.near_region}One electron has no "
        "correlation, and its exchange is r2SCAN's. The uniform gas is not exact, and correlation "
        "is positive where gradients are large: LYP's is so.",
        "## How it was made",
        f"By `xcnet train rows`: {facts['training']['protocol']}. No energy of AE147 was fitted or "
        "chose anything.",
        "## How good it is",
        f"At these densities, mean absolute errors in kcal/mol: {_said(metrics['energies'])} that "
        f"determined the numbers, {_said(metrics['validation'])} that chose.",
        "## Limits",
        "Dispersion is not in it: it was made without any. Elements of the energies that "
        f"determined the numbers: {', '.join(facts['domain']['elements'])}.",
    ]
    return "\n\n".join(fill(text, 98) for text in paragraphs) + "\n"


def _said(metrics: Mapping[str, Any]) -> str:
    return "{mean_absolute:.2f} (r2SCAN {r2scan:.2f}) of the {rows}".format(**metrics)


def _metrics(of: Changes, recipe: DirectionsRecipe, numbers: Array) -> dict[str, Any]:
    after = of.after(recipe.places, numbers)
    return {
        "unit": "kcal/mol",
        "rows": len(of.names),
        "mean_absolute": float(np.abs(after).mean()),
        "largest": float(after[np.argmax(np.abs(after))]),
        "r2scan": float(np.abs(of.errors).mean()),
    }
