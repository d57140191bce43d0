"""Published functionals in Psi4: Skala-1.0 against PySCF; and DM21's kind, which is refused."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("psi4", reason="these tests need Psi4")
pytest.importorskip("pyscf", reason="these tests compare Psi4 with PySCF")

import psi4
from pyscf import dft, gto

import xcnet.adapters.pyscf
from tests.folders import read_record, seal
from tests.psi4.calculations import HYDROGEN, energy, gradient, molecule, run
from tests.published import converted
from xcnet import registry
from xcnet.adapters.psi4 import nonlocal_hooks
from xcnet.errors import UnsupportedError

SKALA = "skala-1.0"
#: Integrals without density fitting, and few points left out.
EXACT = {"scf_type": "pk", "dft_basis_tolerance": 1e-14, "ints_tolerance": 1e-14}


@pytest.fixture(scope="module", autouse=True)
def skala(adapter: None, converted_folder: Path) -> Iterator[Path]:
    """Skala-1.0 is known by name; returns its folder."""
    folder = converted(SKALA, converted_folder)
    with pytest.MonkeyPatch.context() as patch:
        folders = os.environ[registry.MODEL_PATH_VARIABLE].split(os.pathsep)
        known = os.pathsep.join(dict.fromkeys([*folders, str(folder)]))
        patch.setenv(registry.MODEL_PATH_VARIABLE, known)
        registry.refresh()
        yield folder / "mgga_xc_skala_1_0"
    registry.refresh()


@pytest.mark.parametrize("charge", [0, 1], ids=["RKS", "UKS"])
def test_self_consistent_on_the_same_grid(charge: int) -> None:
    mol = molecule(HYDROGEN, charge, 1 + charge)
    _, wfn = run(psi4.energy, SKALA, mol, options=EXACT, return_wfn=True)
    field = nonlocal_hooks.field_of(wfn)
    assert field is not None
    points = field.grid.grid.points
    atoms = [[wfn.molecule().symbol(i), x] for i, x in enumerate(wfn.molecule().geometry().np)]
    theirs = gto.M(atom=atoms, unit="B", basis="6-31g", charge=charge, spin=charge, verbose=0)
    mf = (dft.UKS if charge else dft.RKS)(theirs, xc=SKALA)
    xcnet.adapters.pyscf.attach(mf.set(conv_tol=1e-10))
    assert points.atoms is not None
    mf.grids.coords, mf.grids.weights = points.coords, points.weights
    mf.grids.atm_idx, mf.grids.quadrature_weights = points.atoms.parents, points.atoms.volumes
    mf.grids.non0tab = mf.grids.make_mask(theirs, points.coords)
    assert wfn.energy() == pytest.approx(mf.kernel(), abs=1e-7)
    assert mf.converged


def test_gradient_equals_finite_differences() -> None:
    def stretched(by: float) -> Any:
        return molecule(f"H 0 0 0; H 0 0 {1.5 + by:.12f}", extra="no_com\nno_reorient")

    options = {"e_convergence": 1e-10, "d_convergence": 1e-9}
    force = gradient(SKALA, stretched(0.0), options=options)
    energies = [energy(SKALA, stretched(by), options=options) for by in (-2e-3, 2e-3)]
    slope = (energies[1] - energies[0]) / 4e-3
    assert abs(slope) > 1e-3
    np.testing.assert_allclose(force[:, 2], [-slope, slope], rtol=0, atol=1e-6)


def test_local_exact_exchange_is_refused_by_name(skala: Path, tmp_path: Path) -> None:
    """DM21's descriptor, of Skala's folder: the record alone decides."""
    folder = tmp_path / "mgga_xc_local_hybrid"
    folder.mkdir()
    for file in skala.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    record = read_record(folder)
    record |= {"name": folder.name, "id": 199009, "aliases": ["local-hybrid"]}
    record["descriptors"] = {"local_exact_exchange": {"omegas": [0.0, 0.4]}}
    for stage in ("channels", "hidden"):
        del record[stage]
    seal(record, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(registry.MODEL_PATH_VARIABLE, str(tmp_path))
        registry.refresh()
        with pytest.raises(UnsupportedError, match=r"local_hybrid reads a descriptor of the dens"):
            energy("local-hybrid", molecule(HYDROGEN))
    registry.refresh()
