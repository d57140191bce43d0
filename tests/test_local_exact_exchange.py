"""Local exact exchange: its integral, its adjoint, and a functional that is exact exchange."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("torch", reason="functionals of the tests are exported from torch")
pytest.importorskip("pyscf", reason="orbitals come from PySCF")

import torch
from pyscf import dft, gto, scf
from scipy.integrate import quad
from scipy.special import erf, spherical_jn
from torch import Tensor

from tests.toys.functionals import record
from xcnet import check, registry
from xcnet.adapters import pyscf as adapter
from xcnet.adapters.pyscf.grid_orbitals import GridOrbitals
from xcnet.check import laws, physics, robustness
from xcnet.check.results import PASS
from xcnet.errors import ConvergenceError
from xcnet.export.exporter import export
from xcnet.operators.local_exact_exchange import LocalExactExchange, long_range_share
from xcnet.spec import load_spec

Array = npt.NDArray[np.float64]
OMEGAS = (0.0, 0.4)
FIELD = LocalExactExchange(OMEGAS)
AMIDOGEN = "N 0 0 0; H 0 0.8 0.63; H 0 -0.8 0.63"


class Whole(torch.nn.Module):  # type: ignore[misc, name-defined, unused-ignore]
    """Exact exchange itself."""

    def forward(
        self, rho: Tensor, sigma: Tensor, tau: Tensor, local_exact_exchange: Tensor
    ) -> Tensor:
        h = local_exact_exchange
        return (h[:, 0] + h[:, 2]) / rho.sum(1)


class Share(torch.nn.Module):  # type: ignore[misc, name-defined, unused-ignore]
    """Shares of both ranges that depend on everything, and not alike on both spins."""

    def forward(
        self, rho: Tensor, sigma: Tensor, tau: Tensor, local_exact_exchange: Tensor
    ) -> Tensor:
        h, n = local_exact_exchange, rho.sum(1)
        share = torch.sigmoid(0.3 * tau.sum(1) - 0.2 * h[:, 1] * h[:, 2] + 0.1 * sigma[:, 0])
        whole, far = h[:, 0] + 0.9 * h[:, 2], h[:, 1] + 0.8 * h[:, 3]
        return (share * whole + (1.0 - share) * far) / n - 0.2 * n ** (1 / 3)


@pytest.fixture(scope="module", autouse=True)
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    parent = tmp_path_factory.mktemp("fields")
    for number, (name, module, symmetric) in enumerate(
        (("whole", Whole(), True), ("share", Share(), False))
    ):
        facts = record(f"mgga_xc_toy_{name}", 199110 + number, {FIELD.label: FIELD.parameters()})
        facts["spin_symmetric"] = symmetric
        if symmetric:
            facts |= {"kind": "exchange", "name": f"mgga_x_toy_{name}"}
        export(module, facts, parent / facts["name"], ("exc", "vxc", "fxc"), lawful=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(registry.MODEL_PATH_VARIABLE, str(parent))
        adapter.install()
        yield parent
        adapter.uninstall()


def calculation(method: str, xc: str, level: int = 0, **settings: Any) -> Any:
    settings = {"atom": AMIDOGEN, "basis": "6-31g", "spin": int(method == "UKS")} | settings
    mf = getattr(dft, method)(gto.M(verbose=0, **settings), xc=xc)
    mf.grids.level, mf.grids.prune, mf.conv_tol = level, None, 1e-11
    return mf


def on_grid(mf: Any) -> GridOrbitals:
    mf.grids.build()
    return GridOrbitals(mf._numint, mf.mol, mf.grids)


def difference(function: Any, step: float) -> Any:
    """Central difference of fourth order at 0."""
    values = [np.asarray(function(k * step)) for k in (-2, -1, 1, 2)]
    return (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * step)


def random_matrix(nao: int, seed: int = 0) -> Array:
    matrix = np.random.default_rng(seed).normal(size=(nao, nao))
    return matrix + matrix.T


def test_integral_is_the_energy_of_exact_exchange() -> None:
    mf = calculation("UKS", "PBE", 3)
    matrices = scf.UHF(mf.mol).run().make_rdm1()
    orbitals = on_grid(mf)
    for matrix in matrices:
        values = FIELD.values(orbitals, matrix)
        assert (values <= 0.0).all()
        for omega, column in zip(OMEGAS, values.T, strict=True):
            exact = -0.5 * np.sum(matrix * mf.get_k(mf.mol, matrix, omega=omega))
            assert mf.grids.weights @ column == pytest.approx(exact, abs=2e-5)


def test_fock_is_the_exact_adjoint() -> None:
    mf = calculation("RKS", "PBE", atom="O 0 0 0; H 0 0.3 0.9; H 0.8 0 -0.4")
    orbitals = on_grid(mf)
    matrix, along = mf.get_init_guess(), random_matrix(mf.mol.nao)
    slopes = np.random.default_rng(1).normal(size=(len(orbitals.coords), 2))
    slopes *= mf.grids.weights[:, None]
    fock = FIELD.fock(orbitals, matrix, slopes)
    change = FIELD.change(orbitals, matrix, along)
    assert np.sum(fock * along) == pytest.approx(np.sum(slopes * change), rel=1e-12)
    by_difference = difference(lambda x: FIELD.values(orbitals, matrix + x * along), 0.1)
    np.testing.assert_allclose(change, by_difference, rtol=1e-11, atol=1e-12)
    second = FIELD.fock_change(orbitals, matrix, along, slopes)
    by_difference = difference(lambda x: FIELD.fock(orbitals, matrix + x * along, slopes), 0.1)
    np.testing.assert_allclose(second, by_difference, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("method", ["RKS", "UKS"])
def test_matrices_are_derivatives(method: str) -> None:
    """V = dE/dD, and its response dV/dD, along the way to another density."""
    mf = calculation(method, "toy-share", atom=AMIDOGEN if method == "UKS" else "H 0 0 0; F 0 0 1")
    density = np.asarray(mf.get_init_guess())
    along = np.asarray(mf.get_init_guess(key="1e")) - density
    spin = int(method == "UKS")

    def at(x: float) -> Any:
        return mf._numint.nr_vxc(mf.mol, mf.grids, mf.xc, density + x * along, spin=spin)

    slope = difference(lambda x: at(x)[1], 1e-3)
    assert np.sum(at(0.0)[2] * along) == pytest.approx(float(slope), abs=1e-7)
    response = mf._numint.nr_fxc(mf.mol, mf.grids, mf.xc, density, along, spin=spin, hermi=1)
    slopes = difference(lambda x: at(x)[2], 1e-3)
    np.testing.assert_allclose(response, slopes, rtol=0, atol=1e-7)


@pytest.mark.parametrize("method", ["RKS", "UKS"])
def test_as_a_functional_it_is_hartree_fock(method: str) -> None:
    charge = {"charge": int(method == "RKS"), "spin": int(method == "UKS")}
    ours, theirs = (calculation(method, xc, 1, **charge) for xc in ("toy-whole", "HF"))
    assert ours.kernel() == pytest.approx(theirs.kernel(), abs=2e-4)
    second = calculation(method, "toy-whole", 1, **charge).newton()
    assert second.kernel(ours.make_rdm1()) == pytest.approx(ours.e_tot, abs=1e-9)


@pytest.mark.parametrize("method", ["RKS", "UKS"])
def test_gradient_by_differences_is_that_of_hartree_fock(method: str) -> None:
    atom, charge = ("He 0 0 0; H 0 0.3 0.7", 1) if method == "RKS" else ("Be 0 0 0; H 0 0.4 1", 0)
    settings = {"atom": atom, "basis": "sto-3g", "charge": charge}
    level = 1 if method == "RKS" else 0
    ours, theirs = (calculation(method, xc, level, **settings) for xc in ("toy-whole", "HF"))
    assert ours.run().converged
    assert theirs.run().converged
    matrices = np.array(ours.make_rdm1())
    gradients = ours.nuc_grad_method()
    with pytest.warns(UserWarning, match="finite differences of 12 energies"):
        computed = gradients.kernel()
    np.testing.assert_allclose(computed, theirs.nuc_grad_method().kernel(), rtol=0, atol=3e-3)
    np.testing.assert_allclose(computed.sum(axis=0), 0.0, atol=1e-6)
    np.testing.assert_array_equal(ours.make_rdm1(), matrices)
    with pytest.warns(UserWarning, match="finite differences of 6 energies"):
        of_one_atom = gradients.kernel(atmlst=[1])
    np.testing.assert_allclose(of_one_atom, computed[1:], rtol=0, atol=1e-6)


def test_another_state_is_no_gradient() -> None:
    mf = calculation("UKS", "toy-whole", atom="H 0 0 0; H 0 0 2.5", spin=2, basis="sto-3g").run()
    mf.e_tot += 0.1
    with (
        pytest.raises(ConvergenceError, match="another state was found"),
        pytest.warns(UserWarning, match="differences of 12 energies"),
    ):
        mf.nuc_grad_method().kernel()


@pytest.mark.filterwarnings("ignore:.*finite differences of 12 energies")
def test_geometry_optimization() -> None:
    from pyscf.geomopt import geometric_solver

    bonds = []
    for xc in ("toy-whole", "HF"):
        mf = calculation("RKS", xc, 1, atom="H 0 0 0; H 0 0 0.8", basis="sto-3g")
        mol = geometric_solver.optimize(mf)
        bonds.append(np.linalg.norm(np.diff(mol.atom_coords(), axis=0)))
    assert bonds[0] == pytest.approx(bonds[1], abs=2e-3)


def test_what_does_not_fit_into_memory_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from xcnet.adapters.pyscf import grid_orbitals

    energies, sizes = [], []
    intor = gto.Mole.intor
    monkeypatch.setattr(grid_orbitals, "BLOCK_SIZE", 1 << 18)
    for limit in (4000, 3, 0):
        made: list[int] = []

        def count(mol: Any, name: str, *args: Any, made: list[int] = made, **kwargs: Any) -> Any:
            result = intor(mol, name, *args, **kwargs)
            if name == "int1e_grids":
                made.append(result.nbytes)
            return result

        monkeypatch.setattr(gto.Mole, "intor", count)
        mf = calculation("UKS", "toy-share", max_memory=limit)
        density = np.asarray(mf.get_init_guess())
        values = [mf._numint.nr_uks(mf.mol, mf.grids, mf.xc, density * x) for x in (1.0, 0.9, 1.0)]
        energies.append([value[1] for value in values])
        sizes.append((sum(made), max(made)))
    assert energies[0] == energies[1] == energies[2]
    assert sizes[0][0] < sizes[1][0] < sizes[2][0]
    assert max(largest for _, largest in sizes) <= 8 << 18
    assert sizes[2][0] == 12 * sizes[0][0]  # of two spins, for values and for the potential


def test_a_basis_or_geometry_of_its_own_has_integrals_of_its_own() -> None:
    mf = calculation("UKS", "toy-share")
    first = mf.kernel()
    moved = mf.mol.set_geom_(mf.mol.atom_coords() * 1.1, unit="Bohr", inplace=False)
    mf.reset(moved)
    other = mf.kernel()
    assert abs(other - first) > 1e-4
    again = calculation("UKS", "toy-share")
    again.reset(moved)
    assert other == pytest.approx(again.kernel(), abs=1e-9)


def test_exact_exchange_keeps_the_laws_of_exchange(installed: Path) -> None:
    """Also those under uniform scaling and of the spins, which take its values elsewhere."""
    subject = check.Subject(load_spec(installed / "mgga_x_toy_whole"))
    computed = {result.name: result for result in physics.check(subject)}
    for constraint in ("uniform_gas", "spin_scaling", "exchange_scaling", "one_electron"):
        result = computed[physics.NAMES[constraint]]
        assert result.verdict == PASS, result
        assert result.value is not None
        assert result.value < 1e-4
    assert {result.verdict for result in laws.thresholds(subject)} == {PASS}
    assert {result.verdict for result in robustness.check(subject, 1000)} == {PASS}


def test_values_of_scaled_gases() -> None:
    rho = np.geomspace(1e-3, 10.0, 12).reshape(6, 2)
    for gamma in (1e-2, 0.5, 3.0, 1e4):
        scaled = FIELD.scaled(FIELD.uniform_gas(rho), np.array([[gamma]]))
        np.testing.assert_allclose(scaled, FIELD.uniform_gas(rho * gamma**3), rtol=1e-4)


def test_other_ranges_are_refused() -> None:
    for omegas in ([0.4, 0.0], [0.0, 0.0]):
        with pytest.raises(ValueError, match="are not 0 and a positive one"):
            LocalExactExchange.from_record({"omegas": omegas})


def test_share_of_the_long_range_in_the_uniform_gas() -> None:
    def integral(a: float) -> Any:
        def inner(x: float) -> float:
            return float(spherical_jn(1, x) ** 2 / x * erf(2.0 * a * x))

        edges = np.linspace(0.0, 200.0, 51)
        beyond = 0.25 / edges[-1] ** 2  # j1^2 is 1/(2 x^2) on average
        return beyond + sum(quad(inner, *pair, epsabs=1e-13)[0] for pair in pairwise(edges))

    whole = integral(1e6)
    for a in (0.02, 0.3, 2.0):
        assert long_range_share(np.array(a)) == pytest.approx(integral(a) / whole, abs=1e-5)
    near, far = long_range_share(np.array([5.0 * (1 - 1e-12), 5.0 * (1 + 1e-12)]))
    assert near == pytest.approx(far, abs=1e-11)
    assert long_range_share(np.array(0.0)) < 1e-29


def test_hydrogen() -> None:
    """Its integral: exact for the whole range, by the transforms for the other."""
    radii, weights = np.polynomial.laguerre.laggauss(80)
    radii, weights = radii / 4.0, weights / 4.0 * np.exp(radii) * 4.0 * np.pi * (radii / 4.0) ** 2
    computed = (weights[:, None] * FIELD.hydrogen(radii)).sum(axis=0)

    def transform(k: float) -> float:
        return float(256.0 / (4.0 + k * k) ** 4 * np.exp(-(k * k) / (4.0 * 0.4**2)))

    far = -quad(transform, 0.0, 20.0, epsabs=1e-14)[0] / np.pi
    np.testing.assert_allclose(computed, [-0.3125, far, 0.0, 0.0], atol=1e-9)
