"""Energies on coarse grids: the committed table can be made again; levels of records suffice."""

from __future__ import annotations

from pathlib import Path

import pytest

from xcnet import registry
from xcnet.scf import quantities
from xcnet.scf.calculation import Settings
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


def test_level_that_a_record_asks_for_suffices() -> None:
    for (name, level), row in committed().items():
        spec = registry.find(name).spec
        if spec is not None and level == str(spec.grid_level):
            assert row[-1] <= 0.1, name
