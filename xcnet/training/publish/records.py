"""Records of trained functionals: what model.json says of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import xcnet
from xcnet import citation, registry
from xcnet.scf.densities import file_sha256
from xcnet.systems import training_sets
from xcnet.training.form.features import nagai2020
from xcnet.training.form.forms import FORMS, Form
from xcnet.training.form.semilocal import DENSITY_THRESHOLD
from xcnet.training.recipe import Recipe

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
    "key": citation.KEY,
    "text": f"xcnet {xcnet.__version__}: neural exchange-correlation functionals, trained there",
    "doi": "",
    "bibtex": citation.bibtex(),
}


def record(recipe: Recipe, weights: Path, metrics: Mapping[str, Any], data: str) -> dict[str, Any]:
    """Record of the functional, without what the exporter adds."""
    facts, form = recipe.record, FORMS[recipe.form]
    fitted = training_sets.gather(training_sets.load(name) for name in recipe.sets)
    refined = metrics.get("reactions", {"systems": []})
    systems = dict.fromkeys([*(system.name for system in fitted), *refined["systems"]])
    # Where energies were trained on, elements of the fit alone are not what it is good for.
    elements = refined.get("elements", fit_elements(recipe))
    return {
        "format_version": 1,
        "name": facts.name,
        "aliases": [facts.alias],
        "id": facts.id,
        "family": form.family,
        "kind": "exchange-correlation",
        "description": facts.description,
        "inputs": list(form.inputs),
        "descriptors": _descriptors(form),
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
        "constraints": list(form.constraints),
        "training": {
            "protocol": protocol(recipe),
            "data": list(systems),
            "data_sha256": data,
            "recipe_sha256": recipe.sha256,
            "weights_sha256": file_sha256(weights),
            "code_version": xcnet.__version__,
            "seed": recipe.seed,
            "metrics": _without_single_errors(metrics),
        },
        "domain": {
            "elements": sorted(elements),
            "density": [recipe.densities.min_density, metrics["largest_density"]],
        },
        "citations": [*_citations(recipe), PROJECT],
        "license": "MIT",
    }


def fit_elements(recipe: Recipe) -> list[str]:
    """Elements of the systems that the networks were fitted on."""
    fitted = training_sets.gather(training_sets.load(name) for name in recipe.sets)
    return sorted({e for system in fitted for e in system.symbols})


def _descriptors(form: Form) -> dict[str, dict[str, Any]]:
    return {} if form.descriptor is None else {form.descriptor.label: form.descriptor.parameters()}


def _without_single_errors(metrics: Any) -> Any:
    """Metrics without the error of every reaction, which the training's report has."""
    if isinstance(metrics, list | tuple):
        return [_without_single_errors(item) for item in metrics]
    if not isinstance(metrics, Mapping):
        return metrics
    return {k: _without_single_errors(v) for k, v in metrics.items() if k != "errors"}


def protocol(recipe: Recipe) -> str:
    """How the functional was trained, in a sentence."""
    targets = " and ".join(getattr(recipe, name).target for name in FORMS[recipe.form].networks)
    text = (
        f"fitted to libxc's {targets}: "
        f"energy density and potential on {recipe.densities.xc}/{recipe.densities.basis} "
        f"densities (grid level {recipe.densities.grid_level}), with less weight on points "
        "moved off these and on points spread over all densities"
    )
    if (refinement := recipe.refinement) is None:
        return text
    rounds = f"at the densities of {refinement.start}"
    if refinement.rounds > 1:
        rounds = f"in {refinement.rounds} self-consistent rounds, the first {rounds}"
    return (
        f"{text}; then trained on the energies of {', '.join(refinement.sets)} "
        f"({refinement.part}) {rounds}"
    )


def _citations(recipe: Recipe) -> list[dict[str, str]]:
    """References of the functionals it was fitted to, and of the descriptor."""
    form = FORMS[recipe.form]
    descriptor = [] if form.descriptor is None else [nagai2020.CITATION]
    if recipe.refinement is None:
        return [R2SCAN, *descriptor]
    by_key = {
        citation.key: asdict(citation)
        for name in form.networks
        for target in getattr(recipe, name).target.split("+")
        for citation in registry.find(target.strip()).citations
    }
    return [*by_key.values(), *descriptor]
