"""The project's accurate references: what is stored, and that it can be made again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyscf import cc, dft, fci, gto, scf

from tests.training_sets import added
from xcnet import cli
from xcnet.errors import InputError
from xcnet.references import accurate, accurate_making, coupled_cluster
from xcnet.references.accurate import Reference
from xcnet.references.coupled_cluster import SCHEME, CompositeScheme
from xcnet.references.inversion import LARGEST_GRADIENT, Inverter
from xcnet.references.relaxed_density import density_matrix
from xcnet.scf.kept import write_arrays
from xcnet.scf.molecule import build
from xcnet.systems import molecules, training_sets
from xcnet.systems.molecules import Molecule

NAME = "three-molecules"
FACTS = training_sets.shipped(NAME, training_sets.FOLDER)
STORED = accurate.load(NAME)
SMALL = CompositeScheme(
    valence=({"default": "cc-pvdz"}, {"default": "cc-pvtz"}),
    cardinals=(2, 3),
    core={"default": "cc-pvdz"},
)
HYDROGEN = molecules.atom("H")
H2 = Molecule("H2", ("H", "H"), ((0.0, 0.0, 0.0), (0.0, 0.0, 0.9)))
every_system = pytest.mark.parametrize("name", STORED)


def test_files_are_small_and_belong_to_the_set() -> None:
    assert list(STORED) == [system.name for system in training_sets.load(NAME).systems]
    assert (accurate.FOLDER / f"{NAME}.npz").stat().st_size < 1_000_000


def test_records_say_how_they_were_made() -> None:
    facts = training_sets.shipped(NAME, training_sets.FOLDER)
    for record in facts["systems"]:
        assert record["basis"] == facts["scheme"]["core"]
        assert "CCSD(T)" in record["method"]
        assert "CCCBDB" in record["geometry"]
        assert record["energies"]["total"] == coupled_cluster.total(
            record["energies"], facts["scheme"]["cardinals"]
        )


@every_system
def test_density_has_its_electrons(name: str) -> None:
    one = STORED[name]
    molecule = one.molecule()
    overlap = molecule.intor_symmetric("int1e_ovlp")
    electrons = np.einsum("sij,ji->s", one.density_matrix, overlap)
    np.testing.assert_allclose(electrons, molecule.nelec, atol=1e-6)
    roots = np.linalg.cholesky(overlap)
    for matrix in one.density_matrix:
        occupations = np.linalg.eigvalsh(roots.T @ matrix @ roots)
        assert occupations.min() > -0.002
        assert occupations.max() < 1.002


@pytest.mark.parametrize(("name", "debye"), [("H2O", 1.855), ("NH3", 1.472), ("NO", 0.153)])
def test_dipole_moments(name: str, debye: float) -> None:
    """Against experiment (NIST CCCBDB), where the nuclei move: 0.05 debye in NH3 alone."""
    one = STORED[name]
    dipole = scf.hf.dip_moment(one.molecule(), one.density_matrix.sum(axis=0), verbose=0)
    assert np.linalg.norm(dipole) == pytest.approx(debye, abs=0.1)


def test_values_on_a_grid() -> None:
    one = STORED["NH3+"]
    grid = dft.Grids(one.molecule())
    grid.level = 1
    grid.build()
    density, gradient = one.on_points(grid.coords)
    np.testing.assert_allclose(grid.weights @ density, (5, 4), atol=2e-3)
    assert gradient.shape == (len(density), 2, 3)
    points = np.array([[0.3, -0.2, 0.5], [1.0, 1.0, 0.0]])
    _, gradient = one.on_points(points)
    for axis, step in enumerate(1e-4 * np.eye(3)):
        after, before = one.on_points(points + step)[0], one.on_points(points - step)[0]
        np.testing.assert_allclose((after - before) / 2e-4, gradient[..., axis], rtol=1e-5)


def test_kohn_sham_density_on_a_grid() -> None:
    one = STORED["NH3+"]
    density = one.on_grid(level=1, min_density=1e-9)
    np.testing.assert_allclose(density.weights @ density.rho, (5, 4), atol=2e-3)
    kinetic = next(
        record["kohn_sham"]["kinetic"] for record in FACTS["systems"] if record["name"] == "NH3+"
    )
    assert density.weights @ density.tau.sum(axis=1) == pytest.approx(kinetic, abs=2e-2)
    # Weizsaecker's kinetic energy density is the least that orbitals can have.
    bound = density.sigma[:, ::2] / (8.0 * density.rho.clip(min=1e-30))
    assert (density.tau > bound * (1.0 - 1e-9) - 1e-12).all()


@every_system
def test_orbitals_have_the_density(name: str) -> None:
    """Occupied orbitals as stored, and all others from them, solve the inversion's equations."""
    one = STORED[name]
    inverter = Inverter(one.molecule(), one.density_matrix)
    record = next(r for r in FACTS["systems"] if r["name"] == name)
    assert record["kohn_sham"]["misplaced_electrons"] < 0.006
    kinetic = 0.0
    for spin, found in enumerate(one.kohn_sham()):
        unit = found.orbitals.T @ inverter.overlap @ found.orbitals
        np.testing.assert_allclose(unit, np.eye(len(unit)), atol=1e-9)
        filled = one.orbitals[spin]
        np.testing.assert_allclose(found.density_matrix, filled @ filled.T, atol=1e-9)
        fock = inverter.fock(spin, one.strength, found.density_matrix)
        block = found.orbitals.T @ fock @ found.orbitals
        assert np.abs(block[: found.occupied, found.occupied :]).max(initial=0.0) < 1e-6
        np.testing.assert_allclose(block.diagonal(), found.energies, atol=1e-8)
        kinetic += (inverter.kinetic * found.density_matrix).sum()
    assert record["kohn_sham"]["kinetic"] == pytest.approx(kinetic, abs=1e-8)
    correlated = (one.density_matrix * inverter.kinetic).sum()
    # The correlation's share of the kinetic energy is positive, and zero for one electron.
    assert correlated - kinetic > (-1e-10 if name == "H" else 0.05)


def test_cheapest_record_is_made_again() -> None:
    solution, one = coupled_cluster.solve(HYDROGEN), STORED["H"]
    assert solution.energies["total"] == pytest.approx(one.energy, abs=1e-9)
    np.testing.assert_allclose(solution.density_matrix, one.density_matrix, atol=1e-7)
    assert dict(SCHEME.core) == one.basis


@pytest.mark.parametrize(("atoms", "spin"), [("N 0 0 0; H 0 0 1", 2), ("F 0 0 0; H 0 0.1 0.9", 0)])
def test_density_is_the_derivative_of_the_energy(atoms: str, spin: int) -> None:
    """By any one-electron operator, the orbitals of Hartree-Fock following it."""
    molecule = gto.M(atom=atoms, basis="6-31g", spin=spin, verbose=0)
    bare = scf.hf.get_hcore(molecule)
    operator = np.random.default_rng(0).normal(scale=0.1, size=bare.shape)
    operator += operator.T

    def solved(strength: float) -> Any:
        field = (scf.UHF if spin else scf.RHF)(molecule)
        field.get_hcore = lambda *_: bare + strength * operator
        field.conv_tol, field.conv_tol_grad = 1e-13, 1e-9
        cluster = (cc.UCCSD if spin else cc.RCCSD)(field.run())
        cluster.conv_tol, cluster.conv_tol_normt, cluster.max_cycle = 1e-12, 1e-10, 200
        return cluster.run()

    cluster = solved(0.0)
    cluster.solve_lambda()
    matrix = density_matrix(cluster._scf, cluster).sum(axis=0)
    up, down, up2, down2 = (solved(h).e_tot for h in (1e-3, -1e-3, 2e-3, -2e-3))
    wanted = (8.0 * (up - down) - (up2 - down2)) / 12e-3
    slope = (matrix * operator).sum()
    assert slope == pytest.approx(wanted, abs=1e-6)
    unrelaxed = np.array(cluster.make_rdm1(ao_repr=True)).reshape(-1, *bare.shape).sum(axis=0)
    assert abs((unrelaxed * operator).sum() - wanted) > 1e-4


def test_two_electrons_are_exact() -> None:
    """CCSD is full configuration interaction there, its energy and its density."""
    solution = coupled_cluster.solve(H2, SMALL)
    molecule = build(H2, SMALL.core)
    field = scf.RHF(molecule).run()
    solver = fci.FCI(field)
    energy, vector = solver.kernel()
    assert solution.energies["hf_core"] + solution.energies["ccsd_core"] == pytest.approx(
        energy, abs=1e-7
    )
    assert solution.energies["t_core"] == pytest.approx(0.0, abs=1e-12)
    matrix = solver.make_rdm1(vector, molecule.nao, molecule.nelec)
    wanted = field.mo_coeff @ matrix @ field.mo_coeff.T
    np.testing.assert_allclose(2.0 * solution.density_matrix[0], wanted, atol=1e-6)


def test_extrapolation_finds_the_limit() -> None:
    for fall in (coupled_cluster.hartree_fock_fall, coupled_cluster.correlation_fall):
        small, large = (-76.0 + 0.3 * fall(n) for n in (3, 4))
        limit = coupled_cluster.extrapolate((small, large), (fall(3), fall(4)))
        assert limit == pytest.approx(-76.0, abs=1e-12)


def test_inversion_finds_kohn_sham_orbitals() -> None:
    """Of a density that has some: potential of PBE, and back."""
    molecule = build(molecules.atom("N"), "6-31g")
    field = dft.UKS(molecule, xc="pbe").run(conv_tol=1e-10)
    matrix = field.make_rdm1()
    inverter = Inverter(molecule, matrix)
    errors = []
    for strengths in ((4.0,), (4.0, 64.0), (4.0, 64.0, 1024.0)):
        inversions = [inverter.solve(spin, strengths) for spin in range(2)]
        errors.append(sum(spin.error for spin in inversions))
    assert errors[0] > 20 * errors[1] > 400 * errors[2]
    for spin, one in enumerate(inversions):
        np.testing.assert_allclose(one.density_matrix, matrix[spin], atol=1e-2)
        fock = inverter.fock(spin, strengths[-1], one.density_matrix)
        block = one.orbitals[:, : one.occupied].T @ fock @ one.orbitals[:, one.occupied :]
        assert np.abs(block).max() < LARGEST_GRADIENT


def test_interrupted_making_goes_on(tmp_path: Path) -> None:
    """What is finished is read, not made again; at the end the parts are gone."""
    impossible = replace(molecules.atom("N"), spin=2)
    with pytest.raises(RuntimeError, match="spin"):
        accurate_making.make("mini", [HYDROGEN, impossible], "none", tmp_path, SMALL)
    assert not list(tmp_path.glob("mini.*[nz]"))
    parts = tmp_path / "mini.parts"
    (kept,) = [path for path in parts.iterdir() if "orbitals" not in path.name]
    with np.load(kept) as stored:
        arrays = dict(stored)
    arrays["energies"][-1] -= 1.0
    write_arrays(kept, arrays)
    paths = accurate_making.make("mini", [HYDROGEN, H2], "none", tmp_path, SMALL)
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    references = accurate.load("mini", tmp_path)
    assert references["H"].energy == pytest.approx(-1.4998537, abs=1e-6)
    wanted = coupled_cluster.solve(H2, SMALL).energies["total"]
    assert references["H2"].energy == pytest.approx(wanted, abs=1e-9)
    same_twice(references["H2"])


def same_twice(one: Reference) -> None:
    """A closed shell is stored once and read as two equal spins."""
    np.testing.assert_array_equal(one.density_matrix[0], one.density_matrix[1])
    np.testing.assert_array_equal(one.orbitals[0], one.orbitals[1])


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = """
title = "a test"
doi = ""
format = "shipped"
sha256 = ""
geometries = "an atom"
[splits]
train = 1
[[systems]]
name = "H"
charge = 0
multiplicity = 2
symbols = ["H"]
positions_angstrom = [[0.0, 0.0, 0.0]]
"""
    with added(tmp_path / "sets", source, "proton"):
        words = ["train", "reference", "proton", "--output", str(tmp_path / "made")]
        assert cli.main(words) == 0
    made = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert [path.name for path in made] == ["proton.json", "proton.npz"]
    energy = accurate.load("proton", tmp_path / "made")["H"].energy
    assert energy == pytest.approx(STORED["H"].energy, abs=1e-10)
    assert cli.main(["train", "reference", "atoms_h_ne"]) == cli.EXIT_ERROR
    assert "no references of the project" in capsys.readouterr().err


def test_energies_are_compared_with_the_shipped(tmp_path: Path) -> None:
    for suffix in ("json", "npz"):
        data = (accurate.FOLDER / f"{NAME}.{suffix}").read_bytes()
        (tmp_path / f"{NAME}.{suffix}").write_bytes(data)
    lines = accurate_making.comparison(NAME, tmp_path)
    assert len(lines) == len(STORED)
    assert all("+0.0e+00 from the shipped" in line for line in lines)


def test_altered_or_missing_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"three-molecules.json.*xcnet train reference"):
        accurate.load(NAME, tmp_path)
    facts = training_sets.shipped(NAME, training_sets.FOLDER)
    (tmp_path / f"{NAME}.json").write_text(json.dumps(facts))
    with pytest.raises(InputError, match=r"three-molecules.npz: the file is missing or altered"):
        accurate.load(NAME, tmp_path)
    data = bytearray((accurate.FOLDER / f"{NAME}.npz").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / f"{NAME}.npz").write_bytes(data)
    with pytest.raises(InputError, match="missing or altered"):
        accurate.load(NAME, tmp_path)
