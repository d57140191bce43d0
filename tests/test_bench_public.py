"""Public sets as benchmarks: reactions with charges and fields, D4, the estimate of WTMAD-2."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tests.training_sets import public_folder
from xcnet import cli
from xcnet.bench import launch, plan, statistics, tables
from xcnet.bench.tasks import Task
from xcnet.errors import InputError
from xcnet.systems import benchmarks, public_data, sets

DIET = benchmarks.load("diet30")


@pytest.fixture
def diet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The data of both diets in an empty cache of the user."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name in ("diet30", "diet100"):
        public_data.install(name, public_folder(name))


def _record(system: str, energy: float) -> dict[str, Any]:
    return {
        **{"format": 1, "set": "diet30", "system": system, "xc": "R2SCAN", "model": ""},
        **{"protocol": asdict(DIET.protocol), "grid_level": 3, "status": "converged"},
        **{"energy": energy, "cycles": 1, "guess_cycles": 0, "rungs": []},
        "machine": {"cpu": "a processor"},
    }


def test_wtmad_2_is_the_mean_of_weighted_errors(diet: None) -> None:
    """Energies that are all zero are wrong by the references: a sum that is known from the data."""
    of = benchmarks.of_set(DIET)
    assert len(of) == 30
    names = {system.name for reaction in of for _, system in reaction.terms}
    (section,) = statistics.sections([_record(name, 0.0) for name in sorted(names)])
    plain, corrected = section.columns
    assert corrected.label == "R2SCAN-D4"
    stats = plain.statistics(section.subsets["diet30"])
    assert stats is not None
    wanted = sum(row.weight * abs(row.reference) for row in of) / len(of)
    assert stats.weighted == pytest.approx(wanted, rel=1e-12)
    # Each set's weight times its mean energy is 56.84: random rows have about that.
    assert 40.0 < wanted < 80.0
    assert f"WTMAD-2 of diet30, 30/30: R2SCAN {wanted:.2f}" in tables.text(section)


def test_sets_without_weights_have_no_such_line() -> None:
    column = statistics.Column("PBE", 3, {"a": 1.0}, weights={"a": 1.0})
    stats = column.statistics(["a"])
    assert stats is not None
    assert stats.weighted is None


def test_the_large_rows_of_diet100_are_a_subset_less(diet: None) -> None:
    chosen = benchmarks.load("diet100")
    of = {row.name: row for row in benchmarks.of_set(chosen)}
    left = set(chosen.subsets["at most 17 heavy atoms"]["without"])
    large = {
        name
        for name, row in of.items()
        if any(sum(s != "H" for s in system.symbols) > 17 for _, system in row.terms)
    }
    assert left == large
    assert len(of) - len(left) == 94


def test_systems_in_fields_reach_the_worker(tmp_path: Path, monkeypatch: Any) -> None:
    """A calculation in a field, through a process; and the task as text."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    public_data.install("dip146", public_folder("dip146"))
    chosen = benchmarks.load("dip146")
    protocol = sets.changed(chosen.protocol, basis="def2-svp")
    tasks = plan.plan(chosen, ["PBE"], protocol, chosen.limits, ["Dip146_1"])
    assert [task.molecule.field is not None for task in tasks] == [True, True]
    assert Task.from_json(tasks[0].to_json()) == tasks[0]
    records = [launch.calculate(task.to_json()) for task in tasks]
    assert all(record["status"] == "converged" for record in records)
    (reaction,) = benchmarks.of_set(chosen, ["Dip146_1"])
    energies = {record["system"]: record["energy"] for record in records}
    # The dipole moment of AlF, by PBE in a small basis, within a third.
    assert reaction.value(energies) * 627.5 == pytest.approx(reaction.reference, rel=0.4)


def test_no_small_subset_and_no_data_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cli.main(["bench", "a24", "--xc", "PBE", "--quick"]) == cli.EXIT_ERROR
    assert "a24 has no small subset" in capsys.readouterr().err
    assert cli.main(["bench", "a24", "--xc", "PBE"]) == cli.EXIT_ERROR
    assert "run `xcnet train data a24`" in capsys.readouterr().err
    with pytest.raises(InputError, match="no benchmark set 'gmtkn55'"):
        benchmarks.load("gmtkn55")
