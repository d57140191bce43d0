"""The functionals that this repository trained, against the weights they were exported from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from xcnet import engine, paths
from xcnet.sample import sample
from xcnet.spec import RECORD, FunctionalSpec, load_spec
from xcnet.training import publication, recipe
from xcnet.training.reference import file_sha256

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results" / "ae147.jsonl"
FOLDERS = sorted(path.parent for path in paths.models_folder().glob("*/model.json"))
RECIPES = {
    found.record.name: found
    for path in sorted((Path(recipe.__file__).parent / "recipes").glob("*.toml"))
    for found in [recipe.load(path)]
}


@pytest.fixture(scope="module", params=FOLDERS, ids=lambda folder: folder.name)
def spec(request: pytest.FixtureRequest) -> FunctionalSpec:
    return load_spec(request.param)


def test_every_shipped_functional_has_its_recipe_and_weights(spec: FunctionalSpec) -> None:
    found = RECIPES[spec.name]
    assert spec.training["recipe_sha256"] == found.sha256
    assert spec.training["weights_sha256"] == file_sha256(publication.shipped_weights(found))


def test_committed_energies_are_of_the_shipped_functional(spec: FunctionalSpec) -> None:
    """The card says that AE147 was computed once, with these weights."""
    lines = [json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()]
    models = {line["model"] for line in lines if line["xc"] == spec.aliases[0]}
    assert models == {file_sha256(spec.folder / RECORD)}


def test_exported_again_from_its_weights(spec: FunctionalSpec, tmp_path: Path) -> None:
    """Values of every graph but the largest agree to rounding."""
    made = publication.republish(RECIPES[spec.name], spec, tmp_path / spec.name)
    inputs = sample(spec.variables, 500, seed=7)
    old, new = engine.run(spec, 2, inputs), engine.run(made, 2, inputs)
    for label, values in old.items():
        np.testing.assert_allclose(new[label], values, rtol=1e-12, atol=0.0, err_msg=label)
