"""From networks fitted to rows to a functional folder: record, card, export."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from textwrap import fill
from typing import Any

import torch

import xcnet
from xcnet import registry, variables
from xcnet.errors import InputError
from xcnet.export.exporter import export
from xcnet.scf import kept
from xcnet.scf.densities import file_sha256
from xcnet.spec import FunctionalSpec
from xcnet.training.form.bounded import DENSITY_THRESHOLD, ThreeFactors
from xcnet.training.form.features import nagai2020
from xcnet.training.linear.recipe import RowsRecipe, load
from xcnet.training.linear.report import Line
from xcnet.training.publish.publication import shipped_weights
from xcnet.training.publish.records import PROJECT, R2SCAN

#: Whose densities all rows are of.
DENSITIES = "r2SCAN"
#: What factors depend on, and their bounds, by family.
FACTORS = {
    "mgga": (
        "of two bounded measures of the gradient and of the kinetic energy density, within bounds: "
        "exchange between zero and 1.804 times Slater's, 1.174 where one orbital is; correlation "
        "never positive, and none for one electron."
    ),
    "near-region": (
        "of two bounded measures of the gradient and of the kinetic energy density; correlation's "
        "have two outputs, between which the factor is by the contrast of the near-region density. "
        "All within bounds: exchange between zero and 1.804 times Slater's, 1.174 where one "
        "orbital is; correlation never positive, and none for one electron."
    ),
    "gga": (
        "of a bounded measure of the gradient, correlation's of one of the density, too, within "
        "bounds: exchange between zero and 1.804 times Slater's; correlation never positive. One "
        "electron correlates with itself."
    ),
}
#: A global hybrid has no share that depends on the distance.
NONE_LONG_RANGE = {"omega": 0.0, "alpha": 0.0, "beta": 0.0}


def publish(
    recipe: RowsRecipe,
    module: ThreeFactors,
    lines: Sequence[Line],
    elements: Iterable[str],
    table_sha256: str,
    weights: Path,
    folder: Path,
) -> FunctionalSpec:
    """Export a functional of fitted factors, with its record and card.

    Parameters
    ----------
    recipe : RowsRecipe
        What it was fitted by.
    module : ThreeFactors
    lines : sequence of Line
        Errors of the rows, from the report.
    elements : iterable of str
        Of the rows' systems.
    table_sha256 : str
        Hash of the table of integrals.
    weights : path
        File that `save_weights` wrote.
    folder : path
        Where the functional's folder is made; must not exist.
    """
    facts = record(recipe, lines, elements, table_sha256, weights)
    return export(module, facts, folder, card=card(recipe, facts, lines))


def republish(
    recipe: RowsRecipe,
    old: FunctionalSpec,
    folder: Path,
    orders: Sequence[str] = variables.ORDERS[:4],
) -> FunctionalSpec:
    """Export the shipped weights of a recipe again, with the metrics of the ``old`` record."""
    weights = shipped_weights(recipe)
    elements = old.record["domain"]["elements"]
    facts = record(recipe, [], elements, old.training["data_sha256"], weights)
    facts["training"] |= {name: old.training[name] for name in ("metrics", "data")}
    return export(load_weights(weights, recipe), facts, folder, orders)


def save_weights(module: ThreeFactors, path: Path) -> None:
    """Write the networks' weights to a small ``.npz`` file that `load_weights` reads."""
    kept.write(path, {name: value.numpy() for name, value in module.state_dict().items()})


def load_weights(path: Path, recipe: RowsRecipe) -> ThreeFactors:
    """Functional of a recipe with the weights of a file that `save_weights` wrote."""
    settings = recipe.network
    module = recipe.family.module(settings.hidden, (settings.seed,), recipe.exact_exchange)
    arrays = kept.read(path, tuple(module.state_dict()), "weights")
    module.load_state_dict({name: torch.from_numpy(value) for name, value in arrays.items()})
    return module.requires_grad_(False)


def start(recipe: RowsRecipe) -> ThreeFactors | None:
    """Shipped networks that a recipe's start from and stay near, if it names any.

    InputError if they are of other features or widths.
    """
    if not recipe.network.start:
        return None
    other, local = load(recipe.network.start), replace(recipe.family.kept, contrast=1)
    if other.family.kept != local or other.network.hidden != recipe.network.hidden:
        raise InputError(
            f"networks of family {recipe.family.name} and widths {recipe.network.hidden} cannot "
            f"start from {recipe.network.start}'s, {other.family.name}, {other.network.hidden}: "
            "those need the same two features, without a contrast, and the same widths",
            given=recipe.network.start,
        )
    return load_weights(shipped_weights(other), other)


def record(
    recipe: RowsRecipe,
    lines: Sequence[Line],
    elements: Iterable[str],
    table_sha256: str,
    weights: Path,
) -> dict[str, Any]:
    """Record of the functional, without what the exporter adds."""
    facts = recipe.record
    near = recipe.family.descriptor
    return {
        "format_version": 1,
        "name": facts.name,
        "aliases": [facts.alias],
        "id": facts.id,
        "family": ("hyb_" if recipe.exact_exchange else "") + recipe.family.record,
        "kind": "exchange-correlation",
        "description": facts.description,
        "inputs": list(recipe.family.inputs),
        "descriptors": {near.label: near.parameters()} if near else {},
        "thresholds": {"density": DENSITY_THRESHOLD, "zeta": 2.2e-16, "sigma": 1e-16, "tau": 1e-20},
        "enforce_fhc": False,
        "exact_exchange": {"coefficient": recipe.exact_exchange} | NONE_LONG_RANGE,
        "dispersion": recipe.dispersion and {"method": "D4", "parameters": dict(recipe.dispersion)},
        "grid_level": facts.grid_level,
        # Nothing that `xcnet check` could measure where part of exchange is exact.
        "constraints": [] if recipe.exact_exchange else ["uniform_gas", "spin_scaling"],
        "training": {
            "protocol": _protocol(recipe) + (f". {_watched(recipe)}" if recipe.known else ""),
            "data": sorted({line.set for line in lines if line.term != "validation"}),
            "data_sha256": table_sha256,
            "recipe_sha256": recipe.sha256,
            "weights_sha256": file_sha256(weights),
            "code_version": xcnet.__version__,
            "seed": recipe.network.seed,
            "metrics": {f"{line.term} {line.set}": _metrics(line) for line in lines},
        },
        "domain": {"elements": sorted(elements), "density": list(recipe.record.densities)},
        "citations": [*_prior(recipe), PROJECT],
        "license": "MIT",
    }


def _prior(recipe: RowsRecipe) -> list[dict[str, str]]:
    near = [nagai2020.CITATION] if recipe.family.descriptor else []
    if recipe.prior == DENSITIES:
        return [R2SCAN, *near]
    cited = registry.find(recipe.family.functionals[recipe.prior][0].lower()).citations
    return [R2SCAN, *map(asdict, cited), *near]


def _protocol(recipe: RowsRecipe) -> str:
    if recipe.known:
        sets = " and ".join(dict.fromkeys(chosen.set for chosen in recipe.known))
        return (
            f"three factors that have {recipe.prior}'s energies of {sets}, but for what few "
            f"accurate energies change, at fixed {DENSITIES} densities"
        )
    beside = f", with {recipe.prior}'s D4 dispersion" if recipe.dispersion else ""
    first = f"{_near(recipe)}'s networks" if recipe.network.start else "three factors"
    rows = f"energies, bonds and grids of fixed {DENSITIES} densities"
    return f"{first} fitted at once to {rows}{beside}"


def _watched(recipe: RowsRecipe) -> str:
    """What the validation energies were there for."""
    if recipe.known:
        return "Validation energies chose which factor changes, and how far"
    return "The validation sets were watched"


def card(recipe: RowsRecipe, facts: Mapping[str, Any], lines: Sequence[Line]) -> str:
    """Text of the functional's card."""
    paragraphs = [
        f"# {recipe.record.alias}",
        f"{facts['description']}.",
        "## What it is",
        "Exchange: Slater's energy times a factor of each spin channel (exact spin scaling). "
        "Correlation: PW92's energy in parts of equal and of opposite spins, each times a factor. "
        "Every factor is a network (hidden layers "
        f"{'-'.join(map(str, recipe.network.hidden))}, activation z/sqrt(1 + z^2)) "
        f"{FACTORS[recipe.family.name]} The uniform gas is exact.{_exact(recipe)}",
        "## How it was made",
        f"By `xcnet train rows`: {_protocol(recipe)}, near {_near(recipe)} and smooth. "
        f"{_watched(recipe)}; no energy of AE147 was fitted or chose anything.",
        "## How good it is",
        "At these densities and by the factors' expansion, mean absolute errors: "
        + "; ".join(map(_said, lines))
        + ".",
        "## Limits",
        f"Dispersion is not in it: it was fitted {_beside(recipe)}. Elements in "
        f"the fit: {', '.join(facts['domain']['elements'])}.",
    ]
    return "\n\n".join(fill(text, 98) for text in paragraphs) + "\n"


def _near(recipe: RowsRecipe) -> str:
    return load(recipe.network.start).record.alias if recipe.network.start else recipe.prior


def _exact(recipe: RowsRecipe) -> str:
    share = recipe.exact_exchange
    return f" Of exchange, {100 * share:g} % is exact instead: a global hybrid." if share else ""


def _beside(recipe: RowsRecipe) -> str:
    return "beside the D4 energies of its record" if recipe.dispersion else "without any"


def _said(line: Line) -> str:
    watched = ", not fitted" if line.term == "validation" else ""
    return f"{line.set} ({line.count} {line.term}{watched}) {line.fit:.4g} {line.unit}"


def _metrics(line: Line) -> Mapping[str, Any]:
    return {
        "unit": line.unit,
        "rows": line.count,
        "of": line.total,
        "mean_absolute": line.fit,
        "largest": line.largest,
    }
