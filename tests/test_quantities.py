"""Quantities beside energies: calculated, against other ways to them, and what is made of them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("ase", reason="the sets' molecules come from ASE")
pytest.importorskip("geometric", reason="frequencies need geometric")

from pyscf import dft
from pyscf.data import nist

from tests.bench_records import quantity_records
from tests.training_sets import public_folder
from xcnet import cli
from xcnet.bench import launch, plan, report, statistics, tables
from xcnet.bench.report import figures, summary
from xcnet.errors import ConvergenceError, InputError
from xcnet.scf import calculation, quantities
from xcnet.scf.calculation import Settings
from xcnet.scf.molecule import build
from xcnet.systems import benchmarks, public_data, sets
from xcnet.systems.molecules import Molecule
from xcnet.systems.units import DEBYE_PER_AU, KCAL_PER_HARTREE

HYDROGEN = Molecule("H2", ("H", "H"), ((0.0, 0.0, 0.0), (0.0, 0.0, 0.74)))
HYDRIDE = Molecule("LiH", ("Li", "H"), ((0.0, 0.0, 0.0), (0.0, 0.0, 1.6)))
SMALL = Settings("sto-3g", 0, False, 1e-10)


def energy(molecule: Molecule, settings: Settings = SMALL, xc: str = "PBE") -> float:
    return calculation.solve(molecule, xc, settings, lambda *_: None).energy


# -- what is calculated --------------------------------------------------------------------------


def test_a_minimum_is_followed() -> None:
    """Out of the first scan's reach, where a cubic through it says little."""

    def morse(x: float) -> float:  # of a bond of 1.3 angstrom
        return float((1.0 - np.exp(-1.5 * (x - 1.3))) ** 2)

    assert quantities.minimum(morse, 1.0) == pytest.approx(1.3, abs=1e-4)
    with pytest.raises(ConvergenceError, match="has no minimum near"):
        quantities.minimum(lambda x: -x, 1.0)


def test_a_bond_at_rest_has_no_force() -> None:
    (length,) = quantities.bond(HYDROGEN, "PBE", SMALL).values
    at_rest = dataclasses.replace(HYDROGEN, positions=((0.0, 0.0, 0.0), (0.0, 0.0, length)))
    mf = dft.RKS(build(at_rest, "sto-3g"), xc="PBE").set(conv_tol=1e-11)
    mf.grids.level = 0
    mf.kernel()
    force = mf.nuc_grad_method().set(grid_response=True).kernel()
    assert abs(force).max() < 2e-5


def test_a_frequency_is_the_curvature_of_the_energy() -> None:
    (found,) = quantities.frequencies(HYDROGEN, "PBE", SMALL).values
    (length,) = quantities.bond(HYDROGEN, "PBE", SMALL).values
    step = 0.01

    def at(distance: float) -> float:
        places = ((0.0, 0.0, 0.0), (0.0, 0.0, distance))
        return energy(dataclasses.replace(HYDROGEN, positions=places))

    second = (at(length + step) - 2.0 * at(length) + at(length - step)) / (step / nist.BOHR) ** 2
    mass = build(HYDROGEN, "sto-3g").atom_mass_list(isotope_avg=True)[0] / 2.0
    omega = np.sqrt(second / (mass * nist.ATOMIC_MASS / nist.E_MASS))
    assert found == pytest.approx(omega * nist.HARTREE2WAVENUMBER, rel=2e-3)


def test_a_dipole_moment_is_the_slope_in_a_field() -> None:
    values = quantities.dipole(HYDRIDE, "PBE", SMALL).values
    field = 1e-3
    up, down = (
        energy(dataclasses.replace(HYDRIDE, field=(0.0, 0.0, sign * field))) for sign in (1, -1)
    )
    slope = -(up - down) / (2.0 * field) * DEBYE_PER_AU
    assert values == pytest.approx((0.0, 0.0, slope), abs=1e-3)


def test_an_error_of_the_grid_is_a_difference_of_energies() -> None:
    (error,) = quantities.grid(HYDROGEN, "r2SCAN", SMALL).values
    fine = dataclasses.replace(SMALL, grid_level=quantities.FINE_GRID)
    expected = energy(HYDROGEN, xc="r2SCAN") - energy(HYDROGEN, fine, "r2SCAN")
    assert error == pytest.approx(expected, abs=1e-9)
    assert abs(error) > 1e-7


def test_what_does_not_converge_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def solve(*arguments: Any) -> Any:
        return dataclasses.replace(real(*arguments), converged=False)

    real = calculation.solve
    monkeypatch.setattr(calculation, "solve", solve)
    with pytest.raises(ConvergenceError, match="H2 with PBE is not self-consistent"):
        quantities.dipole(HYDROGEN, "PBE", SMALL)


@pytest.mark.parametrize("xc", ["B97M-V", "wB97M-V"])
def test_vv10_is_there(xc: str) -> None:
    """As PySCF has it by itself, on a coarser grid; without it the energy is another."""
    helium = Molecule("He", ("He",), ((0.0, 0.0, 0.0),))
    settings = dataclasses.replace(SMALL, grid_level=3)
    ours = energy(helium, settings, xc)
    mf = dft.RKS(build(helium, "sto-3g"), xc=xc).set(conv_tol=1e-10)
    assert ours == pytest.approx(mf.kernel(), abs=1e-6)
    assert abs(mf.set(nlc=0).kernel() - ours) > 1e-4


# -- sets ----------------------------------------------------------------------------------------


def test_one_number_or_all_of_a_molecule_by_name() -> None:
    water = benchmarks.of_set(benchmarks.load("frequencies"), ["H2O", "CO"])
    assert [quantity.name for quantity in water] == ["H2O 1", "H2O 2", "H2O 3", "CO"]
    with pytest.raises(InputError, match="bonds has no XY"):
        benchmarks.of_set(benchmarks.load("bonds"), ["XY"])


def test_accurate_dipole_moments_point_where_calculated_ones_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    public_data.install("dip146", public_folder("dip146"))
    chosen = benchmarks.load("dipoles")
    by_name = {quantity.name: quantity for quantity in benchmarks.of_set(chosen)}
    assert len(by_name) == 145
    assert set(chosen.quick["only"]) <= set(by_name)
    water = by_name["H2O"]
    assert water.reference == pytest.approx(1.86, abs=0.01)  # debye, as measured
    values = quantities.dipole(water.terms[0][1], "PBE", SMALL).values
    assert -30.0 < water.error({"H2O": values}, "%") < 30.0
    reversed_values = [-value for value in values]
    assert water.error({"H2O": reversed_values}, "%") < -150.0


def test_through_a_process_to_an_error(tmp_path: Path) -> None:
    chosen = benchmarks.load("bonds")
    protocol = sets.changed(
        chosen.protocol, basis="sto-3g", grid_level=0, guess_grid_level=0, density_fit=""
    )
    (task,) = plan.plan(chosen, ["PBE"], protocol, chosen.limits, ["H2"])
    record = launch.calculate(task.to_json())
    assert record["status"] == "converged"
    path = tmp_path / "bonds.jsonl"
    path.write_text(json.dumps(record) + "\n")
    (section,), _ = report.read([path])
    (column,) = section.columns
    (length,) = quantities.bond(HYDROGEN, "PBE", SMALL).values
    assert column.errors == {"H2": pytest.approx(1000.0 * (length - 0.74144), abs=0.05)}
    assert column.seconds["H2"] == record["cpu_seconds"] > 0.0
    assert "Errors in mÅ" in tables.text(section)


# -- the page ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sections() -> list[statistics.Section]:
    """Two functionals, one twice as far off at half the cost."""
    records = [
        record
        for name, off in (("bonds", 0.002), ("grids", 1e-4))
        for xc, factor in (("NN-metaGGA", 1.0), ("PBE", 2.0))
        for record in quantity_records(name, xc, factor * off, 2.0 / factor)
    ]
    return statistics.sections(records)


def test_errors_and_costs_of_all_sets(sections: list[statistics.Section]) -> None:
    bonds, grids = summary.panels(sections)
    assert bonds.title == "bonds, 10 cases"
    assert bonds.points["PBE"].error == pytest.approx(4.0)
    assert bonds.points["PBE"].seconds == pytest.approx(10.0)
    assert grids.points["PBE"].error == pytest.approx(2e-4 * KCAL_PER_HARTREE)
    assert summary.everything([bonds, grids]) == {}  # accuracy of one set only
    both = summary.everything([bonds, bonds, grids])
    assert both["PBE"].error / both["NN-metaGGA"].error == pytest.approx(2.0)
    assert both["PBE"].seconds == pytest.approx(10.0 + 10.0 + 3.0)
    _, rows = summary.table([bonds, grids])
    assert rows[1] == ["PBE", "4.0", "0.13", "13"]


def test_a_functional_of_few_results_takes_nothing_from_the_others() -> None:
    records = [*quantity_records("bonds", "PBE", 0.001), *quantity_records("bonds", "TPSS", 0.001)]
    one = quantity_records("bonds", "B3LYP", 0.001)[:1]
    (section,) = statistics.sections([*records, *one])
    (panel,) = summary.panels([section])
    assert (panel.title, list(panel.points)) == ("bonds, 10 cases", ["PBE", "TPSS"])


def test_rows_of_the_figure(sections: list[statistics.Section]) -> None:
    bonds = sections[0]
    assert figures.cases_shown(bonds) == [
        name for name in (q.name for q in bonds.reactions) if name in bonds.set.quick["only"]
    ]
    many = dataclasses.replace(
        bonds,
        columns=[
            statistics.Column(
                "PBE", 3, errors={q.name: float(i) for i, q in enumerate(bonds.reactions)}
            )
        ],
    )
    shown = figures.cases_shown(many)
    assert (len(shown), shown[0]) == (figures.ROWS, bonds.reactions[-1].name)


def test_page(tmp_path: Path) -> None:
    paths = []
    for name in ("bonds", "grids"):
        records = [r for xc in ("NN-metaGGA", "PBE") for r in quantity_records(name, xc, 1e-3)]
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        paths.append(str(path))
    folder = tmp_path / "page"
    assert cli.main(["bench", "report", *paths, "--output", str(folder)]) == 0
    drawn = {path.name for path in folder.glob("*.png")}
    assert {"summary.png", "bonds-errors.png", "grids-errors-dark.png"} <= drawn
    assert not [name for name in drawn if "cycles" in name]
    text = (folder / "index.html").read_text(encoding="utf-8")
    assert 'id="summary"' in text
    assert "Errors, mÅ" in text
