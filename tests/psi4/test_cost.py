"""The benchmark of Psi4: its table has a row for each functional, ratios to M06-L."""

from __future__ import annotations

import pytest

pytest.importorskip("psi4", reason="these tests need Psi4")

from benchmarks import psi4_cost
from benchmarks.psi4_cost import REFERENCE, Cost


def test_table() -> None:
    results = {
        REFERENCE: [Cost(4.0, 3.0, 8, 0), Cost(2.0, 5.0, 8, 0)],
        "nn-r2scan": [Cost(3.0, 6.0, 9, 1200)],
    }
    lines = psi4_cost.table(results, 2).splitlines()
    assert lines[0] == "2 threads, least of 2:"
    assert lines[4] == "| m06-l | 2.0 | 1.00 | 3.0 | 1.00 | 8 | 0 |"
    assert lines[5] == "| nn-r2scan | 3.0 | 1.50 | 6.0 | 2.00 | 9 | 1,200 |"
