"""Benchmark sets, tasks, results files and statistics, without a calculation."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ase", reason="the sets' geometries come from ASE")

from tests.bench_records import atomization_records, record
from xcnet import cli
from xcnet.bench import runner, statistics, store, tables
from xcnet.bench.store import Store
from xcnet.bench.tasks import Task, canonical, key
from xcnet.errors import BenchmarkError, InputError
from xcnet.systems import benchmarks, sets
from xcnet.systems.molecules import Molecule
from xcnet.systems.reactions import Reaction, reactions, systems

COUNTS = {"ae147": 148, "dbh24": 24, "ip": 48, "s22": 22}
QUANTITIES = {"bonds": 91, "frequencies": 15, "grids": 7}
every_set = pytest.mark.parametrize("name", [*COUNTS, *QUANTITIES])
every_set_of_energies = pytest.mark.parametrize("name", COUNTS)


def _reactions(name: str) -> dict[str, Reaction]:
    return {reaction.name: reaction for reaction in benchmarks.of_set(sets.load(name))}


# -- sets ----------------------------------------------------------------------------------------


def test_all_sets_are_there() -> None:
    downloaded = {"dipoles", "geometries"}
    counts = {name: len(_reactions(name)) for name in set(sets.names()) - downloaded}
    assert counts == {**COUNTS, **QUANTITIES}


@every_set
def test_subsets_name_reactions_that_exist(name: str) -> None:
    chosen, known = sets.load(name), _reactions(name)
    quick = benchmarks.of_set(chosen, chosen.quick["only"])
    assert len(quick) == len(set(chosen.quick["only"])) >= 3
    for rule in chosen.subsets.values():
        assert set(rule["without"]) <= set(known)


@every_set_of_energies
def test_reactions_conserve_atoms_and_charge(name: str) -> None:
    """Electrons too, but for ionization, where exactly one leaves."""
    for reaction in _reactions(name).values():
        atoms: Counter[str] = Counter()
        charge = 0
        for coefficient, system in reaction.terms:
            for symbol in system.symbols:
                atoms[symbol] += coefficient
            charge += coefficient * system.charge
        if reaction.name == "H" and name == "ip":
            assert atoms == {"H": -1}  # no electron is left
            continue
        assert not any(atoms.values()), reaction.name
        assert charge == (1 if name == "ip" else 0), reaction.name


@every_set
def test_a_name_means_one_system_with_a_possible_spin(name: str) -> None:
    by_name: dict[str, Molecule] = {}
    for reaction in _reactions(name).values():
        for _, system in reaction.terms:
            assert by_name.setdefault(system.name, system) == system
            assert system.spin <= system.electrons
            assert (system.electrons - system.spin) % 2 == 0, system.name
    assert len(systems(list(_reactions(name).values()))) == len(by_name)


def test_references_of_known_cases() -> None:
    assert _reactions("ae147")["H2O"].reference == pytest.approx(232.58, abs=0.01)
    assert _reactions("ae147")["N2"].reference == pytest.approx(228.48, abs=0.01)
    # eV: 0.2177 of the paper is 5.02 kcal/mol.
    assert _reactions("s22")["Water_dimer"].reference == pytest.approx(-5.02, abs=0.01)
    assert _reactions("ip")["H"].reference == pytest.approx(13.60, abs=0.01)
    assert _reactions("dbh24")["HCN>"].reference == pytest.approx(48.07)


def test_cations_have_their_ground_state() -> None:
    spins = {
        system.name: system.spin
        for reaction in _reactions("ip").values()
        for _, system in reaction.terms
    }
    assert {name: spins[f"{name}+"] for name in ("C", "O", "N", "F", "Na", "O2", "NH2")} == {
        **{"C": 1, "O": 3, "N": 2, "F": 2, "Na": 0, "O2": 1, "NH2": 2}
    }


def test_ae147_says_which_molecule_it_leaves_out() -> None:
    assert list(sets.load("ae147").subsets["AE147"]["without"]) == ["COF2"]
    assert list(sets.load("ae147").subsets["AE148"]["without"]) == []


def test_unknown_names(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="there are ae147, bonds, dbh24, dipoles"):
        sets.load("ae6")
    with pytest.raises(InputError, match=r"no C6H66\. Near names: C6H6"):
        reactions(sets.load("ae147"), ["C6H66"])
    with pytest.raises(SystemExit) as caught:
        cli.main(["bench", "ae6", "--xc", "PBE"])
    assert caught.value.code == 2
    assert "'ae6'" in capsys.readouterr().err


# -- tasks ---------------------------------------------------------------------------------------


def _task(name: str = "H", xc: str = "PBE", **changes: Any) -> Task:
    chosen = sets.load("ae147")
    molecule = Molecule(name, ("H",), ((0.0, 0.0, 0.0),), spin=1)
    protocol = sets.changed(chosen.protocol, **changes)
    return Task("ae147", molecule, xc, "", protocol, 3, chosen.limits)


def test_tasks_travel_as_text() -> None:
    task = _task()
    assert Task.from_json(task.to_json()) == task


def test_results_are_known_by_functional_and_protocol() -> None:
    done = [record("H"), record("H", "TPSS", status="failed")]
    tasks = [_task(), _task(xc="TPSS"), _task(basis="sto-3g"), _task("He")]
    assert key(done[0]) == tasks[0].key
    assert runner.remaining(tasks, done, retry=False) == tasks[2:]
    assert runner.remaining(tasks, done, retry=True) == tasks[1:]
    # A molecule of the same name has another geometry in another set, or another quantity.
    other = replace(tasks[0], set="dipoles")
    assert runner.remaining([other], done, retry=False) == [other]


# -- results files -------------------------------------------------------------------------------


def test_a_cut_line_is_removed_and_the_rest_kept(tmp_path: Path) -> None:
    path = tmp_path / "new" / "results.jsonl"
    with Store(path) as first:
        first.append({"a": 1})
        first.append({"a": 2, "text": "µ"})
    whole = path.read_bytes()
    for cut in range(1, len(b'{"a": 3}')):
        path.write_bytes(whole + b'{"a": 3}'[:cut])
        assert [record["a"] for record in store.read(path)] == [1, 2]
        with Store(path) as opened:
            assert opened.repaired
            assert [record["a"] for record in opened.records] == [1, 2]
            assert path.read_bytes() == whole
    with Store(path) as opened:
        assert not opened.repaired


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a": 1}\n{"a": \n{"a": 3}\n', "line 2: this is not a JSON record"),
        ("[1]\n", "line 1: not a record"),
        ("a report", "not a results file"),
    ],
)
def test_other_files_are_refused_and_left_alone(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text(content)
    with pytest.raises(InputError, match=message), Store(path):
        pass
    assert path.read_text() == content


def test_two_writers_are_one_too_many(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    with Store(path), pytest.raises(BenchmarkError, match="another run"), Store(path):
        pass


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BenchmarkError, match="cannot write"), Store(tmp_path / "file" / "r.jsonl"):
        pass


def test_full_disk_loses_nothing(tmp_path: Path) -> None:
    """A file-size limit stands for the disk: the line that does not fit leaves no trace."""
    path = tmp_path / "results.jsonl"
    code = (
        "import resource, sys; from pathlib import Path; from xcnet.bench.store import Store;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100));"
        f"store = Store(Path({str(path)!r})).__enter__();"
        "[store.append({'number': i, 'pad': 'x' * 20}) for i in range(9)]"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "BenchmarkError: cannot write" in done.stderr
    assert "2 results are safe" in done.stderr
    assert '"number": 2' in done.stderr  # what had no place
    assert [record["number"] for record in store.read(path)] == [0, 1]
    assert path.read_bytes().endswith(b"\n")


# -- statistics ----------------------------------------------------------------------------------


def test_statistics_of_known_errors() -> None:
    (section,) = statistics.sections(atomization_records({"H2": 1.0, "N2": -3.0, "COF2": 8.0}))
    column, corrected = section.columns
    assert corrected.label == f"{column.label}-D4"
    assert corrected.errors["N2"] != column.errors["N2"]
    stats = column.statistics(section.subsets["AE147"])
    assert stats is not None
    assert (stats.count, stats.total, stats.worst) == (2, 147, "N2")
    assert (stats.mae, stats.me, stats.largest) == pytest.approx((2.0, -1.0, -3.0), abs=1e-6)
    everything = column.statistics(section.subsets["AE148"])
    assert everything is not None
    assert everything.mae == pytest.approx(4.0, abs=1e-6)
    assert column.missing["LiH"] == "LiH: not calculated, Li: not calculated"


def test_unconverged_results_are_named_not_counted() -> None:
    records = atomization_records({"H2": 1.0, "N2": 2.0})
    records[[r["system"] for r in records].index("N2")]["status"] = "unconverged"
    (section,) = statistics.sections(records)
    assert set(section.columns[0].errors) == {"H2"}
    assert section.columns[0].missing["N2"] == "N2: unconverged"
    assert [statistics.explain(r) for r in section.troubles] == [
        "not converged; cycles tried: DIIS 5"
    ]


def test_a_later_result_and_a_later_model_count() -> None:
    records = atomization_records({"H2": 1.0})
    again = [dict(r, energy=r["energy"] * 1.001) for r in records]
    assert statistics.sections(records + again)[0].columns[0].errors["H2"] != pytest.approx(1.0)
    retrained = [dict(r, model="new") for r in records[:1]]
    (section,) = statistics.sections(records + retrained)
    assert not section.columns[0].errors  # old and new model are not mixed


def test_protocols_are_not_mixed() -> None:
    records = atomization_records({"H2": 1.0})
    changed = [
        dict(r, protocol={**r["protocol"], "basis": "sto-3g"})
        for r in atomization_records({"H2": 2.0})
    ]
    first, second = statistics.sections(records + changed)
    assert not first.changed
    assert second.changed
    assert canonical({"b": 1, "a": 2}) == canonical({"a": 2, "b": 1})


def test_foreign_records_are_refused() -> None:
    with pytest.raises(InputError, match="not a record of xcnet bench"):
        statistics.sections([{"system": "H"}])


def test_accurate_references_stand_beside_experiment() -> None:
    """Theory without relativity is near experiment: 0.3 kcal/mol for methane, 1 in the mean."""
    chosen = sets.load("ae147")
    assert chosen.accurate is not None
    energies, of = chosen.accurate["energies"], _reactions("ae147")
    assert energies.keys() == of.keys()
    differences = [abs(energies[name] - one.reference) for name, one in of.items()]
    assert sum(differences) / len(differences) < 1.5
    assert energies["CH4"] == pytest.approx(420.4, abs=0.3)  # W4: 420.42


def test_errors_against_accurate_references() -> None:
    records = atomization_records({"CH4": 1.0, "SiCl4": -2.0})
    (section,) = statistics.sections(records)
    (column, _), (plain, _) = section.accurate, section.columns
    energies = section.set.accurate["energies"] if section.set.accurate else {}
    for name in ("CH4", "SiCl4"):
        reference = _reactions("ae147")[name].reference
        assert column.errors[name] == pytest.approx(plain.errors[name] + reference - energies[name])
    assert "MAE against accurate theory" in tables.text(section)
