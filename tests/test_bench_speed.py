"""``xcnet bench speed``: every part runs, on molecules small enough for a test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyscf", reason="xcnet bench needs the bench extra")

from tests.bench_records import speed_records
from xcnet import cli
from xcnet.bench import store
from xcnet.bench.speed import cases, parts, tables
from xcnet.bench.speed.alkanes import alkane
from xcnet.systems import molecules

TINY = "--points 1,3 --rounds 1 --molecule H2 --basis sto-3g --carbons 1,2 --scaling-basis sto-3g"


def test_all_parts(
    nagai2020_weights: Path,
    published: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("torch", reason="torch is one of the cases")
    path = tmp_path / "speed.jsonl"
    names = ["M06-L", "NN-metaGGA-Nagai2020"]
    chosen = ["--xc", ",".join(names), "--scaling-xc", "M06-L"]
    words = ["bench", "speed", *TINY.split(), *chosen, "--weights", str(nagai2020_weights)]
    assert cli.main([*words, "--output", str(path)]) == 0
    records = store.read(path)
    assert {record["speed"] for record in records} == set(parts.MEASURES)
    assert all((record["mb"] if "mb" in record else record["seconds"]) > 0 for record in records)
    printed = capsys.readouterr().out
    for target in tables.TARGETS:
        measured = target.points != tables.MANY and target.case != tables.NRA
        assert (f"| {target.name()} |" in printed) == measured
    assert "| alkanes, atoms: | 5 | 8 | exponent |" in printed
    served = {f"xcnet {name}" for name in names}
    assert {r["case"] for r in records if r["quantity"] == "whole SCF"} == served
    others = {"libxc M06-L", "torch NN-metaGGA-Nagai2020", "floor 4-100-100-100-1"}
    assert {r["case"] for r in records if r["quantity"] == "exc+vxc, polarized"} == served | others


def test_nonlocal_functionals_have_no_values_at_points(published: Path) -> None:
    names = ["M06-L", "NN-NRA-Nagai2020"]
    assert list(cases.cases(names, "unpolarized", "exc", None)) == ["xcnet M06-L", "libxc M06-L"]


def test_wrong_requests(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = ["--output", str(tmp_path / "speed.jsonl")]
    for words, message in (
        (["--parts", "computes"], "--parts knows startup"),
        (["--xc", "PEB"], "PEB"),
        (["--parts", "scaling", "--scaling-xc", "PEB"], "PEB"),
        (["--parts", "compute", "--xc", "PBE", "--weights", "none"], "none is not a folder"),
    ):
        assert cli.main(["bench", "speed", *words, *output]) == cli.EXIT_ERROR
        assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_part_that_fails_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["bench", "speed", "--parts", "scf", "--molecule", "H2", "--basis", "6-31x"]
    path = tmp_path / "speed.jsonl"
    assert cli.main([*words, "--xc", "PBE", "--output", str(path)]) == cli.EXIT_ERROR
    assert "measuring scf ended with exit code 1" in capsys.readouterr().err


def test_closed_shells_have_equal_channels() -> None:
    one, two = (cases.densities(4, spin) for spin in ("unpolarized", "polarized"))
    for name, factor in (("rho", 2.0), ("sigma", 4.0), ("tau", 2.0)):
        assert one[name].shape == (4, 1)
        np.testing.assert_array_equal(one[name], factor * two[name][:, :1])


def test_ratios_are_of_the_last_run() -> None:
    (targets, rows), *_ = tables.tables(speed_records())
    assert targets == ("target", "measured", "limit", "met")
    assert [row[1:] for row in rows] == [("1.25", "1.3", "yes")]


def test_exponent_of_a_power() -> None:
    sizes = [5, 8, 20, 62]
    assert tables.exponent(sizes, [0.3 * n**1.7 for n in sizes]) == pytest.approx(1.7)


@pytest.mark.parametrize("carbons", [1, 2, 5, 20])
def test_alkanes(carbons: int) -> None:
    molecule = molecules.read(alkane(carbons))
    assert molecule.symbols.count("C") == carbons
    assert molecule.symbols.count("H") == 2 * carbons + 2
