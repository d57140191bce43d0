"""A tiny recipe trained on known energies, from the command line to a calculation with it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.test_training import RECIPE
from xcnet import cli, registry
from xcnet.scf.densities import file_sha256
from xcnet.spec import load_spec
from xcnet.training import levenberg, recipe
from xcnet.training.loss.refinement import Refinement
from xcnet.training.publish import publication

pytest.importorskip("pyscf", reason="PySCF makes the densities")
pytestmark = pytest.mark.usefixtures("one_thread", "first_derivatives")

REFINEMENT = """
[refinement]
sets = ["three-molecules"]
part = "train"
check = ""
start = "PBE"
rounds = 2
iterations = 4
prior = 1e3
width = 3.0
[refinement.ground_states]
basis = "sto-3g"
grid_level = 0
density_fit = ""
tolerance = 1e-7
min_density = 1e-10
"""
NAME = "mgga_xc_nn_refined_on_energies_of_three_molecules"  # its rounds' functionals add to it
TINY = RECIPE.replace("mgga_xc_nn_tiny", NAME).replace("NN-tiny", "NN-refined")
TINY = TINY.replace("id = 190901", "id = 190902") + REFINEMENT


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rounds")
    (path / "tiny.toml").write_text(TINY)
    return path


@pytest.fixture(scope="module")
def made(folder: Path) -> Path:
    """The whole training, interrupted in its second round."""
    step, count = levenberg.step, 0

    def interrupted(problem: levenberg.Problem, state: levenberg.State) -> levenberg.State:
        nonlocal count
        count += isinstance(problem, Refinement)
        if count == 6:
            raise KeyboardInterrupt
        return step(problem, state)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(levenberg, "step", interrupted)
        assert _train(folder) == 130
    assert not (folder / "models" / NAME).exists()
    assert _train(folder, "--resume") == 0
    return folder / "models" / NAME


def _train(folder: Path, *more: str) -> int:
    words = ["train", str(folder / "tiny.toml"), "--data", str(folder), "--device", "cpu"]
    return cli.main([*words, "--output", str(folder / "models"), *more])


def test_training_lowers_the_errors(made: Path) -> None:
    spec = load_spec(made)
    reactions = spec.training["metrics"]["reactions"]
    assert len(reactions["fixed"]) == 2
    # Atomization of three molecules, ionization of these, of N, O and H.
    assert reactions["self_consistent"]["trained"]["count"] == 9
    start, end = (item["trained"]["mean_absolute"] for item in reactions["fixed"])
    assert end < start
    progress = np.load(made.parents[1] / NAME / "checkpoint.npz")
    for number in range(2):
        losses = progress[f"round.{number}.history"]
        assert len(losses) == 5
        assert np.all(np.diff(losses) <= 0.0)
    assert set(spec.elements) >= {"H", "N", "O"}
    assert "self-consistent rounds" in spec.training["protocol"]


def test_resumed_training_is_the_uninterrupted_one(made: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    (whole / "tiny.toml").write_text(TINY)
    assert _train(whole) == 0
    ends = [path / NAME / "weights.npz" for path in (made.parents[1], whole)]
    item, two = (np.load(end) for end in ends)
    for key in item.files:
        np.testing.assert_array_equal(item[key], two[key])


def test_self_consistent_errors_are_those_of_the_functional(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Solved again with the exported functional, by its alias."""
    from xcnet.scf import calculation
    from xcnet.systems import training_sets

    monkeypatch.setenv("XCNET_MODEL_PATH", str(made.parent))
    registry.refresh()
    states = recipe.load(made.parents[1] / "tiny.toml").refinement
    assert states is not None
    settings = calculation.Settings("sto-3g", 0, False, 1e-7)
    reactions = {item.name: item for item in training_sets.load("three-molecules").reactions}
    ionization = reactions["N+"]
    energies = {
        system.name: calculation.solve(system, "NN-refined", settings, lambda *_: None).energy
        for _, system in ionization.terms
    }
    error = 627.5094740631 * (ionization.value(energies) - ionization.reference)
    report = json.loads((made.parents[1] / NAME / "report.json").read_text())
    errors_of_reactions = report["reactions"]["self_consistent"]
    assert errors_of_reactions["trained"]["errors"]["N+"] == pytest.approx(error, abs=0.02)


def test_shipped_weights_make_the_same_functional(made: Path, tmp_path: Path) -> None:
    """As `xcnet train` exports it, so does a later export of its weights."""
    spec = load_spec(made)
    settings = recipe.load(made.parents[1] / "tiny.toml")
    weights = made.parents[1] / NAME / "weights.npz"
    assert spec.training["weights_sha256"] == file_sha256(weights)
    training = spec.training
    publication.publish(
        settings, weights, training["metrics"], training["data_sha256"], tmp_path / NAME
    )
    item, two = (
        json.loads((folder / "model.json").read_text()) for folder in (made, tmp_path / NAME)
    )
    assert item == two


def test_functionals_between_rounds_are_forgotten(made: Path) -> None:
    assert made.exists()
    known = [entry.name for entry in registry.entries()]
    assert not [name for name in known if name.startswith("mgga_xc_nn_refined")]
