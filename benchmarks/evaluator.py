"""Graphs by tapes: beside libxc's M06-L in C and in Python, and beside ONNX Runtime.

NN-metaGGA as shipped, one thread, processor time; the cases take turns, and the median of the
rounds' ratios counts, so that other work on the machine changes little. Every call gets densities
that the one before did not have. ``OMP_NUM_THREADS=1 python -m benchmarks.evaluator --write``
writes ``benchmarks/results/evaluator.md``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import xcnet
from xcnet import density, engine, graphs, libxc, native, registry, shared_library, tape, variables
from xcnet.bench.machine import machine
from xcnet.bench.speed import cases
from xcnet.commands import exec as exec_command
from xcnet.density import Array
from xcnet.graphs import model as onnx_file
from xcnet.tape import rows, writer

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "evaluator.md"
FUNCTIONAL, REFERENCE = "NN-metaGGA", "M06-L"
SPINS = {"unpolarized": variables.UNPOLARIZED, "polarized": variables.POLARIZED}
SIZES = (1, 128, 100_000)
POOL = 300_000
#: The same in evaluator.c.
LEAST_POINTS = 20_000
#: Points at which tapes and ONNX Runtime are compared, by derivative order.
WIDTHS = (12, 50, 100, 200, 400, 600)
ENGINE_POINTS = {"exc": 16_384, "vxc": 16_384, "fxc": 8_192, "kxc": 2_048}

Call = Callable[[Mapping[str, Array]], object]


def in_c(rounds: int) -> Iterator[tuple[str, int, float, float, float]]:
    """Spin, points, microseconds per call of both, and the median ratio."""
    compiler = shutil.which("cc") or "gcc"
    headers = HERE.parent / "adapters" / "libxc"
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder, "evaluator")
        source = str(HERE / "evaluator.c")
        command = [compiler, "-std=c11", "-D_GNU_SOURCE", "-O2", f"-I{headers}", source]
        subprocess.run([*command, "-o", str(program), "-ldl"], check=True)
        library = libxc.library().path
        environment = {
            **os.environ,
            exec_command.INDEX: str(native.write_index()),
            libxc.ENVIRONMENT_VARIABLE: str(library),
        }
        for spin, number in SPINS.items():
            points = cases.densities(POOL, spin)
            content = b"".join(points[name].tobytes() for name in ("rho", "sigma", "tau"))
            for size in SIZES:
                done = subprocess.run(
                    [program, library, shared_library.path(), str(number), str(size), str(rounds)],
                    input=content,
                    env=environment,
                    capture_output=True,
                    check=True,
                )
                ours, theirs, ratio = map(float, done.stdout.split())
                yield spin, size, ours, theirs, ratio


def turns(
    first: Call, second: Call, inputs: list[dict[str, Array]], rounds: int
) -> tuple[float, float, float]:
    """Median seconds per call of two cases, and the median ratio."""
    size = len(next(iter(inputs[0].values())))
    calls = max(1, LEAST_POINTS // 10 // size)
    taken: tuple[list[float], list[float]] = ([], [])
    at = 0
    for turn in range(rounds + 1):
        for case, times in zip((first, second), taken, strict=True):
            start = time.process_time()
            for _ in range(calls):
                at = (at + 1) % len(inputs)
                case(inputs[at])
            if turn:  # the first opens tapes and sessions
                times.append((time.process_time() - start) / calls)
    ratios = [a / b for a, b in zip(*taken, strict=True)]
    return statistics.median(taken[0]), statistics.median(taken[1]), statistics.median(ratios)


def pool(spin: str, size: int) -> list[dict[str, Array]]:
    """Different densities of one size."""
    count = max(3, min(1000, POOL // size))
    return [cases.densities(size, spin, seed) for seed in range(count)]


def in_python(rounds: int) -> Iterator[tuple[str, int, float, float, float]]:
    """As `in_c`; libxc by the binding alone, without `compute`."""
    for spin in SPINS:
        ours = cases.compute_case(FUNCTIONAL, spin, "exc+vxc")
        theirs = cases.libxc_case(REFERENCE, spin, "exc+vxc")
        for size in SIZES:
            a, b, ratio = turns(ours, theirs, pool(spin, size), rounds)
            yield spin, size, 1e6 * a, 1e6 * b, ratio


def engines(name: str, rounds: int) -> Iterator[tuple[str, str, int, float, float, float]]:
    """Order, spin, multiply-adds, microseconds per point by tape and runtime, and their ratio."""
    spec = registry.find(name).spec
    assert spec is not None
    for spin, number in SPINS.items():
        for order, points in ENGINE_POINTS.items():
            level = variables.ORDERS.index(order)
            limits = spec.thresholds, spec.enforce_fhc
            clamp = density.clamp if number == variables.POLARIZED else density.clamp_closed_shell
            inputs = [
                {
                    k: v
                    for k, v in clamp(cases.densities(points, spin, seed), *limits)[0].items()
                    if k in spec.variables
                }
                for seed in range(3)
            ]
            size = engine.chunk([i == level for i in range(5)], number)
            opened = tape.Tape(tape.content(spec, order, number))

            def by_runtime(
                x: Mapping[str, Array], level: int = level, number: int = number, size: int = size
            ) -> None:
                for i in range(0, len(x["rho"]), size):
                    part = {key: array[i : i + size] for key, array in x.items()}
                    engine.run_session(spec, level, part, number)

            a, b, ratio = turns(opened.run, by_runtime, inputs, rounds)
            yield order, spin, opened.multiply_adds, 1e6 * a / points, 1e6 * b / points, ratio


def network(width: int) -> bytes:
    """ONNX file of a network of five inputs, three layers of tanh and one output."""
    rng = np.random.default_rng(0)
    nodes = [helper.make_node("Transpose", ["x"], ["h0"], perm=[1, 0])]
    constants, last = [], 5
    for i in range(3):
        weights = rng.normal(size=(width, last)) / np.sqrt(last)
        biases = rng.normal(size=(width, 1))
        constants += [numpy_helper.from_array(weights, f"w{i}")]
        constants += [numpy_helper.from_array(biases, f"b{i}")]
        nodes += [
            helper.make_node("Gemm", [f"w{i}", f"h{i}", f"b{i}"], [f"g{i}"]),
            helper.make_node("Tanh", [f"g{i}"], [f"h{i + 1}"]),
        ]
        last = width
    constants.append(numpy_helper.from_array(rng.normal(size=(1, width)), "w3"))
    nodes.append(helper.make_node("MatMul", ["w3", "h3"], ["g3"]))
    nodes.append(helper.make_node("Transpose", ["g3"], ["y"], perm=[1, 0]))
    tensors = [
        [helper.make_tensor_value_info(name, TensorProto.DOUBLE, ["N", size])]
        for name, size in (("x", 5), ("y", 1))
    ]
    graph = helper.make_graph(nodes, "network", *tensors, constants)
    opset = [helper.make_opsetid("", graphs.OPSET)]
    made = helper.make_model(graph, opset_imports=opset, ir_version=graphs.IR_VERSION)
    return bytes(made.SerializeToString())


def widths(rounds: int) -> list[str]:
    """Table of tapes beside ONNX Runtime by the width of a network, from which the rule is."""
    lines = [
        "## Tape beside ONNX Runtime: three layers of tanh, energy alone, 2,048 points",
        "",
        "| width | multiply-adds per point | tape, µs per point | ONNX Runtime, µs per point "
        "| ratio |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    options = onnxruntime.SessionOptions()  # as in xcnet.engine
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    points = 2048
    inputs = [{"x": np.random.default_rng(i).normal(size=(points, 5))} for i in range(3)]
    for width in WIDTHS:
        content = network(width)
        opened = tape.Tape(writer.tape(rows.program(onnx_file.read(content))))
        session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])

        def by_runtime(x: Mapping[str, Array], session: Any = session) -> object:
            return session.run(["y"], dict(x))

        a, b, ratio = turns(opened.run, by_runtime, inputs, rounds)
        size = opened.multiply_adds
        lines.append(
            f"| {width} | {size} | {1e6 * a / points:.3f} | {1e6 * b / points:.3f} | {ratio:.2f} |"
        )
        print(lines[-1], flush=True)
    return [*lines, ""]


def tables(rounds: int, wide: list[str]) -> str:
    """All results as Markdown."""
    lines = []
    for title, table in (("C", in_c(rounds)), ("Python", in_python(rounds))):
        lines += [
            f"## {title}: exc and vxc beside {REFERENCE} of libxc {libxc.version_string()}",
            "",
            f"| spins | points per call | {FUNCTIONAL}, µs per call | {REFERENCE}, µs per call "
            "| ratio |",
            "| --- | ---: | ---: | ---: | ---: |",
        ]
        for spin, size, ours, theirs, ratio in table:
            lines.append(f"| {spin} | {size} | {ours:.2f} | {theirs:.2f} | {ratio:.2f} |")
            print(lines[-1], flush=True)
        lines.append("")
    for name in (FUNCTIONAL, *wide):
        lines += [
            f"## Tape beside ONNX Runtime: {name}",
            "",
            "| derivatives | spins | multiply-adds per point | tape, µs per point "
            "| ONNX Runtime, µs per point | ratio |",
            "| --- | --- | ---: | ---: | ---: | ---: |",
        ]
        for order, spin, size, ours, theirs, ratio in engines(name, max(3, rounds // 4)):
            lines.append(f"| {order} | {spin} | {size} | {ours:.3f} | {theirs:.3f} | {ratio:.2f} |")
            print(lines[-1], flush=True)
        lines.append("")
    return "\n".join([*lines, *widths(max(3, rounds // 4))])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--wide", nargs="*", default=[], help="further functionals, for engines")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    arguments = parser.parse_args()
    xcnet.set_num_threads(1)
    text = tables(arguments.rounds, arguments.wide)
    if arguments.write:
        RESULTS.write_text(f"{_heading(arguments.rounds)}\n\n{text}", encoding="utf-8")


def _heading(rounds: int) -> str:
    facts = machine()
    return (
        "# Graphs by tapes\n\n"
        f"{facts['cpu']}, one thread, instructions {tape.instructions()}, NumPy {np.__version__}. "
        f"Processor time; medians of {rounds} rounds in which the cases take turns, so that the "
        "ratio is not quite that of the times. Every call gets densities that the one before did "
        "not have. `OMP_NUM_THREADS=1 python -m benchmarks.evaluator --write`."
    )


if __name__ == "__main__":
    main()
