"""Descriptors of other kinds, each added as one module: `tests/toys`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("torch", reason="functionals of the toys are exported from torch")
pytest.importorskip("pyscf", reason="densities come from PySCF")

import torch
from pyscf import dft, gto
from torch import Tensor

from tests import toys
from tests.toys.functionals import HUBS, MIXING, RIPPLES, Channels, Energy, record
from xcnet import check, operators, registry
from xcnet.adapters import pyscf as adapter
from xcnet.check import laws, physics
from xcnet.export.exporter import export
from xcnet.functionals import LibXCFunctional
from xcnet.grid import Grid, evaluate
from xcnet.spec import FunctionalSpec, load_spec
from xcnet.terms import NeuralTerm

Array = npt.NDArray[np.float64]

ROOT = Path(__file__).resolve().parent.parent
WATER = "O 0 0 0.119262; H 0 0.763239 -0.477047; H 0 -0.763239 -0.477047"
AMIDOGEN = "N 0 0 0; H 0 0.8 0.63; H 0 -0.8 0.63"


@pytest.fixture(scope="module", autouse=True)
def known() -> Iterator[None]:
    with toys.known():
        yield


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, known: None) -> Path:
    """A functional of each toy, exported with second derivatives."""
    parent = tmp_path_factory.mktemp("toys")
    orders = ("exc", "vxc", "fxc")
    for label, number, parameters, first in (
        (HUBS, 199101, {"mixing": MIXING}, Channels()),
        (RIPPLES, 199102, {"omega": 0.4}, None),
    ):
        name = f"mgga_xc_toy_{label}"
        facts = record(name, number, {label: parameters})
        export(Energy(label), facts, parent / name, orders, channels=first)
    return parent


@pytest.fixture
def installed(folders: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(registry.MODEL_PATH_VARIABLE, str(folders))
    adapter.install()
    yield
    adapter.uninstall()


def hubs(folders: Path) -> FunctionalSpec:
    return load_spec(folders / "mgga_xc_toy_hubs")


def calculation(method: str, xc: str, atom: str = WATER, level: int = 0) -> Any:
    mol = gto.M(atom=atom, basis="6-31g", spin=int(method == "UKS"), verbose=0)
    mf = getattr(dft, method)(mol, xc=xc)
    mf.grids.level, mf.grids.prune = level, None
    mf.conv_tol, mf.conv_tol_grad = 1e-11, 1e-6
    return mf


def difference(function: Any, step: float) -> Any:
    """Central difference of fourth order at 0."""
    values = [np.asarray(function(k * step)) for k in (-2, -1, 1, 2)]
    return (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * step)


# -- one module ----------------------------------------------------------------------------------


def test_no_other_file_names_a_descriptor() -> None:
    """But the training and the conversion of functionals that read it."""
    for label, kind in operators.known().items():
        home = Path(str(__import__(kind.__module__, fromlist=[""]).__file__))
        names = re.compile(rf"\b({label}|{kind.__name__}|{label.replace('_', '-')})\b")
        inside = home.parent if home.name == "__init__.py" else home
        computed = [
            path.relative_to(ROOT).as_posix()
            for folder in (ROOT / "xcnet", ROOT / "adapters", ROOT / "models")
            for path in folder.rglob("*")
            if (path.suffix in {".py", ".c", ".h"} or path.name == "schema.json")
            and inside not in (path, *path.parents)
            and names.search(path.read_text(encoding="utf-8"))
        ]
        users = ("xcnet/training/", "xcnet/published/")
        assert [name for name in computed if not name.startswith(users)] == [], label


class Gathered(torch.nn.Module):
    """Slater's exchange times R over that of a uniform gas, for a width of 0.3 bohr."""

    def forward(self, rho: Tensor, near_region: Tensor) -> Tensor:
        n = rho.sum(1)
        slater = -0.75 * (6.0 / torch.pi) ** (1 / 3) * (rho ** (4 / 3)).sum(1) / n
        gathered: Tensor = slater * near_region[:, 0] / (8.0 * torch.pi * 0.3**3 * n)
        return gathered


def test_the_uniform_gas_of_a_check_has_the_width_of_the_record(tmp_path: Path) -> None:
    verdicts = []
    for width in (0.3, 0.2):
        descriptor = {"near_region": {"definition": "continuum", "sigma_bohr": width}}
        name = f"lda_x_toy_{round(10 * width)}"
        facts = record(name, 199103, descriptor)
        facts |= {"family": "lda", "kind": "exchange", "inputs": ["rho"], "aliases": []}
        spec = export(Gathered(), facts, tmp_path / name, ("exc", "vxc"), lawful=False)
        computed = {result.name: result for result in physics.check(check.Subject(spec))}
        verdicts.append(computed[physics.NAMES["uniform_gas"]].verdict)
    assert verdicts == ["pass", "not required"]


# -- a grid operator with a stage before it ------------------------------------------------------


@pytest.fixture(scope="module")
def water() -> tuple[Grid, dict[str, Array]]:
    """Points and variables of water's atoms, with more spin up."""
    mol = gto.M(atom=WATER, basis="6-31g", verbose=0)
    grids = dft.Grids(mol)
    grids.level = 0
    grids.build()
    orbitals = dft.numint.eval_ao(mol, grids.coords, deriv=1)
    matrix = dft.RKS(mol).get_init_guess()
    rows = dft.numint.eval_rho(mol, orbitals, matrix, xctype="MGGA", with_lapl=False)
    n, norm, tau = rows[0][:, None], (rows[1:4] ** 2).sum(axis=0)[:, None], rows[4][:, None]
    shares = np.array([0.6, 0.4])
    pairs = np.array([0.36, 0.24, 0.16])
    grid = Grid(
        grids.coords,
        grids.weights,
        centres=mol.atom_coords(),
        parents=grids.atm_idx,
        volumes=grids.quadrature_weights,
    )
    return grid, {"rho": n * shares, "sigma": norm * pairs, "tau": tau * shares}


def moved(inputs: dict[str, Array], along: dict[str, Array], x: float) -> dict[str, Array]:
    return {name: values + x * along[name] for name, values in inputs.items()}


def directions(inputs: dict[str, Array]) -> dict[str, Array]:
    """Relative changes that keep each variable inside its bounds."""
    rng = np.random.default_rng(3)
    return {name: values * rng.uniform(0.2, 1.0, values.shape) for name, values in inputs.items()}


def test_potential_is_the_derivative_of_the_energy(
    folders: Path, water: tuple[Grid, dict[str, Array]]
) -> None:
    grid, inputs = water
    functional, along = LibXCFunctional(hubs(folders), "polarized"), directions(inputs)

    def energy(x: float) -> float:
        values = moved(inputs, along, x)
        zk = functional.compute(values, grid=grid, do_vxc=False)["zk"][:, 0]
        return float(grid.points.weights @ (values["rho"].sum(axis=1) * zk))

    computed = functional.compute(inputs, grid=grid)
    slope = sum(
        float(grid.points.weights @ (computed[f"v{name}"] * along[name]).sum(axis=1))
        for name in inputs
    )
    assert slope == pytest.approx(float(difference(energy, 1e-3)), rel=1e-7)
    local = LibXCFunctional(hubs(folders), "polarized").compute(
        {**inputs, HUBS: np.zeros((len(grid), 2))}
    )
    assert np.abs(computed["vtau"] - local["vtau"]).max() > 1e-3  # the stages count


def test_response_is_the_derivative_of_the_potential(
    folders: Path, water: tuple[Grid, dict[str, Array]]
) -> None:
    grid, inputs = water
    terms, along = [(1.0, NeuralTerm(hubs(folders), 2))], directions(inputs)
    response, fock = evaluate(grid, terms, inputs, 2).response(along, np.empty(0))
    assert fock is None
    for name in inputs:
        slope = difference(
            lambda x, name=name: evaluate(grid, terms, moved(inputs, along, x), 1).slopes[name],
            1e-3,
        )
        scale, dense = np.abs(slope).max(), inputs["rho"].sum(axis=1) > 1e-8  # off the thresholds
        np.testing.assert_allclose(
            response[name][dense], slope[dense], rtol=1e-6, atol=1e-9 * scale
        )


def test_closed_shell_equals_polarized(folders: Path, water: tuple[Grid, dict[str, Array]]) -> None:
    grid, inputs = water
    total = {
        "rho": inputs["rho"].sum(axis=1, keepdims=True),
        "sigma": inputs["sigma"] @ np.array([[1.0], [2.0], [1.0]]),
        "tau": inputs["tau"].sum(axis=1, keepdims=True),
    }
    half = {
        "rho": np.tile(0.5 * total["rho"], 2),
        "sigma": np.tile(0.25 * total["sigma"], 3),
        "tau": np.tile(0.5 * total["tau"], 2),
    }
    closed = LibXCFunctional(hubs(folders), 1).compute(total, grid=grid)
    polarized = LibXCFunctional(hubs(folders), 2).compute(half, grid=grid)
    np.testing.assert_allclose(polarized["zk"], closed["zk"], rtol=1e-12)
    np.testing.assert_allclose(polarized["vtau"], np.tile(closed["vtau"], 2), rtol=1e-9, atol=1e-9)


def test_maps_are_adjoint_and_their_motion_is_exact(water: tuple[Grid, dict[str, Array]]) -> None:
    grid, _ = water
    kind = operators.known()["hubs"].from_record({"mixing": MIXING})
    assert isinstance(kind, operators.GridOperator)
    some = np.random.default_rng(0).choice(len(grid), 40, replace=False)
    coords, weights = grid.points.coords[some], np.linspace(0.5, 1.5, 40)
    atoms = grid.points.atoms
    assert atoms is not None
    rng = np.random.default_rng(1)
    channels, slopes = rng.normal(size=(40, 3)), rng.normal(size=(40, 2))

    def on(places: Array, centres: Array) -> Grid:
        parents, volumes = atoms.parents[some], np.ones(40)
        return Grid(places, weights, centres=centres, parents=parents, volumes=volumes)

    def product(places: Array, centres: Array) -> float:
        values = on(places, centres).values(kind, channels)
        return float((weights[:, None] * slopes * values).sum())

    here = on(coords, atoms.centres)
    adjoint = here.adjoint(kind, np.ones((40, 2)), slopes)
    whole = product(coords, atoms.centres)
    assert (weights[:, None] * channels * adjoint).sum() == pytest.approx(whole, rel=1e-12)
    motion = here.map(kind).motion(channels, slopes, adjoint, None)
    along, shift = rng.normal(size=(40, 3)), rng.normal(size=(3, 3))
    by_points = difference(lambda x: product(coords + x * along, atoms.centres), 1e-3)
    assert (motion.points.T * along).sum() == pytest.approx(float(by_points), rel=1e-8)
    assert motion.atoms is not None
    by_atoms = difference(lambda x: product(coords, atoms.centres + x * shift), 1e-3)
    assert (motion.atoms * shift).sum() == pytest.approx(float(by_atoms), rel=1e-8)


def test_functionals_of_the_toys_pass_the_check(folders: Path) -> None:
    for folder in (*folders.iterdir(), *(toys.FOLDER / "models").iterdir()):
        report = check.run(load_spec(folder), 2000)
        assert not report.failures
        names = {result.name for result in report.results}
        assert ("derivatives of the channels" in names) == ("hubs" in folder.name)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("method", ["RKS", "UKS"])
def test_nuclear_gradient_with_atoms_in_the_operator(method: str) -> None:
    mf = calculation(method, "toy-hubs", AMIDOGEN if method == "UKS" else "H 0 0 0; F 0 0.3 0.9")
    assert adapter.converge(mf).converged
    force = mf.nuc_grad_method().kernel()
    np.testing.assert_allclose(force.sum(axis=0), 0.0, atol=1e-6)
    scanner, place = mf.as_scanner(), mf.mol.atom_coords()

    def energy(x: float) -> float:
        shifted = place.copy()
        shifted[1] += x * np.array([0.0, 0.6, 0.8])
        return float(scanner(mf.mol.set_geom_(shifted, unit="Bohr", inplace=False)))

    slope = (energy(2e-3) - energy(-2e-3)) / 4e-3
    assert force[1] @ [0.0, 0.6, 0.8] == pytest.approx(slope, abs=1e-5)


def test_wrong_derivatives_of_channels_are_found(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first_stage = NeuralTerm.first_stage

    def wrong(self: NeuralTerm, chunk: Any, order: int) -> dict[str, Array]:
        computed = first_stage(self, chunk, order)
        return {k: v * (1.0 + 1e-4) if k == "vtau" else v for k, v in computed.items()}

    assert laws.channels(hubs(folders)).verdict == "pass"
    monkeypatch.setattr(NeuralTerm, "first_stage", wrong)
    assert laws.channels(hubs(folders)).verdict == "fail"


# -- both kinds in PySCF -------------------------------------------------------------------------


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("xc", ["toy-hubs", "toy-ripples", "0.5*toy-ripples+0.3*toy-hubs+0.2*PBE"])
@pytest.mark.parametrize("method", ["RKS", "UKS"])
def test_matrices_are_derivatives(method: str, xc: str) -> None:
    """V = dE/dD, and its response dV/dD, along the way to another density."""
    mf = calculation(method, xc, AMIDOGEN if method == "UKS" else WATER)
    density = np.asarray(mf.get_init_guess())
    along = np.asarray(mf.get_init_guess(key="1e")) - density
    spin = int(method == "UKS")

    def at(x: float) -> Any:
        return mf._numint.nr_vxc(mf.mol, mf.grids, xc, density + x * along, spin=spin)

    assert np.sum(at(0.0)[2] * along) == pytest.approx(
        float(difference(lambda x: at(x)[1], 1e-3)), abs=1e-7
    )
    response = mf._numint.nr_fxc(mf.mol, mf.grids, xc, density, along, spin=spin, hermi=1)
    slope = difference(lambda x: at(x)[2], 1e-3)
    np.testing.assert_allclose(response, slope, rtol=0, atol=1e-6)


@pytest.mark.usefixtures("installed")
def test_orbital_fields_converge_by_both_orders() -> None:
    plain = calculation("RKS", "toy-ripples")
    assert adapter.converge(plain).converged
    second = calculation("RKS", "toy-ripples").newton()
    second.kernel(plain.make_rdm1())
    assert second.e_tot == pytest.approx(plain.e_tot, abs=1e-9)
    unrestricted = calculation("RKS", "toy-ripples").to_uks()
    unrestricted.kernel(np.array([0.5 * plain.make_rdm1()] * 2))
    assert unrestricted.e_tot == pytest.approx(plain.e_tot, abs=1e-9)


@pytest.mark.usefixtures("installed")
def test_what_orbital_fields_lack_is_refused(water: tuple[Grid, dict[str, Array]]) -> None:
    from xcnet.errors import UnsupportedError

    grid, inputs = water
    functional = LibXCFunctional("toy-ripples", "polarized")
    with pytest.raises(UnsupportedError, match="made of the density matrix"):
        functional.compute(inputs, grid=grid)
    mf = calculation("RKS", "toy-ripples").PCM()
    assert adapter.converge(mf).converged
    with pytest.raises(UnsupportedError, match="no gradients with a solvent"):
        mf.nuc_grad_method().kernel()
    with pytest.raises(UnsupportedError, match="the nuclear gradient of PySCF does not provide"):
        mf.undo_solvent().nuc_grad_method().grad_elec()
