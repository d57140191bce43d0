"""Energies on coarse grids: the committed table can be made again, and NN-NRA's card has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from xcnet import paths
from xcnet.scf import quantities
from xcnet.scf.calculation import Settings
from xcnet.spec import load_spec
from xcnet.systems import molecules, sets
from xcnet.systems.units import KCAL_PER_HARTREE

RESULT = Path(__file__).resolve().parent.parent / "benchmarks" / "results" / "grid_levels.md"


def committed() -> dict[tuple[str, str], list[float]]:
    lines = RESULT.read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line[:1] == "|"]
    return {(name, level): [float(x) for x in cells] for name, level, *cells in rows[2:]}


def test_differences_are_those_committed() -> None:
    chosen = sets.load("grids")
    assert chosen.table is not None
    protocol, column = chosen.protocol, chosen.table["names"].index("CH4")
    settings = Settings(protocol.basis, 3, protocol.density_fit, protocol.tolerance)
    (difference,) = quantities.grid(molecules.read("CH4"), "M06-L", settings).values
    expected = committed()["M06-L", "3"][column]
    assert difference * KCAL_PER_HARTREE == pytest.approx(expected, abs=2e-3)


def test_grid_that_the_record_of_nn_nra_asks_for() -> None:
    spec = load_spec(paths.models_folder() / "mgga_xc_nn_nra")
    largest = {level: row[-1] for (name, level), row in committed().items() if name == "NN-NRA"}
    card = " ".join(spec.read("CARD.md").decode().split())
    assert f"at level 3 turned out to be off by up to {largest['3']:.1f} kcal/mol" in card
    assert largest[str(spec.grid_level)] < 0.5 * largest["3"]
