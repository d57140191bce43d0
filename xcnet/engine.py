"""What evaluates a graph: its tape in C, or ONNX Runtime.

One choice for all hosts (`choose`). The only module that imports onnxruntime. Tapes and sessions
are opened once per process and run on the thread that calls them, so several chunks run at once,
and results do not depend on the number of threads.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from xcnet import graphs, tape, variables
from xcnet.errors import EngineError, InputError, MissingPackageError, ModelError, NativeError
from xcnet.spec import FunctionalSpec, Signature
from xcnet.threads import for_each_chunk as for_each_chunk
from xcnet.threads import num_threads as num_threads
from xcnet.threads import set_num_threads as set_num_threads

Array = npt.NDArray[np.float64]

#: Points per run of a graph, by spin: the intermediate arrays of one chunk stay in the cache.
CHUNK = {variables.POLARIZED: 2048, variables.UNPOLARIZED: 4096}
#: The same for third derivatives, whose many cheap nodes cost more to start than to compute.
LARGE_CHUNK = 8192
#: Intermediate results of one run of a graph: wide networks get fewer points, 256 MB at most.
MOST_VALUES = 1 << 25
#: Where arrays lie, as ONNX Runtime says it: kind and number of the device.
HOST = ("cpu", 0)
CUDA = "CUDAExecutionProvider"
#: Names the engine in place of the rule of `choose`.
ENGINE_VARIABLE = "XCNET_ENGINE"
TAPE, RUNTIME = "tape", "onnxruntime"
NAMES = {TAPE: "its tape", RUNTIME: "ONNX Runtime"}
#: Multiply-adds per point in matrix products up to which tapes were measured to be faster
#: (benchmarks/results/evaluator.md: 0.5 of ONNX Runtime's time at 3 x 100, 0.9 at 3 x 600).
MOST_MULTIPLY_ADDS = 750_000


class Choice(NamedTuple):
    """Engine of a graph, `TAPE` or `RUNTIME`, and why."""

    engine: str
    reason: str


def choose(
    spec: FunctionalSpec, order: int, spin: int = variables.POLARIZED, of_channels: bool = False
) -> Choice:
    """Engine that evaluates a graph on this machine's processors.

    A tape unless the C library is missing, the graph has something that tapes do not have, or its
    matrix products are so large that ONNX Runtime is as fast (`benchmarks.evaluator` measures
    both). XCNET_ENGINE decides otherwise.

    Raises
    ------
    ModelError
        The graph is refused.
    InputError
        XCNET_ENGINE names no engine.
    """
    return _evaluator(spec, (variables.ORDERS[order], spin, of_channels), wish())[0]


def wish() -> str:
    """Engine that XCNET_ENGINE names; empty where none is named (InputError if there is none)."""
    wish = os.environ.get(ENGINE_VARIABLE, "")
    if wish not in ("", TAPE, RUNTIME):
        raise InputError(
            f"{ENGINE_VARIABLE}={wish!r} is neither {TAPE!r} nor {RUNTIME!r}",
            argument=ENGINE_VARIABLE,
            given=wish,
        )
    return wish


@lru_cache(maxsize=256)
def _evaluator(
    spec: FunctionalSpec, which: tuple[str, int, bool], wish: str
) -> tuple[Choice, tape.Tape | None]:
    """Choice for a graph, and its tape if that is chosen."""
    if wish == RUNTIME:
        return Choice(RUNTIME, f"{ENGINE_VARIABLE} says so"), None
    try:
        opened = tape.Tape(tape.content(spec, *which))
    except ModelError:
        raise
    except NativeError as error:
        return Choice(RUNTIME, f"the C library cannot be used: {error}"), None
    except ValueError as error:
        return Choice(RUNTIME, f"its graph has no tape: {error}"), None
    size = f"{opened.multiply_adds} multiply-adds per point"
    if opened.multiply_adds > MOST_MULTIPLY_ADDS and wish != TAPE:
        return Choice(RUNTIME, f"{size}, more than {MOST_MULTIPLY_ADDS}"), None
    return Choice(TAPE, size), opened


def run(
    spec: FunctionalSpec,
    order: int,
    inputs: Mapping[str, Array],
    spin: int = variables.POLARIZED,
    of_channels: bool = False,
) -> dict[str, Array]:
    """Evaluate the graph of one derivative order on validated variables.

    Parameters
    ----------
    spec : FunctionalSpec
        The functional.
    order : int
        Highest derivative order wanted; lower ones come with it.
    inputs : mapping
        (N, k) float64 arrays of the graph's inputs (`FunctionalSpec.signature`), clamped, N > 0.
    spin : int
        2: spin-resolved variables; 1: those of closed shells, for which the functional has graphs.
    of_channels : bool
        The graph of the first stage in place of the energy's.

    Returns
    -------
    dict
        Label -> (N, width) float64, ``zk`` per particle, derivatives of n*zk.
    """
    if not isinstance(inputs[spec.inputs[0]], np.ndarray):
        return run_in_place(spec, order, inputs, spin, of_channels)
    which = variables.ORDERS[order], spin, of_channels
    opened = _evaluator(spec, which, wish())[1]
    return opened.run(inputs) if opened else run_session(spec, order, inputs, spin, of_channels)


def run_part(
    spec: FunctionalSpec,
    part: str,
    inputs: Mapping[str, Array],
    spin: int,
    places: Mapping[str, Array] = tape.NOWHERE,
) -> dict[str, Array]:
    """Evaluate one of the graphs that hand hidden values over. See `run` and `spec.PARTS`.

    Outputs named in ``places`` are written there, into arrays in one piece.
    """
    which = part, spin, False
    opened = _evaluator(spec, which, wish())[1]
    if opened:
        return opened.run(inputs, places)
    outputs = _run_session(spec, which, inputs)
    for name, place in places.items():
        place[...] = outputs[name]
    return {**outputs, **places}


def run_session(
    spec: FunctionalSpec,
    order: int,
    inputs: Mapping[str, Array],
    spin: int = variables.POLARIZED,
    of_channels: bool = False,
) -> dict[str, Array]:
    """Evaluate by ONNX Runtime, the reference, whatever is chosen. See `run`."""
    return _run_session(spec, (variables.ORDERS[order], spin, of_channels), inputs)


def _run_session(
    spec: FunctionalSpec, which: tuple[str, int, bool], inputs: Mapping[str, Array]
) -> dict[str, Array]:
    session, signature = _session(spec, *which, HOST)
    names = tuple(signature.outputs)
    feed = {name: inputs[name] for name in signature.inputs}
    points = len(feed[spec.inputs[0]])
    size = max(1, MOST_VALUES // graphs.most_live(spec, *which))
    parts: list[Sequence[Array]] = []
    for start in range(0, points, size):
        part = {name: array[start : start + size] for name, array in feed.items()}
        try:
            parts.append(session.run(names, part))
        except Exception as error:
            raise _failed(spec, which, error) from error
    columns = parts[0] if len(parts) == 1 else map(np.concatenate, zip(*parts, strict=True))
    return dict(zip(names, columns, strict=True))


def run_in_place(
    spec: FunctionalSpec,
    order: int,
    inputs: Mapping[str, Any],
    spin: int = variables.POLARIZED,
    of_channels: bool = False,
) -> dict[str, Any]:
    """Evaluate a graph where its inputs lie: arrays of cupy on their CUDA device, or of numpy.

    Inputs and outputs are bound by address; nothing is copied between device and host. On a
    device this needs the package onnxruntime-gpu. See `run`.
    """
    which = variables.ORDERS[order], spin, of_channels
    first = inputs[spec.inputs[0]]
    on_host = isinstance(first, np.ndarray)
    place = HOST if on_host else ("cuda", int(first.device.id))
    session, signature = _session(spec, *which, place)
    feed = {name: inputs[name] for name in signature.inputs}
    feed = {name: x if x.flags.c_contiguous else x.copy() for name, x in feed.items()}
    first = feed[spec.inputs[0]]  # whose memory order results take over
    results = {
        label: np.empty_like(first, shape=(len(first), width))
        for label, width in signature.outputs.items()
    }
    binding = session.io_binding()
    for bind, arrays in ((binding.bind_input, feed), (binding.bind_output, results)):
        for name, array in arrays.items():
            address = array.ctypes.data if on_host else array.data.ptr
            bind(name, *place, np.float64, array.shape, address)
    if not on_host:
        first.device.synchronize()  # the session has a stream of its own
    try:
        session.run_with_iobinding(binding)
    except Exception as error:
        raise _failed(spec, which, error) from error
    binding.synchronize_outputs()
    return results


def _failed(spec: FunctionalSpec, which: tuple[str, int, bool], error: Exception) -> EngineError:
    # ONNX Runtime raises its own hierarchy, derived from Exception alone.
    return EngineError(
        f"{spec.name}: ONNX Runtime failed on {spec.graph(*which)}: {error}",
        functional=spec.name,
    )


def chunk(flags: Sequence[bool], spin: int) -> int:
    """Points per run of a graph that gives the derivative orders whose flag is set."""
    return LARGE_CHUNK if any(flags[3:]) else CHUNK[spin]


@lru_cache(maxsize=64)
def _session(
    spec: FunctionalSpec, order: str, spin: int, of_channels: bool, place: tuple[str, int]
) -> tuple[Any, Signature]:
    session = _open(spec, (order, spin, of_channels), place)
    return session, spec.signature(order, spin, of_channels)


# A session copied by fork holds locks of threads that are gone; the child opens its own.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_session.cache_clear)


def _open(spec: FunctionalSpec, which: tuple[str, int, bool], place: tuple[str, int]) -> Any:
    content = graphs.verify(spec, *which)
    # Without it newer versions start a thread that sends data to their makers.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingPackageError(
            "neural functionals need the package onnxruntime: pip install onnxruntime"
        ) from error
    providers: list[Any] = ["CPUExecutionProvider"]
    if place != HOST:
        if CUDA not in onnxruntime.get_available_providers():
            raise MissingPackageError(
                "neural functionals on a GPU need the package onnxruntime-gpu in place of "
                "onnxruntime: pip install onnxruntime-gpu",
                package="onnxruntime-gpu",
            )
        providers.insert(0, (CUDA, {"device_id": place[1]}))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Exported graphs are simplified already; rewritten once more they run 2 to 10 % slower.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        return onnxruntime.InferenceSession(content, sess_options=options, providers=providers)
    except Exception as error:
        file = str(spec.folder / spec.graph(*which))
        raise EngineError(
            f"{spec.name}: {file} is not a graph that ONNX Runtime {onnxruntime.__version__} "
            f"can load: {error}",
            functional=spec.name,
            file=file,
        ) from error
