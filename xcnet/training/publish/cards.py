"""Texts of the cards: what a functional is, how it was made, how good it is, where it ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

from xcnet.training.form.forms import FORMS
from xcnet.training.publish.records import fit_elements
from xcnet.training.recipe import Recipe, RefinementSettings


def card(recipe: Recipe, facts: Mapping[str, Any], tested: str = "") -> str:
    """Text of the functional's card; ``tested`` is what was measured with its weights."""
    paragraphs = [f"# {recipe.record.alias}"]
    if recipe.refinement is None:
        paragraphs += _fitted(recipe, facts, tested)
    else:
        paragraphs += _refined(recipe, recipe.refinement, facts, tested)
    return "\n\n".join(fill(text, 98) for text in paragraphs) + "\n"


def _what_it_is(recipe: Recipe) -> str:
    form = FORMS[recipe.form]
    widths = {name: "-".join(map(str, getattr(recipe, name).hidden)) for name in form.networks}
    hidden = "; ".join(f"{name} {text}" for name, text in widths.items())
    return form.text.format(hidden=hidden if form.exchange else widths["correlation"])


def _fit(recipe: Recipe, systems: str) -> str:
    densities = recipe.densities
    targets = " and ".join(getattr(recipe, name).target for name in FORMS[recipe.form].networks)
    return (
        f"`xcnet train` fitted energy density and potential to libxc's {targets} "
        "(Levenberg-Marquardt) on "
        f"Kohn-Sham densities ({densities.xc}/{densities.basis}, grid level "
        f"{densities.grid_level}) of {systems}; with less weight on "
        "points moved off these by random factors and polarizations, and on points spread over "
        "all densities, gradients and kinetic energy densities, so that it stays near "
        f"{_known(recipe)} outside its training systems."
    )


def _known(recipe: Recipe) -> str:
    """The functional of the fit, as it is usually written."""
    target = recipe.correlation.target.split("+")[-1].strip()
    names = {"mgga_c_r2scan": "r2SCAN", "gga_c_pbe": "PBE", "lda_c_pw_mod": "PW92"}
    return names.get(target, target)


def _fitted(recipe: Recipe, facts: Mapping[str, Any], tested: str) -> list[str]:
    metrics = facts["training"]["metrics"]
    worst = max(abs(x) for x in metrics["energy_errors_hartree"].values())
    spreads = " and ".join(
        f"{metrics[f'{name}_rms_hartree'] * 1e3:.2f} mHa for {name}"
        for name in FORMS[recipe.form].networks
    )
    known = _known(recipe)
    return [
        f"A network fitted to {known}: a demonstration that serves as {known}'s stand-in, no more "
        f"accurate than it. Whoever wants {known} itself should use libxc's.",
        "## What it is",
        _what_it_is(recipe),
        "## How it was made",
        f"{_fit(recipe, ', '.join(facts['training']['data']))} No measured or wave-function data "
        "were used.",
        "## How well it fits",
        f"At the training densities the integrated energy is at most {worst * 1e3:.3f} mHa off; "
        f"the energy density is off by (root mean square per electron) {spreads}. {tested}",
        "## Limits",
        "Trained on elements up to Ne. The cores of heavier atoms and very large gradients rest "
        f"on the spread points alone. It needs the same care with grids as {known}.",
    ]


def _refined(
    recipe: Recipe, settings: RefinementSettings, facts: Mapping[str, Any], tested: str
) -> list[str]:
    training = facts["training"]
    reactions = training["metrics"]["reactions"]
    trained = reactions["self_consistent"]["trained"]
    errors = [
        f"Self-consistently, the {trained['count']} energies it was trained on are off by "
        f"{trained['mean_absolute']:.2f} kcal/mol on average; at the densities of the last round, "
        f"where it was trained, by {reactions['fixed'][-1]['trained']['mean_absolute']:.2f}."
    ]
    if settings.check:
        watched = reactions["self_consistent"]["watched"]
        chose = " but chose among recipes" if settings.check == "validation" else ""
        errors.append(
            f"{watched['count']} more of the same sets ({settings.check}), which were never "
            f"trained on{chose}, are off by {watched['mean_absolute']:.2f}."
        )
    states = settings.ground_states
    both = len(FORMS[recipe.form].networks) > 1
    return [
        f"{facts['description']}.",
        "## What it is",
        _what_it_is(recipe),
        "## How it was made",
        _fit(recipe, "the sets " + ", ".join(recipe.sets)),
        f"Then {'both networks were trained together' if both else 'the network was trained'} on "
        f"the {trained['count']} energies of "
        f"{', '.join(settings.sets)} ({settings.part}), with a robust square of the error "
        f"(width {settings.width:g} kcal/mol) and the fit's own loss as the measure of how far "
        f"to go from it (weight {settings.prior:g}): {_rounds(settings)} "
        f"({states.basis}, grid level {states.grid_level}).",
        "## How good it is",
        " ".join(filter(None, [*errors, tested, recipe.record.note])),
        "## Limits",
        f"{_elements(recipe, facts['domain']['elements'])} Dispersion is not in it. It was trained "
        "on energies at given geometries, not on forces: bond lengths may be off.",
    ]


def _elements(recipe: Recipe, trained: Sequence[str]) -> str:
    """Which elements rest on what."""
    fitted = [element for element in fit_elements(recipe) if element not in trained]
    return (
        f"Elements in the energies that it was trained on: {', '.join(trained)}. "
        f"In the fit alone: {', '.join(fitted) or 'none'}. Other elements were in neither; very "
        "large gradients rest on the fit."
    )


def _rounds(settings: RefinementSettings) -> str:
    if settings.rounds == 1:
        return f"one round, at the densities of {settings.start}"
    return (
        f"{settings.rounds} rounds, the first at the densities of {settings.start}, each further "
        "one at those of the functional before"
    )
