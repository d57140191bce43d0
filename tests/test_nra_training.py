"""The form with the near-region density: its limits, and a tiny recipe from end to end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.test_training import RECIPE
from tests.training_sets import added
from xcnet import cli, engine, registry
from xcnet.sample import sample
from xcnet.scf import ground_states
from xcnet.spec import load_spec
from xcnet.systems.training_sets import load
from xcnet.training import recipe, trainer
from xcnet.training.form.baselines import PW92_MODIFIED, pw92, slater
from xcnet.training.form.features.correlation import NEAR_REGION
from xcnet.training.form.features.shares import near_region_contrast, near_region_of_gas
from xcnet.training.form.semilocal import Semilocal
from xcnet.training.loss import parts
from xcnet.training.publish import publication

pytestmark = pytest.mark.usefixtures("one_thread", "first_derivatives")

GAS = near_region_of_gas(NEAR_REGION.sigma_bohr)
NAME, ALIAS = "mgga_xc_nn_nra_tiny", "NN-NRA-tiny"
SET = """
title = "a test"
doi = ""
format = "inline"
[splits]
train = 1
[[reactions]]
name = "BH"
terms = { BH = -1, B = 1, H = 1 }
reference_hartree = 0.1356
[[systems]]
name = "BH"
charge = 0
multiplicity = 1
symbols = ["B", "H"]
positions_angstrom = [[0.0, 0.0, 0.0], [0.0, 0.0, 1.232]]
[[systems]]
name = "B"
charge = 0
multiplicity = 2
symbols = ["B"]
positions_angstrom = [[0.0, 0.0, 0.0]]
[[systems]]
name = "H"
charge = 0
multiplicity = 2
symbols = ["H"]
positions_angstrom = [[0.0, 0.0, 0.0]]
"""
REFINEMENT = """
[refinement]
sets = ["boron_hydride"]
part = "train"
check = ""
start = "PBE"
rounds = 1
iterations = 4
prior = 1e3
width = 3.0
[refinement.ground_states]
basis = "sto-3g"
grid_level = 0
density_fit = ""
tolerance = 1e-8
min_density = 1e-10
"""


@pytest.fixture(scope="module")
def module() -> Semilocal:
    untrained = trainer.build(recipe.load(Path(__file__).with_name("nra.toml")))
    untrained.requires_grad_(False)
    return untrained


def test_uniform_gas_is_exact(module: Semilocal) -> None:
    rho = torch.tensor([[0.3, 0.3], [0.2, 0.05]], dtype=torch.float64)
    tau = 0.3 * (6.0 * np.pi**2) ** (2.0 / 3.0) * rho ** (5.0 / 3.0)
    near = GAS * rho.sum(1, keepdim=True)
    exc = module(rho=rho, sigma=torch.zeros(2, 3).double(), tau=tau, near_region=near)
    wanted = slater(rho) + pw92(rho, PW92_MODIFIED)
    torch.testing.assert_close(exc, wanted, rtol=1e-12, atol=0.0)


def test_exchange_does_not_know_the_descriptor(module: Semilocal) -> None:
    """Its scaling with the density and with the spins is that of the form without."""
    inputs = {
        name: torch.from_numpy(value)
        for name, value in sample(
            ("rho", "sigma", "tau", "near_region"), 50, 2, {"near_region": NEAR_REGION}
        ).items()
    }
    energies = [
        module(**{**inputs, "near_region": factor * inputs["near_region"]}) for factor in (1, 3)
    ]
    whole = inputs["sigma"] @ torch.tensor([1.0, 2.0, 1.0]).double()
    rows = (*inputs["rho"].unbind(1), whole, inputs["tau"].sum(1))
    correlation = [
        module.energy(
            "correlation",
            module.form.correlation.columns(*rows, factor * inputs["near_region"][:, 0]),
        )
        for factor in (1, 3)
    ]
    changes = [
        energies[1] - energies[0],
        (correlation[1] - correlation[0]) / inputs["rho"].sum(1),
    ]
    assert float(changes[0].abs().max()) > 1e-4
    torch.testing.assert_close(changes[0], changes[1], rtol=1e-9, atol=1e-12)


def test_contrast_is_smooth_and_bounded() -> None:
    near, density = (
        torch.tensor(values, dtype=torch.float64, requires_grad=True)
        for values in ([-1e-9, 0.0, 1e-14, 0.2, GAS, 40.0], [1.0, 1.0, 1.0, 1e-12, 1.0, 1e3])
    )
    contrast = near_region_contrast(density, near, NEAR_REGION.sigma_bohr)
    wanted = [-1.0, -1.0, -1.0, 1.0, 0.0]
    np.testing.assert_allclose(contrast[:5].detach(), wanted, rtol=0.0, atol=1e-12)
    assert float(contrast.detach().abs().max()) <= 1.0
    slopes = torch.autograd.grad(contrast.sum(), (density, near))
    assert all(bool(slope.isfinite().all()) for slope in slopes)
    assert slopes[1][:2].tolist() == [0.0, 0.0]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folder of the trained functional, known by its name while these tests run."""
    pytest.importorskip("pyscf", reason="PySCF makes the densities")
    folder = tmp_path_factory.mktemp("nra")
    text = RECIPE.replace("mgga_xc_nn_tiny", NAME).replace("NN-tiny", ALIAS)
    text = text.replace("id = 190901", "id = 190903").replace("seed = 3", 'seed = 3\nform = "nra"')
    text = text.replace("atoms_h_ne", "boron_hydride") + REFINEMENT
    (folder / "tiny.toml").write_text(text)
    words = ["train", str(folder / "tiny.toml"), "--data", str(folder), "--device", "cpu"]
    with added(folder / "sets", SET, "boron_hydride"), pytest.MonkeyPatch.context() as patch:
        assert cli.main([*words, "--output", str(folder / "models")]) == 0
        patch.setenv("XCNET_MODEL_PATH", str(folder / "models"))
        registry.refresh()
        yield folder / "models" / NAME
    registry.refresh()


def _weights(made: Path) -> Semilocal:
    folder = made.parents[1]
    return publication.load_weights(
        folder / NAME / "weights.npz", recipe.load(folder / "tiny.toml")
    )


def test_functional_is_the_module(made: Path) -> None:
    spec = load_spec(made)
    assert spec.descriptors == {"near_region": NEAR_REGION}
    inputs = sample(spec.variables, 60, 1, spec.descriptors)
    exc = _weights(made)(**{name: torch.from_numpy(value) for name, value in inputs.items()})
    energies = engine.run(spec, 1, inputs)["zk"][:, 0]
    np.testing.assert_allclose(energies, exc.numpy(), rtol=1e-12)
    reactions = spec.training["metrics"]["reactions"]
    assert len(reactions["fixed"]) == reactions["self_consistent"]["trained"]["count"] == 1
    assert "Nagai2020_43" in [citation.key for citation in spec.citations]
    assert "near-region density" in spec.read("CARD.md").decode().replace("\n", " ")


def test_energies_of_the_training_are_those_of_calculations(made: Path, tmp_path: Path) -> None:
    """Their densities at the same grid points have the descriptor that PySCF's functional used."""
    settings = recipe.load(made.parents[1] / "tiny.toml").refinement
    assert settings is not None
    systems = load("boron_hydride").systems
    states = ground_states.solve(
        systems, ALIAS, settings.ground_states, tmp_path, descriptor=NEAR_REGION
    )
    functional = _weights(made)
    for state in states.values():
        energy = state.rest + sum(
            float(part.energies([state.density]).residuals(functional.network(part.name)))
            for part in parts.of("nra")
        )
        assert energy == pytest.approx(state.total, abs=1e-5)


@pytest.mark.parametrize(("atoms", "spin"), [("B 0 0 0; H 0 0 1.2", 0), ("O 0 0 0; H 0 0 1", 1)])
def test_potential_is_the_slope_of_the_energy(made: Path, atoms: str, spin: int) -> None:
    """Along the way from the guess to a self-consistent density, which all densities are on."""
    from pyscf import dft, gto

    from xcnet.adapters import pyscf as adapter

    assert made.is_dir()
    molecule = gto.M(atom=atoms, basis="6-31g", spin=spin, verbose=0)
    mf = adapter.attach((dft.UKS if spin else dft.RKS)(molecule, xc=ALIAS))
    mf.grids.level = 1
    assert adapter.converge(mf).converged
    density = np.asarray(mf.make_rdm1())
    along = np.asarray(mf.get_init_guess()) - density

    def at(x: float) -> Any:
        return mf._numint.nr_vxc(molecule, mf.grids, ALIAS, density + x * along, spin=spin)

    slope = _difference(lambda x: at(x)[1], 1e-3)
    assert np.sum(at(0.0)[2] * along) == pytest.approx(slope, abs=1e-7)


def _difference(function: Callable[[float], Any], step: float) -> Any:
    """Derivative at zero, of fourth order in the step."""
    near = function(step) - function(-step)
    far = function(2.0 * step) - function(-2.0 * step)
    return (8.0 * near - far) / (12.0 * step)
