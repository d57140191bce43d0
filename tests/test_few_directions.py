"""Directions in which three molecules may change r2SCAN, and their numbers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from benchmarks import few_directions
from xcnet import cli, paths
from xcnet.errors import InputError
from xcnet.scf import fixed_density
from xcnet.scf.fixed_density import Scheme
from xcnet.systems.molecules import Molecule, atom
from xcnet.training.linear import directions, integrals, preparation
from xcnet.training.linear.directions import LEVEL, LOCAL, NAMES, Changes, Known
from xcnet.training.linear.recipe import Chosen
from xcnet.training.publish import directed, publication

SCHEME = Scheme("r2scan", "def2-svp", "def2-universal-jkfit", 1, 1e-8)
H2 = Molecule("H2", ("H", "H"), ((0.0, 0.0, 0.0), (0.0, 0.0, 0.7414)))
ALL = ("a", "b", "c", "d", "e", "f", "g")


def _changes(rng: np.random.Generator, count: int) -> Changes:
    changes = rng.normal(size=(count, len(NAMES)))
    return Changes(ALL[:count], changes, rng.normal(size=count))


def test_no_direction_changes_one_electron() -> None:
    change = directions.of_density(fixed_density.solve(atom("H"), SCHEME))
    assert np.abs(change).max() < 1e-8


def test_lyp_is_lyp() -> None:
    """Of a closed shell, where the factor of paired spins is 1."""
    state = fixed_density.solve(H2, SCHEME)
    _, lyp, paired, _ = directions.of_density(state)
    expected = sum(
        integrals._energy(("GGA_C_LYP",), *block) - integrals._energy(("MGGA_C_R2SCAN",), *block)
        for block in integrals.blocks(state, LEVEL)
    )
    assert lyp == pytest.approx(expected, abs=1e-9)
    assert paired == pytest.approx(lyp, abs=1e-12)


def test_three_energies_determine_numbers() -> None:
    three = _changes(np.random.default_rng(3), 3)
    exact = directions.numbers(three, (0, 1, 3), 0.0)
    assert three.mean((0, 1, 3), exact) < 1e-12
    held = directions.numbers(three, (0, 1, 3), 1.0)
    assert np.abs(held).sum() < np.abs(exact).sum()


def test_the_fifteen_choose() -> None:
    """The best by them stands first, r2SCAN last, in both tables."""
    rng = np.random.default_rng(4)
    three, fifteen, sixty, accurate, experiment = (_changes(rng, n) for n in (3, 5, 6, 7, 7))
    made = few_directions.page(three, fifteen, sixty, (accurate, experiment))
    local, near = made.split("near-region density,")
    for table in (local, near):
        rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| ")][2:]
        means = [float(row[3]) for row in rows[:-1]]
        assert means == sorted(means)
        assert "r2SCAN" in rows[-1][0]
        assert all(
            (") v" in row[0] or "correlation v" in row[0]) == (table is near) for row in rows[:-1]
        )


def test_near_region_directions_of_one_electron_and_of_one_orbital() -> None:
    """They vanish for one electron, too; where one orbital is, but for two."""
    state = fixed_density.solve(atom("H"), SCHEME)
    assert np.abs(directions.of_density(state, NAMES)).max() < 1e-8
    state = fixed_density.solve(H2, SCHEME)
    local, near = np.split(directions.of_density(state, NAMES), [len(LOCAL)])
    assert local.tolist() == directions.of_density(state).tolist()
    assert (np.abs(near) > 1e-6).tolist() == [False, True, True, False, False]


def test_the_near_region_has_all_electrons() -> None:
    """Its density is in units of a uniform gas's, so that the contrast is about zero."""
    (made, volume), *rest = directions._parts(fixed_density.solve(H2, SCHEME), near_region=True)
    assert not rest
    assert made.contrast is not None
    ratio = ((1.0 + made.contrast) / (1.0 - made.contrast)).sqrt()
    assert float(volume @ ratio) == pytest.approx(2.0, abs=1e-4)


@pytest.mark.parametrize(("name", "table"), [("three", 0), ("three_nra", 1)])
def test_the_recipe_is_what_the_fifteen_chose(name: str, table: int) -> None:
    """Of the committed page, a table's first line; the shipped numbers are that line's."""
    chosen = directions.load(name)
    assert chosen is not None
    page = few_directions.RESULT.read_text(encoding="utf-8").split("near-region density,")[table]
    first = [line for line in page.splitlines() if line.startswith("| ")][2]
    cells = first.removeprefix("| ").split(" | ")
    assert cells[:2] == [" + ".join(chosen.names), f"{chosen.ridge:g}"]
    numbers = directed.load_numbers(publication.shipped_weights(chosen))
    assert cells[2] == ", ".join(f"{number:.2f}" for number in numbers)


def test_numbers_are_made_from_densities(tmp_path: Path) -> None:
    """One energy, one number: r2SCAN's error is gone, and other energies are watched."""
    ions = Chosen("three-molecules", "kcal/mol", only=("N+",))
    (reaction,) = ions.reactions()
    with ThreadPoolExecutor(1) as pool:
        assert preparation.run(ions.jobs(reaction), tmp_path, pool, lambda _: None) == {}
    of = Known(tmp_path).of_sets([ions])
    assert of.names == ("N+",)
    assert abs(of.errors[0]) > 0.1
    numbers = directions.numbers(of, [1], 0.0)
    assert of.mean([1], numbers) < 1e-9
    directed.save_numbers(numbers, tmp_path / "numbers.npz")
    assert directed.load_numbers(tmp_path / "numbers.npz") == pytest.approx(numbers, abs=0.0)
    assert not Known(tmp_path).of_sets([Chosen("three-molecules", "kcal/mol", only=("O+",))]).names


def test_nothing_is_trained_without_densities(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert paths.training_folder().is_relative_to(tmp_path)
    path = tmp_path / "ions.rows.toml"
    text = Path(directions.__file__).parents[1].joinpath("recipes", "three.rows.toml").read_text()
    path.write_text(text.replace("w4-17", "three-molecules").replace('part = "validation"\n', ""))
    command = ["train", "rows", "train", str(path), "--output", str(tmp_path)]
    assert cli.main(command) != 0
    assert "no densities of" in capsys.readouterr().err
    assert cli.main(["train", "rows", "fit", str(path)]) != 0
    assert "is a recipe of directions" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"LYP, 0"', '"PW91"', "direction PW91 is none of"),
        ("[directions]", "[mesh]\nexchange = 1.0\n[directions]", "nothing to do with mesh"),
        ('unit = "kcal/mol"', 'unit = "pound"', "unit pound is none of"),
        ("ridge = 1.0", "", "not a recipe"),
    ],
)
def test_recipes_that_are_none(tmp_path: Path, old: str, new: str, reason: str) -> None:
    path = tmp_path / "none.toml"
    text = Path(directions.__file__).parents[1].joinpath("recipes", "three.rows.toml").read_text()
    path.write_text(text.replace(old, new))
    with pytest.raises(InputError, match=reason):
        directions.load(str(path))
