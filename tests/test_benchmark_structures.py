"""The pages' geometries and frequencies are those of the committed results."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks import pyscf_structures

PAGE = Path(__file__).resolve().parent.parent / "docs/accuracy.md"
RESULTS = {(line["molecule"], line["xc"]): line for line in pyscf_structures.read()}


def _rows(molecule: str) -> list[list[str]]:
    """Cells of the page's table of a molecule."""
    text = PAGE.read_text(encoding="utf-8")
    table = re.search(rf"^\| {molecule}[^\n]*\n\| ---[^\n]*\n((?:\|[^\n]*\n)+)", text, re.MULTILINE)
    assert table is not None
    return [[cell.strip() for cell in row.split("|")[1:-1]] for row in table[1].splitlines()]


def _line(molecule: str, name: str) -> Any:
    return RESULTS[molecule, name]


def test_the_page_has_the_committed_water() -> None:
    rows = _rows("water")
    for name, bond, angle, frequencies in rows:
        line = _line("water", name)
        for end in line["O-H"]:
            assert float(bond) == pytest.approx(end, abs=6e-5)
        assert float(angle.rstrip("°")) == pytest.approx(line["angle"], abs=6e-3)
        given = [float(x) for x in frequencies.split(",")] if frequencies else []
        assert given == pytest.approx(line.get("frequencies", []), abs=0.51)
    assert [row[0] for row in rows] == list(pyscf_structures.WATER)
    assert [row[0] for row in rows if row[3]] == list(pyscf_structures.FREQUENCIES)


def test_the_page_has_the_committed_benzene() -> None:
    rows = _rows("benzene")
    assert [row[0] for row in rows] == list(pyscf_structures.BENZENE)
    for name, *bonds in rows:
        line = _line("benzene", name)
        for bond, kind in zip(bonds, ("C-C", "C-H"), strict=True):
            # The grid's orientation makes the six bonds of a kind differ by 1e-4.
            assert float(bond) == pytest.approx(sum(line[kind]) / 2, abs=6e-5)


def test_nothing_is_missing_and_all_of_one_kind() -> None:
    assert not list(pyscf_structures.missing(list(RESULTS.values())))
    settings = {(line["basis"], line["grid_level"]) for line in RESULTS.values()}
    assert settings == {(pyscf_structures.BASIS, pyscf_structures.LEVEL)}
