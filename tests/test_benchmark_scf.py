"""The benchmark of Fock builds and calculations in PySCF: its molecules and its table."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from benchmarks import published_original, published_scf, pyscf_scf
from tests.published import prepared, required_weights


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
    lines = pyscf_scf.rows("water", pyscf_scf.FUNCTIONALS[:1], 0, 1)
    assert [line.split(" | ")[:2] for line in lines] == [["| water, sto-3g", "M06-L"]]
    assert all(line.count("|") == 8 for line in pyscf_scf.report(lines, 0).splitlines()[2:5])


def test_page_has_the_measured_ratios() -> None:
    root = Path(__file__).parents[1]
    table = (root / "benchmarks/results/pyscf_scf.md").read_text(encoding="utf-8")
    page = " ".join((root / "docs/accuracy.md").read_text(encoding="utf-8").split())
    rows = [[cell.strip() for cell in line.split("|")] for line in table.splitlines()]
    ratio = {row[2]: row[4] for row in rows if len(row) > 4 and row[1] == "benzene, def2-tzvp"}
    assert (
        f"takes {ratio['NN-r2SCAN']} times M06-L's with NN-r2SCAN, "
        f"{ratio['NN-metaGGA']} times with NN-metaGGA and "
        f"{ratio['NN-metaGGA-Nagai2020']} times with NN-metaGGA-Nagai2020"
    ) in page


def test_published_table_and_its_page() -> None:
    result = published_scf.in_own_process("r2SCAN", "H2", "sto-3g")
    assert result["energy"] == pytest.approx(-1.1576, abs=1e-3)
    assert 100.0 < result["megabytes"] < 2000.0
    lines = published_scf.report([result, result | {"xc": "Skala-1.0"}]).splitlines()
    assert [cell.strip() for cell in lines[5].split("|")][4:6] == [
        f"{result['megabytes']:.0f}",
        "1.00",
    ]
    root = Path(__file__).parents[1]
    table = (root / "benchmarks/results/published_scf.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")] for line in table.splitlines()]
    (skala,) = (row for row in rows if len(row) > 5 and row[1] == "Skala-1.0")
    page = " ".join((root / "docs/published.md").read_text(encoding="utf-8").split())
    assert f"takes {skala[3]} times r2SCAN's processor time and {skala[5]} times its memory" in page


def test_formula_in_torch_gives_the_same_energy(
    converted_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    required_weights("xcdiff")
    monkeypatch.setenv("XCNET_MODEL_PATH", str(prepared("xcdiff", converted_folder)))
    ours = published_scf.calculation("XCDIFF", "H2", "sto-3g")
    formula = published_original.torch_calculation("XCDIFF", "H2", "sto-3g")
    assert formula["energy"] == pytest.approx(ours["energy"], abs=1e-10)
    assert (formula["points"], formula["cycles"]) == (ours["points"], ours["cycles"])


def test_page_has_the_ratios_to_the_originals() -> None:
    root = Path(__file__).parents[1]
    table = (root / "benchmarks/results/published_original.md").read_text(encoding="utf-8")
    page = " ".join((root / "docs/published.md").read_text(encoding="utf-8").split())
    cells = [[cell.strip() for cell in line.split("|")] for line in table.splitlines()]
    ours = {(row[1], row[2]): row for row in cells if len(row) > 9 and row[3] == "xcnet"}
    theirs = {(row[1], row[2]): row for row in cells if len(row) > 9 and row[5] == "1.00"}
    assert {xc for _, xc in ours} == {"XCDIFF", "pcNN", "Skala-1.0"}
    assert ours.keys() == theirs.keys()
    for case, row in ours.items():
        assert float(row[9]) == pytest.approx(float(theirs[case][9]), abs=1e-7)
    water, benzene = (
        [ours[name, "Skala-1.0"][column] for column in (5, 7)] for name in ("water", "benzene")
    )
    assert (
        f"takes {water[0]} of the time and {water[1]} of the memory of its authors' program for "
        f"water, {benzene[0]} and {benzene[1]} for benzene"
    ) in page
