"""Benchmarks: their cases run, and their tables have a row for each."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from benchmarks import compute, pyscf_scf


def test_tables_of_both_spins(
    nagai2020_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XCNET_MODEL_PATH", "")  # restored after `cases` sets it
    chosen = compute.cases(nagai2020_weights, tmp_path)
    assert tuple(chosen) == compute.SPINS
    for spin, cases in chosen.items():
        assert set(compute.NAMES) <= set(cases)
        times = compute.measure(cases, compute.densities(3, spin), 2)
        lines = compute.table(spin, times, times, 3).splitlines()
        assert lines[0].startswith(f"| exc + vxc, {spin} |")
        assert [line.split(" | ")[0] for line in lines[2:]] == [f"| {name}" for name in cases]


def test_table_of_all_orders(published: Path) -> None:
    points = compute.densities(3, "polarized")
    found = {n: compute.measure(c, points, 1) for n, c in compute.higher_orders().items()}
    lines = compute.orders_table(found, 3).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == [f"| {name}" for name in compute.NAMES]
    assert all(line.count(" | ") == 5 for line in lines[2:])


def test_closed_shells_have_equal_channels() -> None:
    one, two = (compute.densities(4, spin) for spin in ("unpolarized", "polarized"))
    for name, factor in (("rho", 2.0), ("sigma", 4.0), ("tau", 2.0)):
        assert one[name].shape == (4, 1)
        np.testing.assert_array_equal(one[name], factor * two[name][:, :1])


def test_scf_table_and_its_molecules(monkeypatch: pytest.MonkeyPatch) -> None:
    atoms = pyscf_scf.dodecylamine()
    assert Counter(symbol for symbol, _ in atoms) == {"C": 12, "H": 27, "N": 1}
    places = np.array([place for _, place in atoms])
    distances = np.linalg.norm(places[:, None] - places, axis=2)
    bonds = np.sort(distances[np.triu_indices(40, 1)])
    assert bonds[0] == pytest.approx(1.09)
    np.testing.assert_allclose(bonds[26:39], [1.09] + 12 * [1.53])
    assert bonds[39] > 1.7  # no other pair is near
    monkeypatch.setitem(pyscf_scf.MOLECULES, "water", (lambda: pyscf_scf.named("H2O"), "sto-3g"))
    lines = pyscf_scf.rows("water", pyscf_scf.FUNCTIONALS[:1], 0)
    assert [line.split(" | ")[:2] for line in lines] == [["| water, sto-3g", "M06-L"]]
    assert all(line.count("|") == 8 for line in pyscf_scf.report(lines, 0).splitlines()[2:5])
