"""Training on known energies: merged points, loss, ground states, and a whole tiny recipe."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from xcnet.errors import InputError, XCNetError
from xcnet.scf import ground_states
from xcnet.scf.ground_states import GroundState, GroundStateSettings
from xcnet.systems.molecules import Molecule, atom
from xcnet.systems.training_sets import Reaction
from xcnet.training import recipe, trainer
from xcnet.training.form.features.correlation import NEAR_REGION
from xcnet.training.form.forms import FORMS
from xcnet.training.form.semilocal import Semilocal
from xcnet.training.loss import merging, parts
from xcnet.training.loss.problem import LeastSquares
from xcnet.training.loss.refinement import Refinement, errors
from xcnet.training.publish import publication

pytest.importorskip("pyscf", reason="PySCF makes the densities")
pytestmark = pytest.mark.usefixtures("one_thread")

SETTINGS = GroundStateSettings("6-31g", 1, "", 1e-8, 1e-10)
WATER = Molecule(
    "H2O",
    ("O", "H", "H"),
    ((0.0, 0.0, 0.119262), (0.0, 0.763239, -0.477047), (0.0, -0.763239, -0.477047)),
)
SYSTEMS = (WATER, atom("O"), atom("H"))
ATOMIZATION = Reaction("H2O", ((-1, WATER), (1, atom("O")), (2, atom("H"))), 0.3706)


PARTS = [part for form in FORMS for part in parts.of(form)]
NAMES = [f"{form}-{part.name}" for form in FORMS for part in parts.of(form)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ground_states")


@pytest.fixture(scope="module")
def states(folder: Path) -> dict[str, GroundState]:
    return ground_states.solve(SYSTEMS, "PBE", SETTINGS, folder, descriptor=NEAR_REGION)


@pytest.fixture(scope="module", params=["meta-gga", "nra"])
def form(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def module(form: str) -> Semilocal:
    return Semilocal(form, {"exchange": [6, 5], "correlation": [5, 6]}, [3])


@pytest.mark.parametrize("part", PARTS, ids=NAMES)
def test_energies_of_merged_points_are_the_integrals(
    part: parts.Part, states: dict[str, GroundState]
) -> None:
    form = next(name for name in FORMS if part in parts.of(name))
    module = Semilocal(form, {"exchange": [6, 5], "correlation": [5, 6]}, [3])
    densities = [state.density for state in states.values()]
    energies = part.energies(densities).residuals(module.network(part.name))
    for density, value in zip(densities, energies.tolist(), strict=True):
        variables, weights = part.variables(density)
        columns = part.columns(*torch.from_numpy(variables).unbind(1))
        with torch.no_grad():
            whole = float(module.energy(part.name, columns) @ torch.from_numpy(weights))
        # An untrained network is rougher than a trained one; 2e-5 Hartree are 0.01 kcal/mol.
        assert abs(value - whole) < 2e-5 * max(1.0, abs(whole))


def test_merged_points_are_few(states: dict[str, GroundState]) -> None:
    for part in parts.of("nra"):
        densities = [state.density for state in states.values()]
        points = sum(len(part.variables(density)[1]) for density in densities)
        assert len(part.energies(densities).inputs) < points / 5


def test_negative_weights_keep_the_sums() -> None:
    rng = np.random.default_rng(2)
    energy, features = rng.normal(size=400), 0.01 * rng.random((400, 2))
    relative = features[:, :1]
    points, averages, merged = merging._merged(energy, relative, features)
    assert len(points) < 50
    assert points.sum() == pytest.approx(energy.sum(), rel=1e-12)
    # Averages stay among the features that they are of.
    assert np.all((merged > 0.0) & (merged < 0.01))
    np.testing.assert_allclose(averages, merged[:, :1], rtol=1e-12)


def test_heavy_points_are_not_merged_far() -> None:
    energy = np.array([1.0, 1.0, 1e-9, 1e-9])
    features = np.array([[0.5], [0.51], [0.5], [0.51]])
    points, _, merged = merging._merged(energy, features, features)
    assert sorted(merged[:, 0]) == pytest.approx([0.5, 0.51], abs=1e-9)
    assert points == pytest.approx([1.0, 1.0], abs=1e-8)


@pytest.mark.parametrize("part", parts.of("meta-gga"), ids=lambda part: part.name)
def test_merged_points_serve_trained_networks(
    part: parts.Part, states: dict[str, GroundState]
) -> None:
    shipped = recipe.load(recipe.find("nn_r2scan"))
    module = publication.load_weights(publication.shipped_weights(shipped), shipped)
    network = module.network(part.name)
    for state in states.values():
        energy, relative, features = map(
            torch.from_numpy, merging._shares(part.columns, *part.variables(state.density))
        )
        assert network is not None
        whole = (energy[:, None] * relative * network(features)).sum() + energy.sum()
        merged = part.energies([state.density]).residuals(network)
        assert float(merged) == pytest.approx(float(whole), abs=1e-5)


def test_densities_without_the_descriptor_are_refused(states: dict[str, GroundState]) -> None:
    bare = replace(states["H"].density, descriptors={})
    with pytest.raises(InputError, match="of H was made without its descriptor"):
        parts.of("nra")[1].energies([bare])


def test_gradient_of_the_loss(form: str, states: dict[str, GroundState], module: Semilocal) -> None:
    tiny = _recipe()
    densities = [state.density for state in states.values()]
    priors = {p.name: parts.terms(p, tiny, densities) for p in parts.trained(form)}
    reaction_errors = errors(form, [ATOMIZATION], states)
    problem = Refinement(module, priors, reaction_errors, 7.0, 2.0, decay=0.3)
    start = problem.vector()
    _, gradient = problem.normal_equations()
    assert len(gradient) == len(start) == sum(p.numel() for p in module.parameters())
    rng = np.random.default_rng(0)
    for k in rng.choice(len(start), 12, replace=False):
        unit = torch.zeros_like(start)
        unit[k] = 1e-5
        ends = []
        for sign in (1.0, -1.0):
            problem.load_vector(start + sign * unit)
            ends.append(problem.loss())
        numerical = (ends[0] - ends[1]) / 2e-5
        # The normal equations hold half of the gradient.
        assert 2.0 * float(gradient[k]) == pytest.approx(numerical, rel=2e-5, abs=1e-5)
    problem.load_vector(start)


def test_errors_of_reactions_are_sums_of_energies(
    form: str, states: dict[str, GroundState], module: Semilocal
) -> None:
    values = errors(form, [ATOMIZATION], states).values(module)
    total = {}
    for name, state in states.items():
        energies = [
            part.energies([state.density]).residuals(module.network(part.name))
            for part in parts.of(form)
        ]
        total[name] = state.rest + sum(float(x) for x in energies)
    wanted = 627.5094740631 * (ATOMIZATION.value(total) - ATOMIZATION.reference)
    assert float(values) == pytest.approx(wanted, rel=1e-10)
    with pytest.raises(InputError, match="no ground state of H2O"):
        errors(form, [ATOMIZATION], {name: states[name] for name in "OH"})


def test_ground_states_are_made_once(
    folder: Path, states: dict[str, GroundState], tmp_path: Path
) -> None:
    times = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert len(times) == 3
    again = ground_states.solve(SYSTEMS, "PBE", SETTINGS, folder, descriptor=NEAR_REGION)
    assert ground_states.digest(again.values()) == ground_states.digest(states.values())
    assert times == {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    electrons = {
        name: float((s.density.rho.sum(axis=1) * s.density.weights).sum())
        for name, s in states.items()
    }
    assert electrons == pytest.approx({"H2O": 10.0, "O": 8.0, "H": 1.0}, abs=2e-3)
    stored = next(folder.glob("H-*.npz"))
    data = bytearray(stored.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / stored.name).write_bytes(data)
    with pytest.raises(InputError, match=r"was altered .*: delete it"):
        ground_states.solve([atom("H")], "PBE", SETTINGS, tmp_path, descriptor=NEAR_REGION)


def test_ground_state_that_does_not_converge(tmp_path: Path) -> None:
    with pytest.raises(XCNetError, match="of O did not converge by any of DIIS"):
        ground_states.solve([atom("O")], "PBE", replace(SETTINGS, tolerance=1e-30), tmp_path)
    assert not list(tmp_path.iterdir())


def test_fit_alone_is_the_refinement_without_energies(
    form: str, states: dict[str, GroundState], module: Semilocal
) -> None:
    tiny = _recipe()
    densities = [state.density for state in states.values()]
    priors = {p.name: parts.terms(p, tiny, densities) for p in parts.trained(form)}
    whole = Refinement(module, priors, errors(form, [ATOMIZATION], states), 1e12, 2.0).loss() / 1e12
    fits = sum(
        LeastSquares(trainer.network(module, part), priors[part.name]).loss()
        for part in parts.trained(form)
    )
    assert whole == pytest.approx(fits, rel=1e-9)


def _recipe() -> recipe.Recipe:
    whole = recipe.load(recipe.find("nn_r2scan"))
    sizes = replace(whole.sampling, points=30, energy_points=30, jittered=10, wide=20)
    return replace(whole, sampling=sizes)
