"""What evaluates a graph: its tape in C, or ONNX Runtime; chunks of points spread over threads.

One choice for all hosts (`choose`). The only module that imports onnxruntime. Tapes and sessions
are opened once per process and run on the thread that calls them, so several chunks run at once,
and results do not depend on the number of threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from xcnet import graphs, tape, variables
from xcnet.errors import EngineError, InputError, MissingPackageError, ModelError, NativeError
from xcnet.spec import FunctionalSpec

Array = npt.NDArray[np.float64]

#: Points per run of a graph, by spin: the intermediate arrays of one chunk stay in the cache.
CHUNK = {variables.POLARIZED: 2048, variables.UNPOLARIZED: 4096}
#: The same for third derivatives, whose many cheap nodes cost more to start than to compute.
LARGE_CHUNK = 8192
#: Where arrays lie, as ONNX Runtime says it: kind and number of the device.
HOST = ("cpu", 0)
CUDA = "CUDAExecutionProvider"
THREADS_VARIABLE = "XCNET_NUM_THREADS"
#: Names the engine in place of the rule of `choose`.
ENGINE_VARIABLE = "XCNET_ENGINE"
TAPE, RUNTIME = "tape", "onnxruntime"
#: Multiply-adds per point in matrix products from which on ONNX Runtime is as fast as a tape.
MOST_MULTIPLY_ADDS = 100_000

_threads: int | None = None


def num_threads() -> int:
    """Threads used: ``set_num_threads``, else XCNET_NUM_THREADS, OMP_NUM_THREADS, or all cores."""
    if _threads is not None:
        return _threads
    for name in (THREADS_VARIABLE, "OMP_NUM_THREADS"):
        text = os.environ.get(name, "").split(",")[0].strip()
        if text.isdecimal() and int(text) > 0:
            return int(text)
        if text and name == THREADS_VARIABLE:
            raise InputError(
                f"{THREADS_VARIABLE}={text!r} is not a positive number of threads",
                argument=THREADS_VARIABLE,
                given=text,
            )
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def set_num_threads(threads: int | None) -> None:
    """Set the number of threads of this process; None returns to the environment's choice."""
    global _threads
    if threads is not None and (not isinstance(threads, int) or threads < 1):
        raise InputError(
            f"the number of threads must be a positive integer, not {threads!r}",
            argument="threads",
            given=threads,
        )
    _threads = threads


class Choice(NamedTuple):
    """Engine of a graph, `TAPE` or `RUNTIME`, and why."""

    engine: str
    reason: str


def choose(spec: FunctionalSpec, order: int, spin: int = variables.POLARIZED) -> Choice:
    """Engine that evaluates a graph on this machine's processors.

    A tape unless the C library is missing, the graph has something that tapes do not have, or its
    matrix products are so large that ONNX Runtime is as fast (``xcnet bench engines`` measures
    both). XCNET_ENGINE decides otherwise.

    Raises
    ------
    ModelError
        The graph is refused.
    InputError
        XCNET_ENGINE names no engine.
    """
    return _evaluator(spec, order, spin, wish())[0]


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
    spec: FunctionalSpec, order: int, spin: int, wish: str
) -> tuple[Choice, tape.Tape | None]:
    """Choice for a graph, and its tape if that is chosen."""
    if wish == RUNTIME:
        return Choice(RUNTIME, f"{ENGINE_VARIABLE} says so"), None
    try:
        opened = tape.Tape(tape.content(spec, variables.ORDERS[order], spin))
    except ModelError:
        raise
    except NativeError as error:
        return Choice(RUNTIME, f"the C library cannot be used: {error}"), None
    except ValueError as error:
        return Choice(RUNTIME, f"its graph has no tape: {error}"), None
    size = f"{opened.multiply_adds} multiply-adds per point in matrix products"
    if opened.multiply_adds > MOST_MULTIPLY_ADDS and wish != TAPE:
        return Choice(RUNTIME, f"{size}, more than {MOST_MULTIPLY_ADDS}"), None
    return Choice(TAPE, f"{size}, at most {MOST_MULTIPLY_ADDS}"), opened


def run(
    spec: FunctionalSpec, order: int, inputs: Mapping[str, Array], spin: int = variables.POLARIZED
) -> dict[str, Array]:
    """Evaluate the graph of one derivative order on validated variables.

    Parameters
    ----------
    spec : FunctionalSpec
        The functional.
    order : int
        Highest derivative order wanted; lower ones come with it.
    inputs : mapping
        (N, k) float64 arrays of ``spec.variables``, clamped, N > 0.
    spin : int
        2: spin-resolved variables; 1: those of closed shells, for which the functional has graphs.

    Returns
    -------
    dict
        Label -> (N, width) float64, ``zk`` per particle, derivatives of n*zk.
    """
    if not isinstance(inputs[spec.variables[0]], np.ndarray):
        return run_in_place(spec, order, inputs, spin)
    opened = _evaluator(spec, order, spin, wish())[1]
    return opened.run(inputs) if opened else run_session(spec, order, inputs, spin)


def run_session(
    spec: FunctionalSpec, order: int, inputs: Mapping[str, Array], spin: int = variables.POLARIZED
) -> dict[str, Array]:
    """Evaluate by ONNX Runtime, the reference, whatever is chosen. See `run`."""
    session, names = _session(spec, order, spin, HOST)
    feed = {name: inputs[name] for name in spec.variables}
    try:
        results: Sequence[Array] = session.run(names, feed)
    except Exception as error:
        raise _failed(spec, order, spin, error) from error
    return dict(zip(names, results, strict=True))


def run_in_place(
    spec: FunctionalSpec, order: int, inputs: Mapping[str, Any], spin: int = variables.POLARIZED
) -> dict[str, Any]:
    """Evaluate a graph where its inputs lie: arrays of cupy on their CUDA device, or of numpy.

    Inputs and outputs are bound by address; nothing is copied between device and host. On a
    device this needs the package onnxruntime-gpu. See `run`.
    """
    feed = {name: inputs[name] for name in spec.variables}
    feed = {name: x if x.flags.c_contiguous else x.copy() for name, x in feed.items()}
    first = feed[spec.variables[0]]
    on_host = isinstance(first, np.ndarray)
    place = HOST if on_host else ("cuda", int(first.device.id))
    session, names = _session(spec, order, spin, place)
    results = {
        label: np.empty_like(first, shape=(len(first), variables.width(label, spin)))
        for label in names
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
        raise _failed(spec, order, spin, error) from error
    binding.synchronize_outputs()
    return results


def _failed(spec: FunctionalSpec, order: int, spin: int, error: Exception) -> EngineError:
    # ONNX Runtime raises its own hierarchy, derived from Exception alone.
    filename = spec.graphs[variables.ORDERS[order], spin]
    return EngineError(
        f"{spec.name}: ONNX Runtime failed on {filename}: {error}",
        functional=spec.name,
    )


def chunk(flags: Sequence[bool], spin: int) -> int:
    """Points per run of a graph that gives the derivative orders whose flag is set."""
    return LARGE_CHUNK if any(flags[3:]) else CHUNK[spin]


def for_each_chunk(points: int, chunk: int, work: Callable[[slice], None]) -> None:
    """Call ``work`` on slices that cover ``points``, in parallel where it pays."""
    if points <= chunk:
        work(slice(0, points))
        return
    slices = [slice(i, min(i + chunk, points)) for i in range(0, points, chunk)]
    threads = min(num_threads(), len(slices))
    if threads < 2:
        for part in slices:
            work(part)
        return
    # A pool per call: starting threads costs 0.1 ms against milliseconds of work, and nothing
    # is left over that a fork could break.
    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(work, part) for part in slices]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


@lru_cache(maxsize=64)
def _session(
    spec: FunctionalSpec, order: int, spin: int, place: tuple[str, int]
) -> tuple[Any, tuple[str, ...]]:
    return _open(spec, order, spin, place)


# A session copied by fork holds locks of threads that are gone; the child opens its own.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_session.cache_clear)


def _open(
    spec: FunctionalSpec, order: int, spin: int, place: tuple[str, int]
) -> tuple[Any, tuple[str, ...]]:
    name = variables.ORDERS[order]
    content = graphs.verify(spec, name, spin)
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
        session = onnxruntime.InferenceSession(content, sess_options=options, providers=providers)
    except Exception as error:
        file = str(spec.folder / spec.graphs[name, spin])
        raise EngineError(
            f"{spec.name}: {file} is not a graph that ONNX Runtime {onnxruntime.__version__} "
            f"can load: {error}",
            functional=spec.name,
            file=file,
        ) from error
    labels = tuple(variables.requested_labels(spec.variables, [True] * (order + 1)))
    return session, labels
