"""The committed frequencies: complete, and within the aim of what differences of gradients give."""

from __future__ import annotations

from benchmarks import frequencies
from xcnet import registry

LINES = {(line["molecule"], line["xc"]): line for line in frequencies.read()}


def test_every_shipped_functional_on_ten_molecules() -> None:
    assert not set(frequencies.tasks()) ^ set(LINES)
    assert len(frequencies.MOLECULES) == 10
    shipped = {entry.called for entry in registry.entries(origin="package")}
    assert shipped == {*frequencies.FUNCTIONALS, *frequencies.NONLOCAL}


def test_what_is_printed_is_near_the_differences() -> None:
    for line in LINES.values():
        if line["prints"] == "analytic":
            distance = frequencies.distance(line["analytic"], line["differences"])
            assert distance < frequencies.AIM, line


def test_the_measure_decides() -> None:
    for line in LINES.values():
        assert line["prints"] == ("analytic" if line["breach"] <= 1e-3 else "differences")
        if line["prints"] == "analytic" or line["xc"] == frequencies.COMPARED:
            assert len(line["analytic"]) == len(line["differences"])


def test_the_table_is_of_these_lines() -> None:
    assert frequencies.TABLE.read_text(encoding="utf-8") == frequencies.table(frequencies.read())
