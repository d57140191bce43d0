"""Clones of libxc's PBE, TPSS and PBE0 in Psi4: everything equals Psi4's own functionals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("psi4", reason="these tests need Psi4")

import psi4

from tests.psi4.calculations import WATER, energy, gradient, molecule, radical, run, water
from xcnet import native

PBE0 = {
    "name": "pbe0-clone",
    "x_functionals": {"GGA_X_PBE_CLONE": {"alpha": 0.75}},
    "x_hf": {"alpha": 0.25},
    "c_functionals": {"GGA_C_PBE_CLONE": {}},
}
MIXED = {**PBE0, "name": "mixed", "c_functionals": {"GGA_C_PBE": {}}}
RANGE_SEPARATED = {
    "name": "separated",
    "x_functionals": {"GGA_X_PBE_CLONE": {"alpha": 0.9}},
    "x_hf": {"alpha": 0.1, "beta": 0.2, "omega": 0.3},
    "c_functionals": {"GGA_C_PBE_CLONE": {}},
}
HYBRID = {
    "name": "rough-hybrid",
    "x_functionals": {"MGGA_XC_NN_METAGGA": {"alpha": 0.75}},
    "x_hf": {"alpha": 0.25},
    "c_functionals": {},
}
#: Psi4's default, on which its own functionals need no response of the grid.
FINE = {"dft_radial_points": 75, "dft_spherical_points": 302}


def _originals(definition: dict[str, Any]) -> dict[str, Any]:
    """The same functional of libxc's own parts."""
    result = {**definition, "name": f"{definition['name']}-libxc"}
    for kind in ("x_functionals", "c_functionals"):
        parts = definition[kind].items()
        result[kind] = {key.replace("_CLONE", ""): value for key, value in parts}
    return result


PAIRS = [("pbe_clone", "pbe"), ("tpss_clone", "tpss"), (PBE0, "pbe0")]
pairs = pytest.mark.parametrize(("clone", "original"), PAIRS, ids=["PBE", "TPSS", "PBE0"])
MOLECULES = pytest.mark.parametrize("make", [water, radical], ids=["RKS", "UKS"])


@MOLECULES
@pairs
def test_energy_and_gradient_equal_libxc(make: Any, clone: Any, original: str) -> None:
    mol = make()
    before = native.evaluations()
    forces, wfn = run(psi4.gradient, clone, mol, options=FINE, return_wfn=True)
    own = np.array(wfn.V_potential().compute_gradient())
    assert native.evaluations() > before
    expected, original_wfn = run(psi4.gradient, original, mol, options=FINE, return_wfn=True)
    assert wfn.energy() == pytest.approx(original_wfn.energy(), abs=1e-9)
    theirs = np.array(original_wfn.V_potential().compute_gradient())
    np.testing.assert_allclose(own, theirs, atol=1e-7)
    # Ours has the response of the grid.
    np.testing.assert_allclose(np.array(forces), np.array(expected), atol=5e-4)
    np.testing.assert_allclose(np.array(forces).sum(axis=0), 0.0, atol=1e-8)


@pytest.mark.parametrize(
    "definition", ["nn-gga", "nn-metagga", HYBRID], ids=["GGA", "meta-GGA", "hybrid"]
)
def test_gradient_of_a_rough_functional_is_the_slope_of_its_energy(definition: Any) -> None:
    """Without the response of the grid NN-metaGGA's force on O is off by 0.004 Hartree/bohr."""

    def moved(z: float) -> Any:
        return molecule(
            f"O 0 0 {0.2254 + z}; {WATER.split(';', 1)[1]}", extra="no_com\nno_reorient"
        )

    options = {**FINE, "basis": "sto-3g", "scf_type": "pk"}
    forces = gradient(definition, moved(0.0), options=options)
    ends = [energy(definition, moved(z), options=options) for z in (0.02, -0.02)]
    assert forces[0, 2] == pytest.approx((ends[0] - ends[1]) / 0.04, abs=1e-3)
    assert forces.sum(axis=0) == pytest.approx([0.0, 0.0, 0.0], abs=1e-8)


@pytest.mark.parametrize(
    ("make", "clone"), [(water, "tpss_clone"), (radical, PBE0)], ids=["TPSS-RKS", "PBE0-UKS"]
)
def test_two_threads_change_nothing(make: Any, clone: Any) -> None:
    mol = make()
    one, two = (gradient(clone, mol, threads=threads) for threads in (1, 2))
    np.testing.assert_allclose(two, one, atol=1e-9)


@pytest.mark.parametrize("group", ["c1", "c2v", "cs"])
def test_point_groups(group: str) -> None:
    mol = water(f"symmetry {group}")
    assert energy("tpss_clone", mol) == pytest.approx(energy("tpss", mol), abs=1e-9)


@pytest.mark.parametrize("definition", [MIXED, RANGE_SEPARATED], ids=["mixed", "range-separated"])
def test_dictionaries_mix_parts(definition: Any) -> None:
    mol = water()
    expected = energy(_originals(definition), mol)
    assert energy(definition, mol) == pytest.approx(expected, abs=1e-9)


def test_whole_functionals_are_parts_too() -> None:
    mol = radical()
    half = {
        "name": "half",
        "x_functionals": {"MGGA_XC_TPSS_CLONE": {"alpha": 0.5}, "GGA_XC_PBE_CLONE": {"alpha": 0.5}},
        "c_functionals": {},
    }
    parts = {
        "name": "half-libxc",
        "x_functionals": {"MGGA_X_TPSS": {"alpha": 0.5}, "GGA_X_PBE": {"alpha": 0.5}},
        "c_functionals": {"MGGA_C_TPSS": {"alpha": 0.5}, "GGA_C_PBE": {"alpha": 0.5}},
    }
    assert energy(half, mol) == pytest.approx(energy(parts, mol), abs=1e-9)


def test_parts_alone() -> None:
    mol = water()
    exchange = {"name": "x", "x_functionals": {"GGA_X_PBE": {}}, "c_functionals": {}}
    correlation = {"name": "c", "x_functionals": {}, "c_functionals": {"MGGA_C_TPSS": {}}}
    assert energy("pbe_clone_x", mol) == pytest.approx(energy(exchange, mol), abs=1e-9)
    assert energy("tpss-clone-c", mol) == pytest.approx(energy(correlation, mol), abs=1e-9)


def test_second_order_scf_of_a_gga() -> None:
    mol, options = water(), {"soscf": True, "scf_type": "df"}
    expected = energy("pbe", mol, options=options)
    assert energy("pbe_clone", mol, options=options) == pytest.approx(expected, abs=1e-9)


def test_polarizability_of_a_gga() -> None:
    def polarizability(name: Any) -> Any:
        run(psi4.properties, name, water("symmetry c1"), properties=["dipole_polarizabilities"])
        return [psi4.variable(f"DIPOLE POLARIZABILITY {xyz}") for xyz in ("XX", "YY", "ZZ")]

    np.testing.assert_allclose(polarizability("pbe_clone"), polarizability("pbe"), atol=1e-6)


def test_empty_spin_channel_and_ghosts() -> None:
    """A hydrogen atom beside a ghost: no density of one spin, and points far from all density."""
    mol = molecule("H 0 0 0; @He 0 0 6.0", multiplicity=2)
    assert energy("tpss_clone", mol) == pytest.approx(energy("tpss", mol), abs=1e-9)
