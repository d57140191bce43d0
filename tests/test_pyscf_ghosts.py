"""Gradients with ghosts, atoms without functions and pseudopotentials: slopes of the energy."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyscf", reason="the PySCF adapter's tests need PySCF")
pytest.importorskip("numba", reason="nonlocal descriptors need numba")

from pyscf import dft, gto
from pyscf.dft import gen_grid, radi
from pyscf.grad.rks import grids_response_cc

from tests.pyscf_methods import installed
from xcnet.adapters.pyscf.grid_response import with_right_radii
from xcnet.errors import UnsupportedError

WATER = "O 0 0 0; H 0 -.757 .587; H 0 .757 .587; "
HELIUM = gto.basis.load("6-31g", "He")

#: Molecules, and the coordinates (atom, axis) that are compared.
CASES: dict[str, tuple[dict[str, Any], tuple[tuple[int, int], ...]]] = {
    "ghost": ({"atom": f"{WATER}ghost-O 0 0 -3"}, ((2, 1), (3, 2))),
    "ghost of its own functions": (
        {
            "atom": f"{WATER}ghost 0 0 -2",
            "basis": {"O": "6-31g", "H": "6-31g", "ghost": HELIUM},
        },
        ((3, 2),),
    ),
    "counterpoise": ({"atom": "He 0 0 0; ghost-He 0.1 0 2.6"}, ((0, 2), (1, 0))),
    "pseudopotential": (
        {"atom": "I 0 0 0; H 0.1 0 1.61", "basis": "lanl2dz", "ecp": {"I": "lanl2dz"}},
        ((1, 2),),
    ),
    "pseudopotential of a radical's ghost": (
        {
            "atom": "O 0 0 0; H 0.2 0.1 0.97; ghost-I 0 0 -2.5",
            "basis": {"O": "sto-3g", "H": "sto-3g", "ghost-I": gto.basis.load("lanl2dz", "I")},
            "spin": 1,
        },
        ((1, 0), (2, 2)),
    ),
}


@pytest.fixture(scope="module", autouse=True)
def functionals() -> Iterator[None]:
    with installed():
        yield


def _molecule(settings: dict[str, Any]) -> Any:
    return gto.M(**{"basis": "6-31g", "verbose": 0, **settings})


def _energy(mol: Any, xc: str, guess: Any = None, level: int = 1) -> Any:
    mf = (dft.UKS if mol.spin else dft.RKS)(mol, xc=xc).set(conv_tol=1e-12)
    mf.grids.level = level
    mf.kernel(guess)
    assert mf.converged
    return mf


@pytest.mark.parametrize(
    ("case", "xc"), [*((case, "NN-NRA") for case in CASES), ("ghost", "NN-metaGGA")]
)
def test_gradient_is_the_slope(case: str, xc: str) -> None:
    settings, coordinates = CASES[case]
    mf = _energy(_molecule(settings), xc)
    gradient = mf.nuc_grad_method().kernel()
    np.testing.assert_allclose(gradient.sum(axis=0), 0.0, atol=1e-8)
    for atom, axis in coordinates:
        energies = []
        for step in (1e-3, -1e-3):
            coords = mf.mol.atom_coords()
            coords[atom, axis] += step
            moved = mf.mol.set_geom_(coords, unit="Bohr", inplace=False)
            energies.append(_energy(moved, xc, mf.make_rdm1()).e_tot)
        slope = (energies[0] - energies[1]) / 2e-3
        # The definition of NN-NRA's descriptor has a quadrature error that is not differentiated.
        assert gradient[atom, axis] == pytest.approx(slope, abs=4e-5)


def test_water_with_a_ghost() -> None:
    """By differences of 2e-3 bohr.

    Versions of PySCF make other grids, and the quadrature error of the descriptor's definition is
    not differentiated.
    """
    mf = _energy(_molecule(CASES["ghost"][0]), "NN-NRA", level=3)
    gradient = mf.nuc_grad_method().kernel()
    assert gradient[2, 1] == pytest.approx(-0.015740, abs=4e-5)
    assert gradient[3, 2] == pytest.approx(-0.000380, abs=4e-5)


@pytest.mark.parametrize(
    "adjust", [radi.treutler_atomic_radii_adjust, radi.becke_atomic_radii_adjust, None]
)
def test_response_is_the_slope_of_the_weights(adjust: Any) -> None:
    """Derivatives of the cells of a ghost and of an atom with a pseudopotential."""
    mol = gto.M(
        atom="I 0 0 0; H 0.1 0 1.6; ghost-O 0 1 2",
        basis={"default": "lanl2dz", "ghost-O": HELIUM},
        ecp={"I": "lanl2dz"},
        verbose=0,
        spin=0,
    )

    def weights(z: float) -> list[Any]:
        coords = mol.atom_coords()
        coords[1, 2] += z
        grids = gen_grid.Grids(mol.set_geom_(coords, unit="Bohr", inplace=False))
        grids.level, grids.radii_adjust = 0, adjust
        made = list(grids_response_cc(with_right_radii(grids)))
        plain = grids.get_partition(
            grids.mol,
            grids.gen_atomic_grids(grids.mol, {}, grids.radi_method, 0, grids.prune),
            grids.radii_adjust,
            grids.atomic_radii,
            grids.becke_scheme,
            concat=False,
        )[1]
        for (_, weight, _), own in zip(made, plain, strict=True):
            np.testing.assert_allclose(weight, own, rtol=0, atol=1e-10 * own.max())
        return made

    ahead, behind = weights(1e-4), weights(-1e-4)
    for here, up, down in zip(weights(0.0), ahead, behind, strict=True):
        slope = (up[1] - down[1]) / 2e-4
        np.testing.assert_allclose(here[2][1, 2], slope, rtol=0, atol=1e-5 * np.abs(slope).max())


def test_nothing_of_the_users_is_changed() -> None:
    mf = _energy(_molecule(CASES["pseudopotential"][0]), "NN-GGA")
    before = copy.copy(vars(mf.mol)), mf.grids.mol
    mf.nuc_grad_method().kernel()
    assert (vars(mf.mol).keys(), mf.grids.mol) == (before[0].keys(), before[1])
    assert mf.mol.atom_charge(0) == 7


def test_other_cells_are_refused() -> None:
    mf = dft.RKS(_molecule({"atom": "He 0 0 0; H 0 0 1", "charge": 1}), xc="NN-GGA")
    mf.grids.set(becke_scheme=gen_grid.stratmann, radii_adjust=lambda *args: lambda i, j, g: g)
    with pytest.raises(UnsupportedError, match="radii_adjust"):
        mf.run().nuc_grad_method().kernel()
