"""The route of nonlocal functionals in Psi4, with functionals that Psi4 has as well."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("psi4", reason="these tests need Psi4")
pytest.importorskip("numba", reason="nonlocal descriptors need numba")

import psi4
from scipy.spatial import cKDTree

from tests.psi4.calculations import COARSE, WATER, energy, gradient, molecule, water
from xcnet import expression, registry, threads
from xcnet.adapters.psi4 import nonlocal_field, nonlocal_grid, nonlocal_parts, nonlocal_values
from xcnet.operators import cells as partition

Array = npt.NDArray[np.float64]

KEY = "MGGA_XC_NN_NRA_NAGAI2020"


# -- the grid ------------------------------------------------------------------------------------


def _psi4_points(basis: Any) -> Array:
    grid = psi4.core.DFTGrid.build(basis.molecule(), basis)
    rows = [[np.array(getattr(block, row)()) for row in "xyzw"] for block in grid.blocks()]
    result: Array = np.concatenate(rows, axis=1).T
    return result


@pytest.mark.parametrize("scheme", ["treutler", "becke", "naive"])
def test_points_and_weights_are_psi4s(scheme: str) -> None:
    """Of a molecule whose axes are those of its frame, and a grid without far points."""
    psi4.core.clean_options()
    psi4.set_options({**COARSE, "dft_nuclear_scheme": scheme, "dft_basis_tolerance": 1e-30})
    mol = water()
    mol.update_geometry()
    basis = psi4.core.BasisSet.build(mol, "ORBITAL", "6-31g", quiet=True)
    ours = nonlocal_grid.molecular_grid(basis).grid.points
    theirs = _psi4_points(basis)
    distance, place = cKDTree(ours.coords).query(theirs[:, :3])
    assert distance.max() < 1e-12
    assert len(set(place)) == len(ours.coords)
    np.testing.assert_allclose(ours.weights[place], theirs[:, 3], rtol=1e-10, atol=1e-13)


def test_response_of_the_partition() -> None:
    rng = np.random.default_rng(0)
    centres = np.array([[0.0, 0.0, 0.1], [1.4, 0.2, 0.0], [-0.3, 1.7, 0.4]])
    parents = rng.integers(0, 3, 5000)
    relative = rng.normal(size=(5000, 3))
    a = partition.adjustments(np.array([0.6, 0.35, 1.0]), 0.5)
    values = rng.normal(size=5000)

    def total(moved: Array) -> float:
        shares = partition.shares(relative + moved[parents], moved, parents, a)
        return float(shares @ values)

    coords = relative + centres[parents]
    charges = partition.shares(coords, centres, parents, a) * values
    response = partition.response(coords, centres, parents, charges, a)
    expected = np.zeros((3, 3))
    for index in np.ndindex(3, 3):
        step = np.zeros((3, 3))
        step[index] = 1e-5
        expected[index] = (total(centres + step) - total(centres - step)) / 2e-5
    np.testing.assert_allclose(response, expected, rtol=0, atol=1e-7)
    np.testing.assert_allclose(response.sum(axis=0), 0.0, atol=1e-11)


# -- functionals that Psi4 has as well -----------------------------------------------------------


@pytest.fixture
def clones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies of Psi4's own functionals are evaluated on the whole grid."""
    monkeypatch.setattr(nonlocal_parts, "is_nonlocal", lambda entry: "_clone" in entry.name)


def _clone(name: str) -> dict[str, Any]:
    return {"name": f"whole {name}", "xc_functionals": {f"{name}_CLONE": {}}}


SLATER = {"name": "slater", "x_functionals": {"LDA_X": {}}, "c_functionals": {}}
PAIRS = [(_clone("LDA_X_SLATER"), SLATER), (_clone("GGA_XC_PBE"), "pbe")]
PAIRS += [(_clone("MGGA_XC_TPSS"), "tpss")]
#: Atoms, charge, multiplicity, and further lines.
CASES: dict[str, tuple[Any, ...]] = {
    "rks": (WATER,),
    "uks": (WATER, 1, 2),
    "c1, 2 threads": (WATER, 0, 1, "symmetry c1"),
    "ghost": ("He 0 0 0; @H 0 0 2.5",),
}


@pytest.mark.usefixtures("clones")
@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=["lda", "gga", "mgga"])
@pytest.mark.parametrize("case", CASES)
def test_known_functional(ours: Any, theirs: Any, case: str) -> None:
    count = 2 if "threads" in case else 1
    mixed, known = (energy(x, molecule(*CASES[case]), threads=count) for x in (ours, theirs))
    assert mixed == pytest.approx(known, abs=1e-9)


@pytest.mark.usefixtures("clones")
def test_threads_are_psi4s_within_a_calculation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the process are as before it."""
    monkeypatch.delenv("XCNET_NUM_THREADS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    within = []

    def evaluate(*arguments: Any) -> Any:
        within.append(threads.num_threads())
        return nonlocal_values.evaluate(*arguments)

    monkeypatch.setattr(nonlocal_field, "evaluate", evaluate)
    energy(_clone("LDA_X_SLATER"), molecule("He 0 0 0"), threads=2)
    assert set(within) == {2}
    assert threads.num_threads() == 7


@pytest.mark.usefixtures("clones")
@pytest.mark.parametrize(
    ("ours", "theirs", "charge"),
    [(*PAIRS[0], 0), (*PAIRS[1], 1), (*PAIRS[2], 0)],
    ids=["lda", "gga of a radical", "mgga"],
)
def test_gradient_of_known_functional(ours: Any, theirs: Any, charge: int) -> None:
    """Equals finite differences of Psi4's energies, as the response of the grid is in it."""

    def stretched(by: float) -> Any:
        y, z = 1.4423 + 0.8 * by, -0.9015 - 0.6 * by
        atoms = f"O 0 0 0.2254; H 0 {y:.12f} {z:.12f}; H 0 {-y:.12f} {z:.12f}"
        return molecule(atoms, charge, 1 + charge)

    options = {"e_convergence": 1e-11, "d_convergence": 1e-9}
    force = gradient(ours, stretched(0.0), options=options)
    np.testing.assert_allclose(force.sum(axis=0), 0.0, atol=1e-7)
    energies = [energy(theirs, stretched(by), options=options) for by in (-1e-3, 1e-3)]
    slope = (energies[1] - energies[0]) / 2e-3
    along = 0.8 * (force[1, 1] - force[2, 1]) - 0.6 * (force[1, 2] + force[2, 2])
    assert along == pytest.approx(slope, abs=1e-6)


# -- mixtures ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("clones")
def test_parts_of_both_kinds_add_up() -> None:
    """Ours on the whole grid, Psi4's in its blocks, and exact exchange: PBE0."""
    mixture = {
        "name": "mixture",
        "x_functionals": {"GGA_X_PBE_CLONE": {"alpha": 0.5}, "GGA_X_PBE": {"alpha": 0.25}},
        "x_hf": {"alpha": 0.25},
        "c_functionals": {"GGA_C_PBE": {"alpha": 0.4}, "GGA_C_PBE_CLONE": {"alpha": 0.6}},
    }
    assert energy(mixture, water()) == pytest.approx(energy("pbe0", water()), abs=1e-9)


@pytest.mark.usefixtures("clones")
@pytest.mark.parametrize("name", ["hyb_gga_xc_hse06", "hyb_gga_xc_wb97x", "hyb_gga_xc_pbeh"])
def test_exact_exchange_of_a_functional(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Psi4 reads it from libxc."""
    entry = registry.find("gga_xc_pbe_clone")
    exchange = expression.exact_exchange(registry.find(name))
    monkeypatch.setattr(expression, "exact_exchange", {entry: exchange}.__getitem__)
    build = psi4.driver.dft.dft_builder.build_superfunctional_from_dictionary
    ours = build(_clone("GGA_XC_PBE"), 256, 1, True)[0]
    theirs = psi4.core.SuperFunctional.XC_build(f"XC_{name.upper()}", True)
    for function in (ours, theirs):
        function.allocate()
    for value in ("x_alpha", "x_beta", "x_omega"):
        assert getattr(ours, value)() == pytest.approx(getattr(theirs, value)(), abs=1e-12)


@pytest.mark.usefixtures("published_networks")
def test_one_name_for_two_mixtures() -> None:
    """Each calculation keeps its own weights."""

    def mixture(weight: float) -> dict[str, Any]:
        parts = {KEY: {"alpha": weight}}
        return {"name": "mix", "x_functionals": parts, "x_hf": {"alpha": 0.3}, "c_functionals": {}}

    build = psi4.driver.dft.build_superfunctional
    built = [build(mixture(weight), True)[0] for weight in (0.7, 0.8)]
    parts = [nonlocal_parts.parts_of(functional) for functional in built]
    assert [part and part.text for part in parts] == [
        "0.7*NN-NRA-Nagai2020",
        "0.8*NN-NRA-Nagai2020",
    ]
    assert [functional.x_alpha() for functional in built] == [0.3, 0.3]
    citation = built[0].citation()
    assert "Nagai" in citation
    assert "Dirac" not in citation  # of the Slater exchange that stands for nothing
