"""The functionals that this repository trained, against the weights they were exported from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from xcnet import engine, paths, variables
from xcnet.sample import closed_shell, sample
from xcnet.scf.densities import file_sha256
from xcnet.spec import FunctionalSpec, load_spec
from xcnet.training import recipe
from xcnet.training.linear import directions
from xcnet.training.linear import recipe as rows_recipe
from xcnet.training.linear.directions import DirectionsRecipe
from xcnet.training.linear.recipe import RowsRecipe
from xcnet.training.publish import directed, general, publication
from xcnet.training.recipe import Recipe

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results" / "ae147.jsonl"
FOLDERS = sorted(path.parent for path in paths.models_folder().glob("*/model.json"))
LOADED: list[Recipe | RowsRecipe | DirectionsRecipe] = [
    *filter(None, map(directions.load, ("three", "three_nra"))),
    *map(recipe.load, recipe.shipped_recipes().values()),
    *map(rows_recipe.load, ("general", "gga", "hybrid", "nra")),
]
RECIPES = {loaded.record.name: loaded for loaded in LOADED}


@pytest.fixture(scope="module", params=FOLDERS, ids=lambda folder: folder.name)
def spec(request: pytest.FixtureRequest) -> FunctionalSpec:
    return load_spec(request.param)


def test_every_shipped_functional_has_its_recipe_and_weights(spec: FunctionalSpec) -> None:
    settings = RECIPES[spec.name]
    assert spec.training["recipe_sha256"] == settings.sha256
    assert spec.training["weights_sha256"] == file_sha256(publication.shipped_weights(settings))


def test_closed_shells_take_fewer_operations(spec: FunctionalSpec) -> None:
    """One channel stands for both, and nothing of the spin polarization is left to compute."""
    nodes = {
        spin: len(onnx.load_from_string(spec.read(spec.graphs["vxc", spin])).graph.node)
        for spin in (1, 2)
    }
    assert nodes[1] < 0.6 * nodes[2]


def test_committed_energies_are_of_the_shipped_functional(spec: FunctionalSpec) -> None:
    """With these weights, at the grid level that its record asks for."""
    lines = [json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()]
    own = [line for line in lines if line["xc"] == spec.aliases[0]]
    assert {line["model"] for line in own} == {spec.values_sha256}
    assert {line["grid_level"] for line in own} == {spec.grid_level}


def test_exported_again_from_its_weights(spec: FunctionalSpec, tmp_path: Path) -> None:
    """Values of every graph but the largest agree to rounding."""
    folder = tmp_path / spec.name
    settings, orders = RECIPES[spec.name], variables.ORDERS[:3]
    if isinstance(settings, DirectionsRecipe):
        made = directed.republish(settings, spec, folder, orders)
    elif isinstance(settings, RowsRecipe):
        made = general.republish(settings, spec, folder, orders)
    else:
        made = publication.republish(settings, spec, folder, orders=orders)
    spins = sample(spec.variables, 500, 7, spec.descriptors)
    totals, _ = closed_shell(spins)
    for spin, inputs in ((2, spins), (1, totals)):
        old, new = (engine.run(graphs, 2, inputs, spin) for graphs in (spec, made))
        for label, values in old.items():
            np.testing.assert_allclose(new[label], values, rtol=1e-12, atol=0.0, err_msg=label)
