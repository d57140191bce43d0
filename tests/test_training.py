"""Training of a tiny recipe, whole and interrupted, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from xcnet import cli, engine
from xcnet.errors import InputError, XCNetError
from xcnet.functionals import LibXCFunctional
from xcnet.sample import sample
from xcnet.scf import densities
from xcnet.scf.densities import GridDensity
from xcnet.spec import load_spec
from xcnet.systems import training_sets
from xcnet.training import levenberg, recipe, trainer
from xcnet.training.form import networks
from xcnet.training.form.baselines import PW92_MODIFIED, pw92, slater
from xcnet.training.form.networks.algebraic import AlgebraicPerceptron
from xcnet.training.form.networks.elu import EluPerceptron
from xcnet.training.form.networks.network import Network
from xcnet.training.form.networks.perceptron import Perceptron
from xcnet.training.loss import parts, problem, sampling, targets
from xcnet.training.publish import publication

pytestmark = pytest.mark.usefixtures("one_thread")

NETWORKS = (AlgebraicPerceptron, EluPerceptron)

RECIPE = """
seed = 3
sets = ["atoms_h_ne"]
[record]
name = "mgga_xc_nn_tiny"
alias = "NN-tiny"
id = 190901
description = "a test"
grid_level = 1
[densities]
xc = "pbe"
basis = "sto-3g"
grid_level = 0
min_density = 1e-9
[sampling]
points = 40
energy_points = 60
jittered = 20
wide = 50
jitter = 0.3
[loss]
potential = 0.3
energy = 1.0
jittered = 0.3
wide = 1e-3
core = 0.3
[exchange]
target = "mgga_x_r2scan"
hidden = [4, 4]
starts = 2
start_iterations = 2
iterations = 5
[correlation]
target = "mgga_c_r2scan"
hidden = [4]
starts = 2
start_iterations = 2
iterations = 4
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("training")
    (path / "tiny.toml").write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def tiny(folder: Path) -> recipe.Recipe:
    return recipe.load(folder / "tiny.toml")


@pytest.fixture(scope="module")
def prepared(folder: Path, tiny: recipe.Recipe) -> tuple[list[GridDensity], str]:
    return densities.of_systems(training_sets.load("atoms_h_ne").systems, tiny.densities, folder)


def train(folder: Path, *more: str) -> int:
    words = ["train", str(folder / "tiny.toml"), "--data", str(folder), "--device", "cpu"]
    return cli.main([*words, *more])


def test_from_recipe_to_functional(
    folder: Path, prepared: object, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(folder, "--output", str(folder / "models")) == 0
    made = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert [path.name for path in made] == [
        "report.json",
        "report.png",
        "weights.npz",
        "mgga_xc_nn_tiny",
    ]
    spec = load_spec(made[-1])
    module = publication.load_weights(made[-2], recipe.load(folder / "tiny.toml"))
    inputs = sample(spec.variables, 30, seed=1)
    exc = module(**{name: torch.from_numpy(value) for name, value in inputs.items()})
    energies = engine.run(spec, 1, inputs)["zk"][:, 0]
    np.testing.assert_allclose(energies, exc.numpy(), rtol=1e-12)
    assert spec.training["metrics"]["exchange_energy_mae_hartree"] < 0.1
    assert spec.training["weights_sha256"] == densities.file_sha256(made[-2])
    assert "atomization" not in spec.read("CARD.md").decode()  # never measured with these weights
    # The folder is there now: no training before saying so.
    assert train(folder, "--output", str(folder / "models")) == cli.EXIT_ERROR
    assert "exists already" in capsys.readouterr().err


RESIDUAL = """
import torch
from xcnet.training.form.networks.network import Network

class Residual(Network):
    def __init__(self, widths, generator):
        super().__init__()
        inputs, hidden, outputs = widths
        make = lambda *shape: torch.nn.Parameter(
            0.3 * torch.randn(*shape, generator=generator, dtype=torch.float64)
        )
        self.first, self.second, self.skip = make(inputs, hidden), make(hidden, outputs), make(1)

    def forward(self, inputs):
        return torch.tanh(inputs @ self.first) @ self.second + self.skip * inputs[:, :1]

NETWORK = Residual
"""


@pytest.mark.usefixtures("first_derivatives")
def test_a_network_is_one_module(
    folder: Path, prepared: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Added as a file, named by a recipe, trained by automatic derivatives, exported."""
    (tmp_path / "networks").mkdir()
    (tmp_path / "networks" / "residual.py").write_text(RESIDUAL)
    text = RECIPE.replace("[exchange]", '[exchange]\nnetwork = "residual"').replace("[4, 4]", "[4]")
    text = text.replace("nn_tiny", "nn_residual").replace("NN-tiny", "NN-residual")
    text = text.replace("190901", "190905").replace("iterations = 5", "iterations = 2")
    (tmp_path / "tiny.toml").write_text(text)
    words = ["train", str(tmp_path / "tiny.toml"), "--data", str(folder), "--device", "cpu"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks, "__path__", [*networks.__path__, str(tmp_path / "networks")])
        code = cli.main([*words, "--output", str(tmp_path / "models")])
        printed = capsys.readouterr()
        assert code == 0, printed.err
        *_, weights, made = (Path(line) for line in printed.out.splitlines())
        chosen = recipe.load(tmp_path / "tiny.toml")
        spec, module = load_spec(made), publication.load_weights(weights, chosen)
    assert type(module.networks["exchange"]).__name__ == "Residual"
    inputs = sample(spec.variables, 30, seed=1)
    exc = module(**{name: torch.from_numpy(value) for name, value in inputs.items()})
    np.testing.assert_allclose(engine.run(spec, 1, inputs)["zk"][:, 0], exc.numpy(), rtol=1e-12)
    with pytest.raises(InputError, match=r"exchange.network = 'residual' must be one of algebraic"):
        recipe.load(tmp_path / "tiny.toml")


@pytest.mark.usefixtures("first_derivatives")
def test_the_published_form_can_be_trained(
    folder: Path, prepared: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One network of exchange and correlation with ELU, from the same densities."""
    text = RECIPE.replace("[record]", 'form = "nagai2020"\n[record]', 1)
    text = text.replace("mgga_c_r2scan", "mgga_x_r2scan + mgga_c_r2scan").replace("[4]", "[6, 5]")
    (tmp_path / "tiny.toml").write_text(text)
    chosen = recipe.load(tmp_path / "tiny.toml")
    words = ["train", str(tmp_path / "tiny.toml"), "--data", str(folder), "--device", "cpu"]
    assert cli.main([*words, "--output", str(tmp_path / "models")]) == 0
    *_, weights, made = (Path(line) for line in capsys.readouterr().out.splitlines())
    spec, module = load_spec(made), publication.load_weights(weights, chosen)
    inputs = sample(spec.variables, 30, seed=1)
    exc = module(**{name: torch.from_numpy(value) for name, value in inputs.items()})
    np.testing.assert_allclose(engine.run(spec, 1, inputs)["zk"][:, 0], exc.numpy(), rtol=1e-12)
    assert np.all(exc.numpy() < 0.0)
    card = " ".join(spec.read("CARD.md").decode().split())
    assert "activation ELU" in card
    assert "A network fitted to r2SCAN" in card


def test_device_that_is_not_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = str(folder / "elsewhere")
    assert train(folder, "--output", output, "--device", "abacus") == cli.EXIT_ERROR
    assert "device 'abacus'" in capsys.readouterr().err


def test_interrupted_training_ends_with_the_same_weights(
    folder: Path, tiny: recipe.Recipe, prepared: tuple[list[GridDensity], str], tmp_path: Path
) -> None:
    densities, digest = prepared
    whole = trainer.Progress(tiny.sha256, digest)
    trainer.train(tiny, densities, whole, tmp_path / "whole.npz")
    path = tmp_path / "parts.npz"
    for stop in (3, 2, 4):
        steps = iter(range(stop, 0, -1))

        def interrupt(part: parts.Part, loss: float, steps: Iterator[int] = steps) -> None:
            if next(steps) == 1:
                raise KeyboardInterrupt

        progress = trainer.Progress(tiny.sha256, digest)
        if path.exists():
            progress = trainer.resume(path, tiny, digest)
        with pytest.raises(KeyboardInterrupt):
            trainer.train(tiny, densities, progress, path, after_step=interrupt)
    progress = trainer.resume(path, tiny, digest)
    trainer.train(tiny, densities, progress, path)
    for part in parts.of("meta-gga"):
        density_points, two = whole.parts[part.name], progress.parts[part.name]
        assert density_points.history == two.history
        for left, right in zip(density_points.states, two.states, strict=True):
            assert torch.equal(left.parameters, right.parameters)


def test_checkpoint_of_another_recipe_or_data_is_refused(
    tiny: recipe.Recipe, tmp_path: Path
) -> None:
    path = tmp_path / "checkpoint.npz"
    trainer.save(trainer.Progress(tiny.sha256, "data"), path)
    assert trainer.resume(path, tiny, "data").parts == {}
    with pytest.raises(InputError, match="recipe changed"):
        trainer.resume(path, replace(tiny, seed=4), "data")
    with pytest.raises(InputError, match="densities changed"):
        trainer.resume(path, tiny, "other")
    path.write_bytes(b"junk")
    with pytest.raises(InputError, match="cannot read the checkpoint"):
        trainer.resume(path, tiny, "data")
    with pytest.raises(InputError, match="cannot read the checkpoint"):
        trainer.resume(tmp_path / "none.npz", tiny, "data")


def test_altered_densities_are_refused(
    folder: Path, tiny: recipe.Recipe, prepared: object, tmp_path: Path
) -> None:
    for source in folder.glob("densities-*"):
        (tmp_path / source.name).write_bytes(source.read_bytes())
    stored = next(tmp_path.glob("*.npz"))
    data = bytearray(stored.read_bytes())
    data[len(data) // 2] ^= 1
    stored.write_bytes(data)
    with pytest.raises(InputError, match="do not match their SHA-256"):
        densities.of_systems(training_sets.load("atoms_h_ne").systems, tiny.densities, tmp_path)


def test_nan_in_the_loss_is_an_error(
    tiny: recipe.Recipe, prepared: tuple[list[GridDensity], str], tmp_path: Path
) -> None:
    densities = [
        replace(density_points, tau=np.full_like(density_points.tau, np.nan))
        for density_points in prepared[0][:2]
    ]
    progress = trainer.Progress(tiny.sha256, "data")
    with pytest.raises(XCNetError, match="not a finite number"):
        trainer.train(tiny, densities, progress, tmp_path / "checkpoint.npz")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("jitter = 0.3", "jiter = 0.3", "unknown key sampling.jiter"),
        ("seed = 3", "", "missing key seed"),
        ("points = 40", "points = 40.5", "sampling.points = 40.5 must be of the type integer"),
        (
            "hidden = [4, 4]",
            'hidden = ["4"]',
            r"exchange.hidden\[0\] = '4' must be of the type integer",
        ),
        ("seed = 3", "seed = ", "cannot read the recipe"),
        ('sets = ["atoms_h_ne"]', 'sets = ["atoms_h_ne"]\nother = 1', "unknown key other"),
        ('["atoms_h_ne"]', "[]", r"sets = \[\] must be a list of 1 or more"),
        ('["atoms_h_ne"]', '["H", "H"]', r"sets = \['H', 'H'\] must be .* without repetition"),
        ("seed = 3", "seed = -3", "wrong.toml: seed = -3 must be at least 0"),
        ("seed = 3", 'form = "mega"\nseed = 3', "form = 'mega' must be one of nra, meta-gga, gga"),
        ("points = 40", "points = 0", "sampling.points = 0 must be at least 1"),
        ("jitter = 0.3", "jitter = nan", "sampling.jitter = nan must be a finite number"),
        ("wide = 1e-3", "wide = -inf", "loss.wide = -inf must be a finite number"),
        ("starts = 2", "starts = 0", "exchange.starts = 0 must be at least 1"),
        ("iterations = 5", "iterations = -5", "exchange.iterations = -5 must be at least 1"),
        ("[4, 4]", "[4, 0]", r"exchange.hidden\[1\] = 0 must be at least 1"),
        ("grid_level = 0", "grid_level = 77", "densities.grid_level = 77 must be at most 9"),
        ("1e-9", "1e9", "densities.min_density = 1000000000.0 must be at most 0.001"),
        ("mgga_xc_nn_tiny", "../../evil", "record.name = '../../evil' must be text that matches"),
        ("mgga_xc_nn_tiny", "gga_xc_nn_tiny", "must begin with mgga_xc_, the family of the form"),
        ("NN-tiny", "?", r"record.alias = '\?' must be text that matches"),
        ("grid_level = 1", "grid_level = 99", "record.grid_level = 99 must be at most 9"),
        ("id = 190901", "id = 7", "record.id = 7 must be at least 100100"),
        ('"a test"', '""', "record.description = '' must be 1 or more characters long"),
    ],
)
def test_wrong_recipes(old: str, new: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(RECIPE.replace(old, new, 1))
    with pytest.raises(InputError, match=message):
        recipe.load(path)


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(InputError, match="nn_r2scan"):
        recipe.find("nn_scan")
    with pytest.raises(InputError, match="atoms_h_ne"):
        training_sets.load("atoms")


@pytest.mark.parametrize("kind", NETWORKS)
def test_network_jacobian_is_the_derivative(kind: type[Perceptron]) -> None:
    generator = torch.Generator().manual_seed(0)
    network = kind((3, 5, 4, 2), generator)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    inputs, tangents, value, slope = normal(6, 3), normal(6, 4, 3), normal(6, 4, 2), normal(6, 4, 2)
    rows = network.jacobian(inputs, tangents, value, slope)

    def functional(vector: torch.Tensor) -> torch.Tensor:
        network.load_vector(vector)
        out, slopes = network.evaluate(inputs, tangents)
        return (torch.einsum("pmo,po->pm", value, out) + (slope * slopes).sum(-1)).flatten()

    start = network.vector()
    step = 1e-6
    for k in range(0, len(start), 7):
        unit = torch.zeros_like(start)
        unit[k] = step
        numerical = (functional(start + unit) - functional(start - unit)) / (2 * step)
        torch.testing.assert_close(rows[:, k], numerical, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("kind", NETWORKS)
def test_automatic_derivatives_are_the_fast_ones(kind: type[Perceptron]) -> None:
    generator = torch.Generator().manual_seed(0)
    network = kind((3, 5, 4, 2), generator)
    shapes = ((6, 3), (6, 4, 3), (6, 4, 2), (6, 4, 2))
    inputs, tangents, value, slope = (
        torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in shapes
    )
    names = [name for name, _ in network.named_parameters()]
    sizes = dict(zip(names, [p.numel() for p in network.parameters()], strict=True))
    jacobian = network.jacobian(inputs, tangents, value, slope)
    automatic = Network.jacobian(network, inputs, tangents, value, slope)
    columns = dict(zip(names, automatic.split(list(sizes.values()), dim=1), strict=True))
    pairs = [f"{kind}.{i}" for i in range(3) for kind in ("weights", "biases")]
    torch.testing.assert_close(jacobian, torch.cat([columns[name] for name in pairs], dim=1))
    for fast, slow in zip(
        network.evaluate(inputs, tangents), Network.evaluate(network, inputs, tangents), strict=True
    ):
        torch.testing.assert_close(fast, slow)
    fast, slow = (f(network, inputs, value[:, 0]) for f in (kind.gradient, Network.gradient))
    parts = dict(zip(names, slow.split(list(sizes.values())), strict=True))
    torch.testing.assert_close(fast, torch.cat([parts[name] for name in pairs]))


@pytest.mark.parametrize("kind", NETWORKS)
def test_network_gradient_is_autograds(kind: type[Perceptron]) -> None:
    generator = torch.Generator().manual_seed(0)
    network = kind((3, 5, 4, 2), generator)
    inputs = torch.randn(7, 3, generator=generator, dtype=torch.float64)
    coefficients = torch.randn(7, 2, generator=generator, dtype=torch.float64)
    slopes = torch.autograd.grad((coefficients * network(inputs)).sum(), network.ordered())
    wanted = torch.cat([slope.flatten() for slope in slopes])
    torch.testing.assert_close(
        network.gradient(inputs, coefficients), wanted, rtol=1e-12, atol=1e-13
    )


@pytest.mark.parametrize(
    ("part", "width"),
    [
        *zip(parts.of("meta-gga"), (3, 4), strict=True),
        (parts.of("nra")[1], 5),
        (parts.of("nagai2020")[0], 4),
    ],
    ids=["exchange", "correlation", "nra", "nagai2020"],
)
def test_residuals_are_those_of_the_functional(part: parts.Part, width: int) -> None:
    rows = torch.from_numpy(sampling.wide(40, width, np.random.default_rng(0)))
    columns = part.columns(*rows.unbind(1))
    widths = (columns[2].shape[1], 6, columns[1].shape[1])
    network = networks.make(part.form.network, widths, torch.Generator().manual_seed(1))
    zeros = torch.zeros(len(rows), rows.shape[1] + 1, dtype=torch.float64)
    terms = problem.point_residuals(part.columns, rows, zeros, zeros + 1.0)
    residuals = terms.residuals(network).view_as(zeros)
    rows.requires_grad_()
    base, coefficients, features = part.columns(*rows.unbind(1))
    energy = base + (coefficients * network(features)).sum(-1)
    (slopes,) = torch.autograd.grad(energy.sum(), rows)
    torch.testing.assert_close(residuals[:, 0], energy.detach(), rtol=1e-12, atol=0.0)
    torch.testing.assert_close(residuals[:, 1:], slopes, rtol=1e-9, atol=1e-12)


def test_targets_add_up_to_the_functional() -> None:
    """Exchange by channel plus correlation is r2SCAN of the whole density."""
    inputs = sample(("rho", "sigma", "tau"), 200, seed=5)
    density = GridDensity.of("", {**inputs, "weights": np.ones(200)})
    wanted = sum(
        np.asarray(LibXCFunctional(f"mgga_{k}_r2scan", "polarized").compute(inputs)["zk"][:, 0])
        for k in "xc"
    ) * inputs["rho"].sum(axis=1)
    rows, _ = sampling.correlation_variables(density)
    energies = targets.correlation("mgga_c_r2scan", rows)[:, 0]
    for s in range(2):
        channel = np.stack([inputs["rho"][:, s], inputs["sigma"][:, 2 * s], inputs["tau"][:, s]], 1)
        energies += targets.exchange("mgga_x_r2scan", channel)[:, 0]
    np.testing.assert_allclose(energies, wanted, rtol=1e-10)


def test_targets_of_both_together() -> None:
    """Where the spin channels share in proportion it is the functional, and so are its slopes."""
    rows = sampling.wide(200, 4, np.random.default_rng(4))
    # Where libxc cuts no gradient.
    rows = rows[rows[:, 2] < 4.0 * rows[:, :2].sum(axis=1) * rows[:, 3]]
    only = targets.together("mgga_c_r2scan", rows)
    np.testing.assert_allclose(
        only, targets.correlation("mgga_c_r2scan", rows), rtol=1e-9, atol=1e-12
    )
    names = "mgga_x_r2scan + mgga_c_r2scan"
    energies = targets.together(names, rows)
    for k in range(4):
        numerical = np.zeros(len(rows))
        for steps, weight in ((1, 2.0 / 3.0), (2, -1.0 / 12.0)):  # of fourth order
            for sign in (1.0, -1.0):
                shifted = rows.copy()
                shifted[:, k] *= 1.0 + sign * steps * 1e-4
                energy = targets.together(names, shifted)[:, 0]
                numerical += sign * weight * energy / (1e-4 * rows[:, k])
        errors = np.abs(energies[:, 1 + k] - numerical) * rows[:, k] / np.abs(energies[:, 0])
        assert errors.max() < 1e-9


def test_uniform_gas_is_exact() -> None:
    module = trainer.build(recipe.load(recipe.find("nn_r2scan")))
    rho = torch.tensor([[0.3, 0.3], [0.2, 0.05]], dtype=torch.float64)
    tau = 0.3 * (6.0 * np.pi**2) ** (2.0 / 3.0) * rho ** (5.0 / 3.0)
    exc = module(rho=rho, sigma=torch.zeros(2, 3, dtype=torch.float64), tau=tau)
    wanted = slater(rho) + pw92(rho, PW92_MODIFIED)
    torch.testing.assert_close(exc.detach(), wanted, rtol=1e-12, atol=0.0)


def test_steps_never_raise_the_loss(
    tiny: recipe.Recipe, prepared: tuple[list[GridDensity], str]
) -> None:
    part = parts.of("meta-gga")[0]
    terms = parts.terms(part, tiny, prepared[0])
    network = trainer.network(trainer.build(tiny), part)
    fit = problem.LeastSquares(network, terms)
    state = levenberg.start(fit)
    for _ in range(6):
        after = levenberg.step(fit, state)
        assert after.loss <= state.loss
        state = after
