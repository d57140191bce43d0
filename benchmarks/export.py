"""The compiler of xcnet beside torch.func and onnxscript: size, time, derivatives.

The same torch modules, with the shipped weights, become graphs of the energy and its derivatives
in two ways: by `xcnet.export`, and by ``torch.func.grad``, ``make_fx`` and ``torch.onnx.export``
(onnxscript). Both run in ONNX Runtime with one thread on the same points; the values are compared
with torch's own in float64. ``python -m benchmarks.export`` writes ``benchmarks/results/export.md``
and needs ``onnxscript`` beside the extra ``train``.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
from torch import Tensor
from torch.func import functionalize, grad
from torch.fx.experimental.proxy_tensor import make_fx

from xcnet import variables
from xcnet.bench.tables import markdown
from xcnet.export.exporter import export
from xcnet.export.verification import torch_values
from xcnet.registry import find
from xcnet.sample import sample
from xcnet.spec import RECORD, FunctionalSpec
from xcnet.training import recipe
from xcnet.training.publish import publication

Array = npt.NDArray[np.float64]

RESULT = Path(__file__).resolve().parent / "results" / "export.md"
POINTS = 2048
REPEATS = 15
#: Recipe, order; the second derivatives of a meta-GGA are 20,000 operations for torch.func, whose
#: graph onnxscript does not finish in half an hour.
CASES = (("nn_lsda", 1), ("nn_r2scan", 1), ("nn_lsda", 2))


@dataclass(frozen=True)
class Graph:
    """One graph: its bytes, the seconds it took to make, and how it takes its inputs."""

    content: bytes
    seconds: float
    feed: dict[str, Array]
    output: Callable[[list[Array]], Array]

    @property
    def nodes(self) -> int:
        """Operations in the file."""
        return len(onnx.load_from_string(self.content).graph.node)

    def values(self) -> tuple[Array, float]:
        """Derivatives (N, components) and the median time of a run, microseconds per point."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(
            self.content, options, providers=["CPUExecutionProvider"]
        )
        times = []
        for _ in range(REPEATS):
            start = time.process_time()
            outputs = session.run(None, self.feed)
            times.append(time.process_time() - start)
        return self.output(outputs), 1e6 * float(np.median(times)) / POINTS


def ours(module: torch.nn.Module, spec: FunctionalSpec, order: int, inputs: Any) -> Graph:
    """Graph of `xcnet.export`, without the folder's other graphs and checks."""
    facts = json.loads((spec.folder / RECORD).read_text(encoding="utf-8"))
    for key in ("derivatives", "closed_shell", "files"):
        facts.pop(key, None)
    with TemporaryDirectory() as folder:
        start = time.process_time()
        made = export(
            module,
            facts,
            Path(folder) / spec.name,
            variables.ORDERS[: max(order, 1) + 1],
            lawful=False,
        )
        seconds = time.process_time() - start
        content = made.read(made.derivatives[variables.ORDERS[order]])
    labels = variables.labels(spec.inputs, order)
    names = [output.name for output in _session(content).get_outputs()]
    return Graph(
        content,
        seconds,
        inputs,
        lambda outputs: np.hstack([outputs[names.index(label)] for label in labels]),
    )


def theirs(module: torch.nn.Module, spec: FunctionalSpec, order: int, inputs: Any) -> Graph:
    """Graph of torch.func and onnxscript, for this number of points."""
    widths = [inputs[name].shape[1] for name in spec.inputs]
    columns = torch.from_numpy(np.hstack([inputs[name] for name in spec.inputs]))

    def energy(x: Tensor) -> Tensor:
        named = dict(zip(spec.inputs, x.split(widths, dim=1), strict=True))
        total: Tensor = (module(**named) * named["rho"].sum(1)).sum()
        return total

    first: Callable[[Tensor], Tensor] = grad(energy)

    def derivatives(x: Tensor) -> Tensor:
        if order == 1:
            return first(x)
        pairs = [(i, j) for i in range(x.shape[1]) for j in range(i, x.shape[1])]
        rows = [grad(lambda y, i=i: first(y)[:, i].sum())(x) for i in range(x.shape[1])]
        return torch.stack([rows[i][:, j] for i, j in pairs], dim=1)

    start = time.process_time()
    traced = make_fx(functionalize(derivatives))(columns)
    program = torch.onnx.export(traced, (columns,), dynamo=True, opset_version=18, verbose=False)
    assert program is not None
    content = program.model_proto.SerializeToString()
    seconds = time.process_time() - start
    name = _session(content).get_inputs()[0].name
    return Graph(content, seconds, {name: columns.numpy()}, lambda outputs: outputs[0])


def _session(content: bytes) -> Any:
    return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])


def rows() -> list[list[str]]:
    """One row for each case and compiler."""
    table = []
    for name, order in CASES:
        chosen = recipe.load(recipe.find(name))
        module = publication.load_weights(publication.shipped_weights(chosen), chosen)
        spec = find(chosen.record.name).spec
        assert spec is not None
        inputs = sample(spec.inputs, POINTS, seed=1)
        wanted = torch_values(module, inputs, order)
        truth = np.hstack([wanted[label] for label in variables.labels(spec.inputs, order)])
        for title, compile_graph in (("xcnet", ours), ("torch.func + onnxscript", theirs)):
            graph = compile_graph(module, spec, order, inputs)
            values, cost = graph.values()
            error = np.abs(values - truth) / (np.abs(truth) + np.abs(truth).mean(axis=0))
            table.append(
                [
                    chosen.record.alias,
                    variables.ORDERS[order],
                    title,
                    f"{graph.nodes:,}",
                    f"{len(graph.content) / 1000:.0f}",
                    f"{graph.seconds:.1f}",
                    f"{cost:.3f}",
                    f"{error.max():.0e}",
                ]
            )
            print(*table[-1], flush=True)
    return table


def main() -> None:
    """Measure and write the page."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    titles = ["functional", "order", "compiler", "operations", "kB", "seconds to make",
              "µs per point", "largest error"]  # fmt: skip
    versions = ", ".join(f"{p} {version(p)}" for p in ("torch", "onnxscript", "onnxruntime"))
    RESULT.write_text(
        "# The compiler beside torch.func and onnxscript\n\n"
        + markdown(titles, rows(), left=3)
        + f"\n{POINTS} points, one thread, CPU time, median of {REPEATS} runs. Errors are "
        "against torch's automatic differentiation in float64, relative to a value and its mean. "
        "A graph of torch.func and onnxscript is good for one number of points only; xcnet's "
        "seconds include all graphs up to the order, those of closed shells, and verification.\n\n"
        f"{versions}. Made by `python -m benchmarks.export`.\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
