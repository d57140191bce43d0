"""The committed table of published functionals follows from the committed results."""

from __future__ import annotations

import pytest

pytest.importorskip("ase", reason="the sets' molecules are ASE's")

from benchmarks import published_accuracy
from xcnet.bench.statistics import sections

NAMES = {"pcNN", "XCDIFF", "DM21", "Skala-1.0", "NN-metaGGA-Nagai2020", "r2SCAN", "B3LYP"}
#: Sets whose data comes with a package.
SETS = ("ae147", "dbh24", "bonds")


def _cells(text: str) -> dict[str, dict[str, str]]:
    """Cells by functional and column."""
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    header, _, *body = (row for row in rows if row)
    return {row[0]: dict(zip(header[1:], row[1:], strict=True)) for row in body}


def test_table() -> None:
    """Without dispersion, whose parameters may not be here."""
    written = _cells(published_accuracy.RESULT.with_suffix(".md").read_text(encoding="utf-8"))
    assert written.keys() >= NAMES
    assert all(cell for name in NAMES for cell in written[name].values())
    records = [record for record in published_accuracy.read() if record["set"] in SETS]
    made = _cells(published_accuracy.table(sections(records)))
    for name in NAMES:
        assert made[name].items() <= written[name].items()
        assert len(made[name]) == len(SETS)


def test_only_reactions_that_all_have_are_compared() -> None:
    records = [r for r in published_accuracy.read() if r["set"] == "ae147"]
    lacking = [r for r in records if (r["xc"], r["system"]) != ("XCDIFF", "H2O")]
    (whole,), (part,) = sections(records), sections(lacking)
    assert set(published_accuracy.common(whole)) == {"H2", "HF", "H2O"}
    assert set(published_accuracy.common(part)) == {"H2", "HF"}
