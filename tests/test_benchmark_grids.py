"""Energies on coarse grids: the committed table can be made again, and NN-NRA's card has it."""

from __future__ import annotations

import pytest

from benchmarks import grid_levels
from xcnet import paths
from xcnet.spec import load_spec


def committed() -> dict[tuple[str, str], list[float]]:
    lines = grid_levels.RESULT.read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line[:1] == "|"]
    return {(name, level): [float(x) for x in cells] for name, level, *cells in rows[2:]}


def test_differences_are_those_committed() -> None:
    column = grid_levels.MOLECULES.index("CH4")
    differences = grid_levels.differences("M06-L", "CH4")
    for level, value in zip(grid_levels.LEVELS, differences, strict=True):
        assert value == pytest.approx(committed()["M06-L", str(level)][column], abs=2e-3)


def test_grid_that_the_record_of_nn_nra_asks_for() -> None:
    spec = load_spec(paths.models_folder() / "mgga_xc_nn_nra")
    largest = {level: row[-1] for (name, level), row in committed().items() if name == "NN-NRA"}
    card = " ".join(spec.read("CARD.md").decode().split())
    assert f"at level 3 turned out to be off by up to {largest['3']:.1f} kcal/mol" in card
    assert largest[str(spec.grid_level)] < 0.5 * largest["3"]
