"""The quick subset of every set of energies, end to end, with a libxc and a neural functional."""

from __future__ import annotations

import html
from pathlib import Path

import pytest

pytest.importorskip("pyscf", reason="xcnet bench needs the bench extra")
pytest.importorskip("ase", reason="xcnet bench needs the bench extra")
pytest.importorskip("dftd3", reason="xcnet bench s22 needs the bench extra")

from xcnet import cli
from xcnet.bench import statistics, store
from xcnet.bench.report import page
from xcnet.systems import sets

#: Basis and grid that make each subset a matter of seconds; the protocol's need minutes.
SMALL = ["--basis", "sto-3g", "--grid", "0"]
FUNCTIONALS = ("PBE", "NN-r2SCAN")


ENERGIES = [name for name in sets.names() if sets.load(name).quantity == sets.ENERGY]


@pytest.mark.parametrize("name", ENERGIES)
def test_quick_subset(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / f"{name}.jsonl"
    xc = ",".join(FUNCTIONALS)
    words = ["bench", name, "--quick", "--xc", xc, "--jobs", "1", "--quiet", *SMALL]
    assert cli.main([*words, "--output", str(path)]) == 0
    (section,) = statistics.sections(store.read(path))
    quick = list(section.set.quick["only"])
    labels = [column.label for column in section.columns]
    with_dispersion = ["PBE", "PBE-D4", "NN-r2SCAN"]
    assert labels == (with_dispersion if section.set.dispersion else list(FUNCTIONALS))
    printed = capsys.readouterr().out
    for column in section.columns:
        stats = column.statistics(quick)
        assert stats is not None
        assert stats.count == stats.total
        assert column.label in printed
    if name == "s22":  # attraction binds every dimer more
        plain, corrected = (section.columns[i].errors for i in (0, 1))
        assert all(corrected[name] < plain[name] for name in quick)
    assert section.changed
    text = html.unescape(page.write([section], [], tmp_path / "page").read_text())
    assert section.set.title in text
    assert all(name in text for name in quick)


def test_a_set_of_another_quantity(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "bench",
        "bonds",
        "--only",
        "H2",
        "--xc",
        "NN-r2SCAN",
        "--jobs",
        "1",
        "--quiet",
        *SMALL,
    ]
    words += ["--output", str(tmp_path / "bonds.jsonl")]
    assert cli.main(words) == 0
    assert "1/10   " in capsys.readouterr().out
    assert cli.main(words) == 0
    assert "1 of 1 results are in" in capsys.readouterr().out
