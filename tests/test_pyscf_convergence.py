"""The ladder of solvers: open-shell atoms and radicals converge, and the result says how."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyscf", reason="the PySCF adapter's tests need PySCF")

from pyscf import dft, gto

from tests.folders import MODELS, copy_folder, read_record, seal, up_to
from xcnet import registry
from xcnet.adapters import pyscf as adapter
from xcnet.adapters.pyscf import convergence, descent

NETWORK = "NN-metaGGA-Nagai2020"
HYDROXYL = "O 0 0 0; H 0 0 0.97"


@pytest.fixture(autouse=True)
def installed() -> Iterator[None]:
    adapter.install()
    yield
    adapter.uninstall()


def _solver(method: str, atom: str, spin: int, xc: str, basis: str = "def2-svp") -> Any:
    mol = gto.M(atom=atom, spin=spin, basis=basis, verbose=0)
    mf = getattr(dft, method)(mol, xc=xc)
    mf.grids.level = 2
    return mf


@pytest.mark.parametrize("xc", ["NN-r2SCAN", NETWORK])
@pytest.mark.parametrize(("symbol", "spin"), [("C", 2), ("O", 2), ("F", 1)])
def test_open_shell_atoms_converge_at_once(
    symbol: str, spin: int, xc: str, published: Path
) -> None:
    """With plain DIIS the same atoms take 7 to 50 cycles, or do not converge."""
    mf = _solver("UKS", symbol, spin, xc)
    outcome = adapter.converge(mf)
    assert outcome.converged
    assert mf.converged
    assert outcome.rung == "DIIS"
    assert outcome.aligned
    assert outcome.cycles <= 10


def test_aligned_and_drifting_atoms_have_the_same_energy() -> None:
    """The alignment chooses an orientation, not another state: 20 micro-Hartree of grid noise."""
    aligned, plain = (_solver("UKS", "O", 2, "PBE") for _ in range(2))
    adapter.converge(aligned)
    plain.max_cycle = 100
    plain.kernel()
    assert aligned.e_tot == pytest.approx(plain.e_tot, abs=5e-5)


@pytest.mark.parametrize(("method", "spin"), [("RKS", 0), ("UKS", 2)])
def test_guess_of_unique_occupation_is_left_alone(method: str, spin: int) -> None:
    """Closed shells, and the triplet of O2: what PySCF does by itself."""
    atoms = "O 0 0 0; O 0 0 1.21" if spin else "H 0 0 0; F 0 0 0.92"
    ladder, plain = (_solver(method, atoms, spin, "PBE") for _ in range(2))
    outcome = adapter.converge(ladder)
    plain.kernel()
    assert not outcome.aligned
    assert outcome.cycles == plain.cycles
    assert ladder.e_tot == pytest.approx(plain.e_tot, abs=1e-10)


def test_occupations_that_swap_need_the_second_order_rung(published: Path) -> None:
    """ROKS: closed and open p levels change places under DIIS."""
    mf = _solver("ROKS", "F", 1, NETWORK)
    cycles: list[float] = []
    outcome = adapter.converge(mf, callback=lambda state: cycles.append(state["e_tot"]))
    assert outcome.converged
    assert outcome.rung == "second order"
    assert [rung.name for rung in outcome.rungs] == ["DIIS", "level shift", "second order"]
    assert not outcome.rungs[0].converged
    assert outcome.cycles <= len(cycles)
    assert (mf.level_shift, mf.callback, mf.max_cycle) == (0, None, 50)
    # Any density matrix from here is that of the result.
    assert mf.energy_tot(mf.make_rdm1()) == pytest.approx(mf.e_tot, abs=1e-7)


def test_hydroxyl_of_roks_ends_in_one_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """PySCF's own DIIS finds none of either; what 100 cycles leave is 9e-5 Hartree apart."""
    monkeypatch.setenv(registry.MODEL_PATH_VARIABLE, str(MODELS))
    energies = []
    for xc in ("TPSS", "TPSS_clone"):
        mf = _solver("ROKS", HYDROXYL, 1, xc, basis="6-31g")
        mf.grids.level = 3
        outcome = adapter.converge(mf)
        assert outcome.converged
        assert outcome.aligned
        energies.append(mf.e_tot)
    assert energies[0] == pytest.approx(energies[1], abs=1e-7)
    assert energies[0] == pytest.approx(-75.713050, abs=1e-6)


def test_every_rung_is_given_up_without_progress() -> None:
    mf = _solver("UKS", HYDROXYL, 1, "PBE", basis="sto-3g")
    mf.conv_tol = 0.0
    outcome = adapter.converge(mf)
    names = ["DIIS", "level shift", "second order", "descent"]
    assert [rung.name for rung in outcome.rungs] == names
    assert not any(rung.converged for rung in outcome.rungs)
    assert max(rung.cycles for rung in outcome.rungs[2:]) < 50
    plain = _solver("UKS", HYDROXYL, 1, "PBE", basis="sto-3g")
    adapter.converge(plain)
    assert mf.e_tot == pytest.approx(plain.e_tot, abs=1e-8)


def test_second_order_is_left_out_without_second_derivatives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _without_second_derivatives(copy_folder(tmp_path))
    monkeypatch.setenv(registry.MODEL_PATH_VARIABLE, str(tmp_path))
    mf = _solver("UKS", HYDROXYL, 1, "gga_x_copy", basis="sto-3g")
    mf.conv_tol = 0.0  # rounding alone can end in slopes of 1e-15
    outcome = adapter.converge(mf)
    assert not outcome.converged
    assert [rung.name for rung in outcome.rungs] == ["DIIS", "level shift", "descent"]
    assert "gga_x_copy has derivatives up to vxc" in outcome.note
    assert mf.e_tot < -70.0


def _without_second_derivatives(folder: Path) -> None:
    record = read_record(folder)
    seal(record | up_to(record, "vxc"), folder)


@pytest.mark.parametrize(("method", "spin"), [("RKS", 0), ("UKS", 1), ("ROKS", 1)])
def test_slopes_and_curvatures_of_rotations(method: str, spin: int) -> None:
    mf = _solver(method, HYDROXYL if spin else "F 0 0 0; H 0 0 0.92", spin, "PBE", "6-31g")
    mf.max_cycle = 2
    mf.kernel()
    surface = descent.Surface(mf, mf.mo_occ)
    point = surface.at(mf.mo_coeff)
    along = np.random.default_rng(0).normal(size=point.slopes.shape)
    along /= np.linalg.norm(along)
    up, down = (surface.turned(point, x * along).energy for x in (1e-3, -1e-3))
    assert (up - down) / 2e-3 == pytest.approx(point.slopes @ along, abs=1e-5)
    curvature = (up + down - 2.0 * point.energy) / 1e-6
    assert curvature == pytest.approx(surface.curvatures(point) @ along**2, rel=0.5)


@pytest.mark.parametrize(("method", "spin"), [("RKS", 0), ("UKS", 1), ("ROKS", 1)])
def test_descent_ends_in_the_same_state(
    method: str, spin: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the second iterate; the rungs before it are stopped."""
    atoms = HYDROXYL if spin else "F 0 0 0; H 0 0 0.92"
    for name in ("SHIFT_CYCLES", "NEWTON_CYCLES"):
        monkeypatch.setattr(convergence, name, 1)
    mf, plain = (_solver(method, atoms, spin, "PBE", "6-31g") for _ in range(2))
    mf.max_cycle = 1
    outcome = adapter.converge(mf)
    assert (outcome.rung, outcome.converged) == ("descent", True)
    adapter.converge(plain)
    assert mf.e_tot == pytest.approx(plain.e_tot, abs=1e-7)
    np.testing.assert_allclose(mf.mo_energy, plain.mo_energy, rtol=0, atol=1e-3)


def test_second_order_above_an_iterate_is_no_minimum() -> None:
    """It keeps the occupation, here of lithium's 2p."""
    mf = _solver("UKS", "Li", 1, "PBE", "6-31g")
    mf.kernel()
    ground, watch = mf.e_tot, convergence._Watch(None)
    state = {"mo_occ": mf.mo_occ, "scf_conv": False}
    watch({**state, "mo_coeff": mf.mo_coeff, "e_tot": ground + 1e-6, "norm_gorb": 1.0})
    assert not watch.was_lower(mf)
    excited = mf.mo_coeff.copy()
    excited[0][:, [1, 2]] = excited[0][:, [2, 1]]
    watch({**state, "mo_coeff": excited, "e_tot": 0.0, "norm_gorb": 0.5})
    assert convergence._second_order(mf, watch).converged
    assert mf.e_tot > ground + 0.05
    assert watch.was_lower(mf)
    assert convergence._descent(mf, watch).converged
    assert mf.e_tot == pytest.approx(ground, abs=1e-7)


def test_given_density_is_the_start() -> None:
    mf = _solver("UKS", "O", 2, "PBE")
    adapter.converge(mf)
    outcome = adapter.converge(mf, dm0=mf.make_rdm1())
    assert outcome.converged
    assert not outcome.aligned
    assert outcome.cycles <= 2
