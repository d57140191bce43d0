"""Cards of fits, which also the functionals between the rounds of a training have."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from xcnet.training import recipe
from xcnet.training.form.forms import FORMS
from xcnet.training.publish.cards import card

#: A recipe of each form, and the functional that it is fitted to.
RECIPES = {
    "lda": ("nn_lsda", "PW92"),
    "gga": ("nn_r2scan", "PBE"),  # with other targets
    "meta-gga": ("nn_r2scan", "r2SCAN"),
    "nra": (str(Path(__file__).with_name("nra.toml")), "r2SCAN"),
}


@pytest.mark.parametrize("form", RECIPES)
def test_a_fit_says_how_near_it_is(form: str) -> None:
    name, known = RECIPES[form]
    networks = FORMS[form].networks
    metrics = {f"{part}_rms_hartree": 0.00123 for part in networks}
    facts = {
        "training": {"data": ["H"], "metrics": metrics | {"energy_errors_hartree": {"H": -0.002}}}
    }
    chosen = replace(recipe.load(recipe.find(name)), refinement=None)
    if form == "gga":
        parts = {p: replace(getattr(chosen, p), target=f"gga_{p[0]}_pbe") for p in networks}
        chosen = replace(chosen, form=form, **parts)
    text = card(chosen, facts)
    flat = " ".join(text.split())
    assert f"A network fitted to {known}:" in flat
    assert "at most 2.000 mHa off" in flat
    for part in ("exchange", "correlation"):
        assert (f"1.23 mHa for {part}" in flat) == (part in networks)
