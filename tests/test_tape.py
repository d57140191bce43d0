"""Tapes against ONNX Runtime: every graph, every operator, damaged files, threads."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.native_client import PROGRAMS, SOURCES, compile_c
from tests.published import prepared
from tests.running_error import bounds
from xcnet import density, engine, graphs, registry, sample, tape, variables
from xcnet.check import robustness
from xcnet.density import Array
from xcnet.errors import InputError, NativeError
from xcnet.graphs import model as onnx_file
from xcnet.spec import FunctionalSpec, load_spec
from xcnet.tape import rows, schedule, writer

ROOT = Path(__file__).resolve().parent
TRAINED = ROOT.parent / "models"
FOLDERS = [
    *sorted(TRAINED.glob("*/model.json")),
    *sorted((ROOT / "models").glob("*/model.json")),
]
#: Points of each kind of density; those of the third derivatives are fewer.
POINTS = {0: 200, 1: 200, 2: 60, 3: 16}
TOLERANCE = 1e-13
#: Larger differences are rare, among clones of libxc's less so, and rounding: far below the bound
#: of what rounding can do. Bounded functionals have PW92 in them, as clones have: a tenth of their
#: third derivatives differ, of the meta-GGAs some by 0.16 of the bound.
RARE, SHARE_OF_BOUND, SHARE_OF_BOUNDED = {True: 0.02, False: 0.2}, 0.1, 0.2
BOUNDED = {
    TRAINED / name for name in ("mgga_xc_nn_metagga", "mgga_xc_nn_nra", "hyb_mgga_xc_nn_hybrid")
}
WITH_PW92 = {*BOUNDED, TRAINED / "gga_xc_nn_gga"}
NETWORKS = {record.parent for record in TRAINED.glob("*/model.json")} - WITH_PW92


def corpus(spec: FunctionalSpec, n: int, spin: int) -> dict[str, Array]:
    """Clamped densities, n of every kind, as `engine.run` takes them."""
    limits = spec.thresholds, spec.enforce_fhc
    parts = []
    for seed, kind in enumerate(robustness.KINDS):
        inputs = robustness.densities(kind, spec.variables, n, seed, spec.descriptors)
        if spin == variables.POLARIZED:
            parts.append(density.clamp(inputs, *limits)[0])
            continue
        totals, _ = sample.closed_shell(inputs)
        clamped, empty, floored = density.clamp_closed_shell(totals, *limits)
        parts.append({name: array[~empty & ~floored] for name, array in clamped.items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in spec.variables}


def compare(spec: FunctionalSpec, order: int, spin: int, opened: tape.Tape) -> tuple[float, float]:
    """Share of differences above the tolerance, and the largest over what rounding explains."""
    name = variables.ORDERS[order]
    program = rows.program(onnx_file.read(graphs.verify(spec, name, spin)))
    inputs = corpus(spec, POINTS[order], spin)
    results, limits = opened.run(inputs), bounds(program, inputs)
    above, count, worst = 0, 0, 0.0
    for label, expected in engine.run_session(spec, order, inputs, spin).items():
        finite = np.isfinite(expected)
        np.testing.assert_array_equal(np.isfinite(results[label]), finite)
        difference = np.abs(results[label] - expected)[finite]
        allowed = TOLERANCE * np.abs(expected[finite])
        far = difference > allowed
        above += int(far.sum())
        count += far.size
        ratio = difference[far] / (allowed + limits[label][finite])[far]
        worst = max(worst, float(ratio.max(initial=0.0)))
    return above / count, worst


@pytest.mark.parametrize("record", FOLDERS, ids=lambda record: record.parent.name)
def test_same_as_onnxruntime(record: Path) -> None:
    """All orders, both spins, at the densities at which programs go wrong."""
    spec = load_spec(record.parent)
    for name, spin in spec.graphs:
        opened = tape.Tape(tape.content(spec, name, spin))
        rare, worst = compare(spec, variables.ORDERS.index(name), spin, opened)
        assert rare < RARE[record.parent in NETWORKS]
        assert worst < (SHARE_OF_BOUNDED if record.parent in BOUNDED else SHARE_OF_BOUND)


@pytest.mark.parametrize("collection", ["nagai2020", "pcnn", "xcdiff"])
def test_published_same_as_onnxruntime(collection: str, converted_folder: Path) -> None:
    """Functionals of others: textbook energies in them, and third derivatives of many layers, show
    rounding as clones do; the bound of what rounding can do holds for each value all the same."""
    for record in sorted(prepared(collection, converted_folder).glob("*/model.json")):
        spec = load_spec(record.parent)
        for name, spin in spec.graphs:
            opened = tape.Tape(tape.content(spec, name, spin))
            rare, worst = compare(spec, variables.ORDERS.index(name), spin, opened)
            assert rare < RARE[False], (record.parent.name, name, spin)
            assert worst < SHARE_OF_BOUND, (record.parent.name, name, spin)


@pytest.fixture(scope="module")
def spec() -> FunctionalSpec:
    functional_spec = registry.find("NN-metaGGA").spec
    assert functional_spec is not None
    return functional_spec


def densities(spec: FunctionalSpec, n: int) -> dict[str, Array]:
    inputs = sample.moderate(spec.variables, n, 1)
    return density.clamp(inputs, spec.thresholds, spec.enforce_fhc)[0]


@pytest.mark.parametrize("order", ["exc", "vxc", "fxc"])
def test_points_do_not_see_each_other(spec: FunctionalSpec, order: str) -> None:
    """Alone, in blocks of any size, in one call: the same bits."""
    opened = tape.Tape(tape.content(spec, order))
    inputs = densities(spec, 150)
    whole = opened.run(inputs)
    for size in (1, 7, 8, 63, 64, 65, 149):
        for first in range(0, 150, size):
            part = {name: array[first : first + size] for name, array in inputs.items()}
            for label, values in opened.run(part).items():
                np.testing.assert_array_equal(values, whole[label][first : first + size])


@pytest.mark.parametrize("record", FOLDERS, ids=lambda record: record.parent.name)
def test_neither_order_nor_single_points_change_bits(
    record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = load_spec(record.parent)
    program = rows.program(onnx_file.read(graphs.verify(spec, "vxc", 2)))
    inputs = corpus(spec, 10, 2)
    opened = tape.Tape(writer.tape(program))
    whole = opened.run(inputs)
    monkeypatch.setattr(schedule, "LONG", 1)
    with_few_rows = tape.Tape(writer.tape(program)).run(inputs)
    monkeypatch.setattr(writer, "scheduled", lambda steps: steps)
    unordered = tape.Tape(writer.tape(program)).run(inputs)
    for label, values in whole.items():
        np.testing.assert_array_equal(unordered[label], values)
        np.testing.assert_array_equal(with_few_rows[label], values)
    for i in range(0, len(inputs["rho"]), 3):
        single = opened.run({name: array[i : i + 1] for name, array in inputs.items()})
        for label, values in whole.items():
            np.testing.assert_array_equal(single[label], values[i : i + 1])


def test_single_points_of_several_tapes_in_turns(spec: FunctionalSpec) -> None:
    """A thread's memory holds the constants of one tape at a time."""
    inputs = densities(spec, 9)
    opened = [tape.Tape(tape.content(spec, order)) for order in ("exc", "vxc", "fxc")]
    expected = [each.run(inputs) for each in opened]
    for i in range(9):
        point = {name: array[i : i + 1] for name, array in inputs.items()}
        for each, whole in zip(opened, expected, strict=True):
            for _ in range(2):
                for label, values in each.run(point).items():
                    np.testing.assert_array_equal(values, whole[label][i : i + 1])
        opened[i % 3].run(inputs)


def test_sixteen_threads(spec: FunctionalSpec) -> None:
    opened = tape.Tape(tape.content(spec, "vxc"))
    inputs = densities(spec, 3000)
    expected = opened.run(inputs)
    with ThreadPoolExecutor(16) as pool:
        for results in pool.map(lambda _: opened.run(inputs), range(48)):
            for label, values in results.items():
                np.testing.assert_array_equal(values, expected[label])


def test_instructions_agree(spec: FunctionalSpec, tmp_path: Path) -> None:
    """The portable ones, those of AVX2 and this machine's differ by rounding only."""
    np.savez(tmp_path / "inputs.npz", **densities(spec, 100))  # type: ignore[arg-type]
    code = (
        "import sys, numpy as np; from xcnet import registry, tape;"
        "spec = registry.find('NN-metaGGA').spec;"
        "found = tape.Tape(tape.content(spec, 'vxc')).run(dict(np.load(sys.argv[1])));"
        "np.savez(sys.argv[2], **found); print(tape.instructions())"
    )
    results: dict[str, dict[str, Array]] = {}
    for name in ("portable", "avx2", ""):
        file = tmp_path / f"outputs{name}.npz"
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "inputs.npz"), str(file)],
            env={**os.environ, "XCNET_INSTRUCTIONS": name},
            capture_output=True,
            text=True,
            check=True,
        )
        if done.stdout.strip() == name or not name:  # not every machine has AVX2
            results[name] = dict(np.load(file))
    for outputs in results.values():
        for label, values in outputs.items():
            np.testing.assert_allclose(values, results[""][label], rtol=1e-11, atol=1e-14)


# -- operators ------------------------------------------------------------------------------------

SPECIAL = [np.nan, 0.0, -0.0, np.inf, -np.inf, 1.0, -1.0, 2.5, -2.5, 5e-324, -1e-310, 2.2e-308]
SPECIAL += [1e300, -1e300, 709.0, 710.0, -708.0, -745.0, -746.0, 1.0 - 2.0**-53, 1.0 + 2.0**-52]
SPECIAL += [*np.linspace(-3.0, 3.0, 21).tolist(), 1e-30, 1e30]
UNARY = ["Abs", "Exp", "Log", "Neg", "Reciprocal", "Sigmoid", "Sign", "Sqrt", "Tanh"]
BINARY = ["Add", "Div", "Max", "Min", "Mul", "Pow", "Sub"]
#: ONNX Runtime's own functions are off by up to three units in the last place.
ULPS = 4.0 * 2.0**-52


def evaluate(nodes: list[onnx.NodeProto], x: Array, **constants: object) -> tuple[Array, Array]:
    """Results (N, 1) of a graph of x (N, 1), by ONNX Runtime and by its tape."""
    made = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.DOUBLE, ["N", x.shape[1]])],
        [helper.make_tensor_value_info("y", TensorProto.DOUBLE, ["N", 1])],
        [numpy_helper.from_array(np.asarray(c, float), name) for name, c in constants.items()],
    )
    opset = [helper.make_opsetid("", graphs.OPSET)]
    content = helper.make_model(
        made, opset_imports=opset, ir_version=graphs.IR_VERSION
    ).SerializeToString()
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
    opened = tape.Tape(writer.tape(rows.program(onnx_file.read(content))))
    return session.run(["y"], {"x": x})[0], opened.run({"x": x})["y"]


def same(expected: Array, values: Array) -> None:
    np.testing.assert_array_equal(np.isnan(values), np.isnan(expected))
    np.testing.assert_array_equal(np.isinf(values), np.isinf(expected))
    np.testing.assert_allclose(values, expected, rtol=ULPS, atol=5e-324)


@pytest.mark.parametrize("operator", UNARY)
def test_functions_of_special_numbers(operator: str) -> None:
    x = np.array(SPECIAL)[:, None]
    same(*evaluate([helper.make_node(operator, ["x"], ["y"])], x))


@pytest.mark.parametrize("operator", BINARY)
def test_pairs_of_special_numbers(operator: str) -> None:
    pairs = np.array([(a, b) for a in SPECIAL for b in SPECIAL])
    split = helper.make_node("Split", ["x"], ["a", "b"], axis=1)
    same(*evaluate([split, helper.make_node(operator, ["a", "b"], ["y"])], pairs))


@pytest.mark.parametrize("operator", ["Greater", "GreaterOrEqual"])
def test_comparisons_of_special_numbers(operator: str) -> None:
    pairs = np.array([(a, b) for a in SPECIAL for b in SPECIAL])
    nodes = [
        helper.make_node("Split", ["x"], ["a", "b"], axis=1),
        helper.make_node(operator, ["a", "b"], ["mask"]),
        helper.make_node("Where", ["mask", "a", "two"], ["y"]),
    ]
    same(*evaluate(nodes, pairs, two=2.0))


@pytest.mark.parametrize("limits", [("low",), ("", "high"), ("low", "high")])
def test_clip_of_special_numbers(limits: tuple[str, ...]) -> None:
    """ONNX Runtime makes infinities the largest numbers where a limit is left out."""
    constants = {name: value for name, value in (("low", 0.5), ("high", 1.5)) if name in limits}
    node = helper.make_node("Clip", ["x", *limits], ["y"])
    same(*evaluate([node], np.array(SPECIAL)[:, None], **constants))


def test_accuracy_of_functions() -> None:
    """The C library's own results at nearly all numbers, and never a unit further off."""
    rng = np.random.default_rng(0)
    x = np.exp(rng.uniform(-80.0, 80.0, (20_000, 1)))
    for exponent in (1.0 / 3.0, -1.0 / 6.0, 0.7, -2.5):
        nodes = [helper.make_node("Pow", ["x", "e"], ["y"])]
        _, powers = evaluate(nodes, x, e=exponent)
        np.testing.assert_allclose(powers, x**exponent, rtol=2.0**-52)
        assert (powers == x**exponent).mean() > 0.9


def test_points_first_and_points_last(spec: FunctionalSpec) -> None:
    """Layers may be written either way round."""
    rng = np.random.default_rng(1)
    weights, x = rng.normal(size=(3, 1)), rng.normal(size=(50, 3))
    same(*evaluate([helper.make_node("MatMul", ["x", "w"], ["y"])], x, w=weights))
    turned = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0]),
        helper.make_node("Gemm", ["w", "t", "b"], ["z"]),
        helper.make_node("Transpose", ["z"], ["y"], perm=[1, 0]),
    ]
    same(*evaluate(turned, x, w=weights.T, b=[[0.5]]))


# -- files ----------------------------------------------------------------------------------------


def sealed(content: bytes) -> bytes:
    """Bytes with the hash that they should have."""
    return content + hashlib.sha256(content).digest()


def test_damaged_tapes_are_refused(spec: FunctionalSpec) -> None:
    content = tape.content(spec, "exc")
    for at in range(0, len(content), 97):
        damaged = bytearray(content)
        damaged[at] ^= 1
        with pytest.raises(NativeError, match="refused"):
            tape.Tape(bytes(damaged))
    for size in (0, 1, 31, 32, 100, len(content) - 1):
        with pytest.raises(NativeError, match="refused"):
            tape.Tape(content[:size])


def test_hostile_tapes_read_and_write_nothing_else(spec: FunctionalSpec) -> None:
    """Words changed and the hash made to fit: a refusal, or some number, and no crash."""
    body = tape.content(spec, "exc")[: -writer.HASH_BYTES]
    rng = np.random.default_rng(0)
    inputs, refused = densities(spec, 9), 0
    values = np.array([0, 1, 2, 7, 255, 4095, 65535, 2**31 - 1, 2**32 - 1, 2**32 - 2])
    for _ in range(3000):
        words = np.frombuffer(body, "<u4").copy()
        for _ in range(rng.integers(1, 4)):
            at = rng.integers(len(words))
            words[at] = rng.choice([rng.choice(values), rng.integers(0, 300)])
        try:
            opened = tape.Tape(sealed(words.tobytes()))
        except NativeError:
            refused += 1
            continue
        if dict(opened.inputs) == {"rho": 2, "sigma": 3, "tau": 2}:
            opened.run(inputs)
    assert refused > 300


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Program that evaluates tapes, whole and damaged, under the sanitizers."""
    folder = tmp_path_factory.mktemp("sanitized")
    flags = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-ffp-contract=off")
    wider = {"avx2": ("-mavx2", "-mfma"), "avx512": ("-mavx512f", "-mavx512dq", "-mavx512vl")}
    objects = []
    for source in [*sorted(SOURCES.glob("tape*.c")), SOURCES / "workspace.c", SOURCES / "sha256.c"]:
        words = source.stem.split("_")
        extra = wider.get(words[-1], ()) if platform.machine() == "x86_64" else ()
        extra = (*extra, "-mfma") if words[-1] == "avx512" and extra else extra
        objects.append(compile_c(folder / f"{source.stem}.o", *flags, *extra, "-c", str(source)))
    main = str(PROGRAMS / "tape.c")
    return compile_c(folder / "tape", *flags, main, *map(str, objects), "-lm", "-pthread")


@pytest.mark.parametrize("instructions", ["", "avx2", "portable"])
def test_sanitized(spec: FunctionalSpec, driver: Path, tmp_path: Path, instructions: str) -> None:
    """No access outside arrays and no undefined behaviour, at every kind of density."""
    for name, spin in (("vxc", 2), ("vxc", 1), ("fxc", 2)):
        inputs = corpus(spec, 100, spin)
        (tmp_path / "tape").write_bytes(tape.content(spec, name, spin))
        (tmp_path / "densities").write_bytes(b"".join(a.tobytes() for a in inputs.values()))
        done = subprocess.run(
            [driver, tmp_path / "tape", tmp_path / "densities", "300"],
            env={**os.environ, "XCNET_INSTRUCTIONS": instructions},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert int(done.stdout.split()[0]) > 20


def test_kept_tape_that_is_damaged_is_made_again(
    spec: FunctionalSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = tape.content(spec, "exc")
    path = tape.file(spec, "exc")
    assert path.read_bytes() == made
    path.write_bytes(made[:-1] + b"?")
    assert tape.content(spec, "exc") == made
    assert path.read_bytes() == made


def test_folder_that_cannot_be_written(
    spec: FunctionalSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = tape.content(spec, "exc")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert tape.content(spec, "exc") == expected


# -- choice ---------------------------------------------------------------------------------------


def test_engine_by_name(spec: FunctionalSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    assert engine.choose(spec, 1).engine == engine.TAPE
    inputs = densities(spec, 10)
    by_tape = engine.run(spec, 1, inputs)
    monkeypatch.setenv(engine.ENGINE_VARIABLE, engine.RUNTIME)
    assert engine.choose(spec, 1) == (engine.RUNTIME, "XCNET_ENGINE says so")
    by_runtime = engine.run(spec, 1, inputs)
    for label, values in by_tape.items():
        # Of sums that cancel, as where one spin is nearly alone, only the terms agree to 1e-12.
        np.testing.assert_allclose(values, by_runtime[label], rtol=1e-12, atol=1e-18)
    monkeypatch.setenv(engine.ENGINE_VARIABLE, "quick")
    with pytest.raises(InputError, match="neither"):
        engine.choose(spec, 1)


def test_no_library(spec: FunctionalSpec, tmp_path: Path) -> None:
    """Without the C library Python goes on with ONNX Runtime, and says why."""
    code = (
        "from xcnet import engine, registry;"
        "print(*engine.choose(registry.find('NN-metaGGA').spec, 1), sep=': ')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "XCNET_LIBRARY": str(tmp_path / "absent.so")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("onnxruntime: the C library cannot be used: XCNET_LIBRARY=")


def test_wide_networks_go_to_onnxruntime(
    spec: FunctionalSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "MOST_MULTIPLY_ADDS", 1000)
    engine._evaluator.cache_clear()
    try:
        assert engine.choose(spec, 1).engine == engine.RUNTIME
        assert engine.choose(spec, 0).engine == engine.TAPE
    finally:
        engine._evaluator.cache_clear()
