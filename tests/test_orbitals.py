"""The density part of the loss: matrix elements of a trial functional in accurate orbitals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from xcnet.references.accurate import Reference
from xcnet.references.inversion import Inverter
from xcnet.scf.densities import on_grid
from xcnet.systems.molecules import atom
from xcnet.training.form.forms import FORMS
from xcnet.training.form.semilocal import Semilocal
from xcnet.training.loss import orbitals, parts
from xcnet.training.loss.orbitals import Relaxation
from xcnet.training.recipe import OrbitalSettings

pytest.importorskip("pyscf", reason="PySCF makes the orbitals")

SETTINGS = OrbitalSettings("none", 1.0, 0, 50.0)


@pytest.fixture(scope="module")
def reference() -> Reference:
    """Nitrogen with Hartree-Fock's density in place of an accurate one."""
    from pyscf import scf

    system = atom("N")
    blank = Reference(system, 0.0, {"N": "6-31g"}, np.zeros((2, 1, 1)), (np.zeros((1, 1)),) * 2, 0)
    molecule = blank.molecule()
    mean_field = scf.UHF(molecule).run(conv_tol=1e-10)
    matrices = np.asarray(mean_field.make_rdm1())
    inverter = Inverter(molecule, matrices)
    inversions = [inverter.solve(spin) for spin in range(2)]
    filled = [channel.orbitals[:, : channel.occupied] for channel in inversions]
    return Reference(system, 0.0, blank.basis, matrices, (filled[0], filled[1]), 4096.0)


@pytest.fixture(scope="module", params=list(FORMS))
def form(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def functional(form: str) -> Semilocal:
    return Semilocal(form, {"exchange": [5, 4], "correlation": [4, 5]}, [2])


@pytest.fixture
def relaxation(form: str, reference: Reference) -> Relaxation:
    return orbitals.relaxation(form, {"N": reference}, SETTINGS)


def energy(form: str, module: Semilocal, reference: Reference, matrices: list[Any]) -> float:
    """Exchange-correlation energy on the grid of the matrix elements."""
    from pyscf import dft

    grids = dft.Grids(reference.molecule())
    grids.level = SETTINGS.grid_level
    grids.build()
    descriptor = FORMS[form].descriptor
    density = on_grid("", reference.molecule(), matrices, grids, -1.0, descriptor)
    total = 0.0
    for part in parts.of(form):
        variables, weights = part.variables(density)
        columns = part.columns(*torch.from_numpy(variables).unbind(1))
        with torch.no_grad():
            total += float(module.energy(part.name, columns) @ torch.from_numpy(weights))
    return total


@pytest.mark.parametrize("spin", [0, 1])
def test_elements_are_slopes_of_the_energy(
    form: str, reference: Reference, relaxation: Relaxation, spin: int
) -> None:
    """By rotating the highest occupied orbital into an empty one."""
    module, inversion = functional(form), reference.kohn_sham()[spin]
    rows = relaxation.rows[0][spin]
    matrices = [channel.density_matrix for channel in reference.kohn_sham()]
    i, a = inversion.occupied - 1, inversion.occupied + 1
    empty = len(inversion.energies) - inversion.occupied
    row = i * empty + 1
    with torch.no_grad():
        whole = float(rows.values(module)[row]) * np.sqrt(
            inversion.energies[a] - inversion.energies[i]
        )
    element = whole - float(rows.fixed[row]) * np.sqrt(
        inversion.energies[a] - inversion.energies[i]
    )
    ends = []
    for angle in (1e-4, -1e-4):
        filled = inversion.orbitals[:, : inversion.occupied].copy()
        filled[:, i] = np.cos(angle) * filled[:, i] + np.sin(angle) * inversion.orbitals[:, a]
        turned = list(matrices)
        turned[spin] = filled @ filled.T
        ends.append(energy(form, module, reference, turned))
    assert 2.0 * element == pytest.approx((ends[0] - ends[1]) / 2e-4, rel=1e-5, abs=2e-6)


def test_gradient_of_the_relaxation(form: str, relaxation: Relaxation) -> None:
    module = functional(form)
    networks = [module.network(name) for name in module.networks]
    _, gradient = relaxation.normal_equations(module)
    first = 0
    for network in networks:
        assert network is not None
        start = network.vector()
        for k in (0, len(start) // 2, len(start) - 1):
            unit = torch.zeros_like(start)
            unit[k] = 1e-5
            ends = []
            for sign in (1.0, -1.0):
                network.load_vector(start + sign * unit)
                ends.append(relaxation.mean(module))
            network.load_vector(start)
            numerical = (ends[0] - ends[1]) / 2e-5
            assert 2.0 * float(gradient[first + k]) == pytest.approx(numerical, rel=1e-5, abs=1e-5)
        first += len(start)
    assert first == len(gradient)


def test_hydrogen_has_one_spin_to_relax() -> None:
    from pyscf import scf

    blank = Reference(
        atom("H"), 0.0, {"H": "6-31g"}, np.zeros((2, 1, 1)), (np.zeros((1, 1)),) * 2, 0
    )
    mean_field = scf.UHF(blank.molecule()).run()
    matrices = np.asarray(mean_field.make_rdm1())
    filled = (mean_field.mo_coeff[0][:, :1], mean_field.mo_coeff[1][:, :0])
    reference = Reference(atom("H"), 0.0, blank.basis, matrices, filled, 4096.0)
    relaxation = orbitals.relaxation("lda", {"H": reference}, SETTINGS)
    assert len(relaxation.rows[0]) == 1
    assert relaxation.energies(functional("lda"))["H"] > 0.0
