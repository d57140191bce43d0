"""Export of torch modules: what comes out, what is refused, and that nothing is left behind."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

import xcnet
from tests.clones import CLONES, MODELS, Clone, Module, make, record
from tests.densities import closed_shell, random_densities
from xcnet import engine, variables
from xcnet.errors import ArgumentTypeError, ExportError, ModelError
from xcnet.export.closed_shell import ClosedShell
from xcnet.export.verification import torch_values
from xcnet.graphs import OPERATORS
from xcnet.spec import load_spec
from xcnet.training import export
from xcnet.training.form import baselines

ROOT = Path(__file__).resolve().parent.parent
LDA, GGA, MGGA = CLONES[0], CLONES[1], CLONES[6]


def renamed(clone: Clone, **changes: Any) -> dict[str, Any]:
    return {**record(clone), **changes}


class Perceptron(nn.Module):
    """A meta-GGA like the published ones: logarithms of four features, three wide layers."""

    def __init__(self, width: int = 12, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        self.first: Callable[[Tensor], Tensor] = nn.functional.elu
        generator = torch.Generator().manual_seed(5)
        self.dtype = dtype
        self.layers = nn.ModuleList(
            nn.Linear(a, b, dtype=dtype) for a, b in [(4, width), (width, width), (width, 1)]
        )
        for parameter in self.parameters():
            values = torch.randn(parameter.shape, generator=generator, dtype=dtype)
            parameter.data = values / parameter.shape[-1] ** 0.5

    def forward(self, rho: Tensor, sigma: Tensor, tau: Tensor) -> Tensor:
        n = rho.sum(1)
        up, down = (2.0 * rho / n[:, None]).unbind(1)
        phi = 0.5 * (up ** (2.0 / 3.0) + down ** (2.0 / 3.0))
        norm = torch.sqrt(sigma[:, 0] + 2.0 * sigma[:, 1] + sigma[:, 2] + 1e-9)
        features = [n ** (1 / 3), phi, norm / n ** (4 / 3), tau.sum(1) / n ** (5 / 3)]
        hidden = torch.log(torch.stack(features, dim=1)).to(self.dtype)
        hidden = self.first(self.layers[0](hidden))
        hidden = nn.functional.silu(self.layers[1](hidden))
        factor = nn.functional.elu(self.layers[2](hidden)[:, 0]) + 1.0
        return baselines.slater(rho) * factor


@pytest.mark.parametrize("spin", ["polarized", "unpolarized"])
@pytest.mark.parametrize("clone", CLONES, ids=lambda clone: clone.name)
def test_clones_equal_libxc(clone: Clone, spin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XCNET_MODEL_PATH", str(MODELS))
    polarized = random_densities(300, seed=8)
    inputs = closed_shell(polarized)[0] if spin == "unpolarized" else polarized
    given = xcnet.functional(clone.name, spin).compute(inputs, do_fxc=True)
    reference = xcnet.functional(" + ".join(clone.libxc), spin).compute(inputs, do_fxc=True)
    energy = np.abs(reference["zk"][:, 0] * inputs["rho"].sum(axis=1))
    for label, values in given.items():
        for c, factors in enumerate(variables.components(label, 1 + (spin == "polarized"))):
            # Where terms cancel (TPSS correlation of one orbital), digits count against the
            # energy, in units of the variables: libxc itself keeps no more.
            unit = np.prod([size(inputs, v, i) for v, i in factors], axis=0)
            difference = np.abs(values[:, c] - reference[label][:, c]) * unit
            scale = np.maximum(np.abs(reference[label][:, c]) * unit, energy)
            assert np.all(difference <= 1e-9 * scale), label


def size(inputs: dict[str, Any], name: str, index: int) -> np.ndarray:
    if name == "sigma" and inputs[name].shape[1] == 3 and index == 1:
        norm: np.ndarray = np.sqrt(inputs[name][:, 0] * inputs[name][:, 2])
        return norm
    column: np.ndarray = inputs[name][:, index]
    return column


def test_committed_clones_are_what_the_code_makes(tmp_path: Path) -> None:
    for clone in (LDA, GGA):
        made = make(clone, tmp_path)
        committed = MODELS / clone.name
        for name in ("exc.onnx", "vxc.onnx", "fxc.onnx", "kxc.onnx", "CARD.md"):
            assert (made / name).read_bytes() == (committed / name).read_bytes(), name
        new, old = (np.load(folder / "reference.npz") for folder in (made, committed))
        assert set(new) == set(old)
        for label in new:
            np.testing.assert_allclose(new[label], old[label], rtol=1e-12, atol=1e-30)


def test_bytes_do_not_depend_on_the_process(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from tests.clones import CLONES, make; "
    code += "make(CLONES[4], Path(sys.argv[1]))"
    env = {**os.environ, "PYTHONHASHSEED": "77", "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a")], check=True, env=env)
    make(CLONES[3], tmp_path / "b")  # the other process has not seen these expressions
    make(CLONES[4], tmp_path / "b")
    for name in ("exc.onnx", "vxc.onnx", "fxc.onnx", "kxc.onnx"):
        a, b = ((tmp_path / side / CLONES[4].name / name).read_bytes() for side in "ab")
        assert a == b


def test_folder_is_complete(tmp_path: Path) -> None:
    given = renamed(GGA, name="gga_x_test", id=190100, aliases=["Test"])
    spec = export(Module(GGA.energy), given, tmp_path / "deep" / "gga_x_test", card="# Card\n")
    assert spec.folder == tmp_path / "deep" / "gga_x_test"
    assert [p.name for p in spec.folder.parent.iterdir()] == ["gga_x_test"]
    spec.verify()
    assert spec.read("CARD.md") == b"# Card\n"
    assert spec.highest_order == 3
    reference = np.load(spec.folder / "reference.npz")
    labels = list(variables.requested_labels(spec.variables, [True] * 4))
    assert sorted(reference) == sorted([*spec.variables, *labels])
    results = engine.run(spec, 3, {name: reference[name] for name in spec.variables})
    for label in labels:
        np.testing.assert_allclose(results[label], reference[label], rtol=1e-12, atol=0)
        assert reference[label].shape == (64, variables.width(label, 2))
    share = reference["rho"].min(axis=1) / reference["rho"].sum(axis=1)
    assert share.min() < 1e-5
    assert (share == 0.5).sum() >= 8


def test_graphs_hold_nothing_but_operations() -> None:
    spec = load_spec(MODELS / GGA.name)
    for filename in spec.graphs.values():
        model = onnx.load_from_string(spec.read(filename))
        assert not model.metadata_props
        assert {node.op_type for node in model.graph.node} <= OPERATORS
        assert not model.functions


def test_network_graphs_are_small(tmp_path: Path) -> None:
    """Nodes cost about 0.4 us each at one point: 150 of them are a call of 60 us."""
    given = renamed(MGGA, name="mgga_xc_test", id=190101, aliases=[])
    spec = export(Perceptron(), given, tmp_path / "mgga_xc_test")
    graphs = [onnx.load_from_string(spec.read(f)).graph for f in spec.derivatives.values()]
    for graph in graphs:
        used = {name for node in graph.node for name in node.input} | {o.name for o in graph.output}
        assert {constant.name for constant in graph.initializer} <= used
        assert {name for node in graph.node[:-1] for name in node.output[:1]} <= used | {""}
    nodes = [len(graph.node) for graph in graphs]
    assert nodes[0] <= 70
    assert nodes[1] <= 160
    assert nodes[2] <= 750


def test_third_derivatives(tmp_path: Path) -> None:
    module = Perceptron(3)
    orders = ("exc", "vxc", "fxc", "kxc")
    given = renamed(MGGA, name="mgga_xc_test", id=190101, aliases=[])
    spec = export(module, given, tmp_path / "mgga_xc_test", orders)
    assert spec.highest_order == 3
    inputs = random_densities(5, seed=2)
    inputs = {name: inputs[name] for name in spec.variables}
    expected = torch_values(module, inputs, 3)
    results = engine.run(spec, 3, inputs)
    assert set(results) == set(expected)
    for label in variables.labels(spec.variables, 3):
        scale = np.abs(expected[label]).max(axis=1, keepdims=True)
        np.testing.assert_allclose(results[label] / scale, expected[label] / scale, atol=1e-10)


@pytest.mark.parametrize("activation", [nn.GELU(), nn.Softplus(), nn.Mish(), nn.LogSigmoid()])
def test_activations_without_a_kernel(activation: nn.Module, tmp_path: Path) -> None:
    """Composed of operators that the runtime has; the export compares them with torch."""
    module = Perceptron(4)
    module.first = activation
    given = renamed(MGGA, name="mgga_xc_test", id=190101, aliases=[])
    assert export(module, given, tmp_path / "mgga_xc_test").highest_order == 3


class OwnClosedShell(Perceptron):
    """With a formula for closed shells, right or wrong."""

    factor = 1.0

    def closed_shell(self, rho: Tensor, sigma: Tensor, tau: Tensor) -> Tensor:
        half, quarter = 0.5 * rho, 0.25 * sigma
        spins = self.forward(
            torch.cat([half, half], 1), torch.cat([quarter] * 3, 1), torch.cat([0.5 * tau] * 2, 1)
        )
        return self.factor * spins


@pytest.mark.parametrize("kind", [Perceptron, OwnClosedShell])
def test_graphs_of_closed_shells(kind: type[Perceptron], tmp_path: Path) -> None:
    """They give what the module gives at two equal spins, differentiated by the totals."""
    module = kind(5)
    given = renamed(MGGA, name="mgga_xc_test", id=190101, aliases=[])
    spec = export(module, given, tmp_path / "mgga_xc_test")
    assert list(spec.closed_shell) == list(spec.derivatives)
    totals, _ = closed_shell(random_densities(40, seed=2))
    totals = {name: totals[name] for name in spec.variables}
    results = engine.run(spec, 3, totals, variables.UNPOLARIZED)
    expected = torch_values(ClosedShell(module, None), totals, 3)
    assert set(results) == set(expected)
    for label, values in expected.items():
        assert results[label].shape == (40, 1)
        np.testing.assert_allclose(results[label], values, rtol=1e-8, err_msg=label)
    nodes = [
        len(onnx.load_from_string(spec.read(files["vxc"])).graph.node)
        for files in (spec.derivatives, spec.closed_shell)
    ]
    assert nodes[1] < nodes[0]


def test_wrong_formula_for_closed_shells_is_refused(tmp_path: Path) -> None:
    module = OwnClosedShell(5)
    module.factor = 1.0 + 1e-9
    given = renamed(MGGA, name="mgga_xc_test", id=190101, aliases=[])
    with pytest.raises(ExportError, match=r"zk\[0\], spin 1, of the graph differs"):
        export(module, given, tmp_path / "mgga_xc_test")


def test_network_of_one_feature(tmp_path: Path) -> None:
    """Its first layer spreads a single column, and is no matrix product."""
    torch.manual_seed(3)
    network = nn.Sequential(nn.Linear(1, 4), nn.Tanh(), nn.Linear(4, 1)).double()

    def energy(rho: Tensor) -> Tensor:
        n = rho.sum(1)
        factor: Tensor = 1.0 + 0.1 * network(torch.log(n)[:, None])[:, 0]
        return -(n ** (1 / 3)) * factor

    module = Module(energy)
    given = renamed(LDA, name="lda_xc_test", id=190101, aliases=[], kind="exchange-correlation")
    spec = export(module, given, tmp_path / "lda_xc_test", lawful=False)
    inputs = {"rho": random_densities(5, seed=2)["rho"]}
    results, expected = engine.run(spec, 3, inputs), torch_values(module, inputs, 3)
    for label in expected:
        np.testing.assert_allclose(results[label], expected[label], rtol=1e-10)


def test_laplacian_and_descriptor(tmp_path: Path) -> None:
    def energy(
        rho: Tensor, sigma: Tensor, lapl: Tensor, tau: Tensor, near_region: Tensor
    ) -> Tensor:
        n = rho.sum(1, keepdim=True)
        inner = torch.tanh(lapl.sum(1, keepdim=True) / n ** (5 / 3)) + sigma[:, :1] / n ** (8 / 3)
        return -((n + near_region) ** (1 / 3)) * (1.0 + 0.1 * inner * tau.sum(1, keepdim=True))

    given = renamed(
        MGGA,
        name="mgga_xc_test",
        id=190101,
        aliases=[],
        inputs=["rho", "sigma", "lapl", "tau"],
        descriptors={"near_region": {"definition": "continuum", "sigma_bohr": 0.2}},
    )
    spec = export(Module(energy), given, tmp_path / "mgga_xc_test", ("exc", "vxc"), lawful=False)
    labels = ("zk", "vrho", "vsigma", "vlapl", "vtau", "vnear_region")
    assert set(np.load(spec.folder / "reference.npz")) == {*labels, *spec.variables}


class Mutating(nn.Module):
    def forward(self, rho: Tensor) -> Tensor:
        rho[:, 0] += 1.0
        return rho.sum(1)


class Filling(nn.Module):
    def forward(self, rho: Tensor) -> Tensor:
        result = torch.zeros(len(rho), dtype=rho.dtype)
        result[:] = rho[:, 0]
        return result


class Failing(nn.Module):
    def forward(self, rho: Tensor) -> Tensor:
        raise RuntimeError("out of ideas")


class Branching(nn.Module):
    def forward(self, rho: Tensor) -> Tensor:
        return rho[:, 0] if (rho > 0).all() else rho[:, 1]


class Counting(nn.Module):
    def forward(self, rho: Tensor) -> Tensor:
        return -rho.sum(1) * rho.shape[0]


class Remembering(nn.Module):
    calls = 0

    def forward(self, rho: Tensor) -> Tensor:
        self.calls += 1
        return -(rho ** (1 / 3)).sum(1) * self.calls


REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "float32 parameters": (
        lambda: nn.Sequential(nn.Linear(2, 1)),
        r"0\.weight of the module is torch\.float32; call module\.double\(\)",
    ),
    "float32 inside": (
        lambda: Module(lambda rho: rho.float().sum(1).double()),
        r"float64",
    ),
    "sine": (lambda: Module(lambda rho: torch.sin(rho).sum(1)), r"test_export.py.*sin.*use exp"),
    "fft": (lambda: Module(lambda rho: torch.fft.rfft(rho).real[:, 0]), r"fft.*not supported"),
    "in place": (Mutating, r"without changing a tensor in place"),
    "in place of a constant": (Filling, r"without changing a tensor in place"),
    "branch on values": (Branching, r"torch\.where"),
    "exception": (Failing, r"test_export.py, line \d+.*RuntimeError: out of ideas"),
    "wrong argument": (lambda: Module(lambda density: density.sum(1)), r"TypeError"),
    "mean over points": (
        lambda: Module(lambda rho: rho.sum(1) - rho.mean(0).sum()),
        r"different points",
    ),
    "sum of all points": (lambda: Module(lambda rho: rho.sum(1) * rho.sum()), r"different points"),
    "neighbours": (lambda: Module(lambda rho: rho.roll(1, 0).sum(1)), r"one point to another"),
    "running sum over points": (
        lambda: Module(lambda rho: rho.cumsum(0).sum(1)),
        r"different points",
    ),
    "point by point matrix": (lambda: Module(lambda rho: (rho @ rho.T)[:, 0]), r"two tensors"),
    "largest of all points": (lambda: Module(lambda rho: rho.amax(0) + rho), r"different points"),
    "number of points": (Counting, r"differs from torch"),
    "random numbers": (
        lambda: Module(lambda rho: nn.functional.dropout(rho, 0.5, True).sum(1)),
        r"operation \w+ is not supported|different at each point",
    ),
    "one random number": (
        lambda: Module(lambda rho: -rho.sum(1) * torch.rand(1, dtype=rho.dtype)),
        r"not a function of its inputs.*random numbers",
    ),
    "state": (Remembering, r"not a function of its inputs.*state"),
    "wrong shape": (lambda: Module(lambda rho: rho), r"must return \(101,\) or \(101, 1\)"),
    "no tensor": (lambda: Module(lambda rho: cast(Tensor, 0.0)), r"not float"),
    "not finite": (
        lambda: Module(lambda rho: torch.log(rho[:, 0] - rho[:, 1])),
        r"not finite",
    ),
    "jumps": (
        lambda: Module(lambda rho: torch.round(rho.sum(1))),
        r"round is not supported",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_modules_leave_nothing(case: str, tmp_path: Path) -> None:
    module, message = REFUSED[case]
    with pytest.raises(ExportError, match=message):
        export(module(), renamed(LDA, id=190102), tmp_path / LDA.name)
    assert list(tmp_path.iterdir()) == []


def test_wrong_record_leaves_nothing(tmp_path: Path) -> None:
    source = re.escape(str(tmp_path / LDA.name / "model.json"))
    with pytest.raises(ModelError, match=f"^{source}: missing field 'aliases', 'citations'"):
        export(Module(LDA.energy), {"format_version": 1}, tmp_path / LDA.name)
    for changes in ({"id": 3}, {"family": "gga"}, {"surprise": 1}, {"inputs": ["rho", "tau"]}):
        with pytest.raises(ModelError):
            export(Module(LDA.energy), renamed(LDA, **changes), tmp_path / LDA.name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("module", [LDA.energy, Module, None])
def test_only_modules_are_exported(module: Any, tmp_path: Path) -> None:
    with pytest.raises(ArgumentTypeError, match=r"torch\.nn\.Module, not (function|type|NoneType)"):
        export(module, record(LDA), tmp_path / LDA.name)


@pytest.mark.parametrize("orders", [("exc",), ("vxc", "exc"), ("exc", "fxc"), (), ("exc", "lxc")])
def test_wrong_orders(orders: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="orders"):
        export(Module(LDA.energy), record(LDA), tmp_path / LDA.name, orders)


def test_existing_folder_is_kept(tmp_path: Path) -> None:
    (tmp_path / LDA.name).mkdir()
    (tmp_path / LDA.name / "mine.txt").write_text("mine")
    with pytest.raises(ExportError, match="exists"):
        make(LDA, tmp_path)
    assert [p.name for p in (tmp_path / LDA.name).iterdir()] == ["mine.txt"]


def test_parent_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match=r"file/\w+ cannot be written: Not a directory"):
        make(LDA, tmp_path / "file")


def test_full_disk_leaves_nothing(tmp_path: Path) -> None:
    # A limit on the size of files fails writes halfway, as a full disk does.
    code = textwrap.dedent("""
        import resource, sys
        from pathlib import Path
        from tests.clones import CLONES, make
        from xcnet.errors import ExportError
        from xcnet.export import exporter
        resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))
        try:
            make(CLONES[1], Path(sys.argv[1]))
        except ExportError as error:
            print(error)
    """)
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], env=env, capture_output=True, text=True
    )
    assert "cannot be written" in done.stdout, done.stderr
    assert ".part" not in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_record_is_not_changed(tmp_path: Path) -> None:
    given = record(LDA)
    before = json.dumps(given)
    export(Module(LDA.energy), given, tmp_path / LDA.name, ("exc", "vxc"))
    assert json.dumps(given) == before


def test_module_keeps_its_mode_and_gradients(tmp_path: Path) -> None:
    module = Perceptron(3)
    module.train()
    given = renamed(MGGA, name="mgga_xc_test", id=190101, aliases=[])
    export(module, given, tmp_path / "mgga_xc_test", ("exc", "vxc"))
    assert module.training
    assert all(p.requires_grad and p.grad is None for p in module.parameters())
