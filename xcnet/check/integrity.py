"""A functional folder is whole, holds nothing foreign, and gives here what its maker saw."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import prod
from tokenize import TokenError

import numpy as np

from xcnet import engine, graphs, variables
from xcnet.check.results import FAIL, PASS, Result
from xcnet.density import Array
from xcnet.errors import ModelError, XCNetError
from xcnet.sample import closed_shell
from xcnet.spec import (
    ADJOINT,
    BACKWARD,
    CHANNELS,
    ENERGY,
    FORWARD,
    PARTS,
    REFERENCE,
    FunctionalSpec,
    load_spec,
)

#: Of the energy density, for value times inputs. The maker's machine may round sums of hundreds
#: of terms in another order.
TOLERANCE = 1e-12
#: Of the third derivatives, sums of many large terms of opposite signs.
TOLERANCE_THIRD = 1e-11
#: The same for a tape, by order: the evaluator in C rounds each function and sum in its own way,
#: which terms that cancel show enlarged (benchmarks/results/evaluator.md).
TOLERANCE_TAPE = (1e-10, 1e-10, 1e-10, 1e-8)
#: A reference vector has some dozen kB.
MAX_REFERENCE_BYTES = 1 << 22
#: Of the names of the first stage's arrays in a reference vector.
PREFIX = "channels."
#: What a file that is no reference vector raises, in zipfile and in here.
UNREADABLE = (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, NotImplementedError,
              zlib.error, RuntimeError, OverflowError, TokenError)  # fmt: skip


def check(spec: FunctionalSpec) -> Iterator[Result]:
    """Measure all that can be wrong with the folder itself."""
    yield _outcome("record: schema, no contradictions", lambda: load_spec(spec.folder))
    yield _outcome("files: all there, SHA-256, nothing else", spec.verify)
    for which in spec.all_graphs:
        order, spin, of_channels = which
        what = f"{order} of channels" if of_channels else order
        what = f"hidden values, {order}," if order in PARTS else what
        closed = " for closed shells" if spin == variables.UNPOLARIZED else ""
        yield _outcome(
            f"graph of {what}{closed}: operators, types, shapes",
            lambda which=which: graphs.verify(spec, *which),  # type: ignore[misc]
        )
    try:
        worst = self_test(spec)
    except XCNetError as error:
        yield Result("integrity", "reference vector", FAIL, limit=TOLERANCE, note=str(error))
        return
    limit = TOLERANCE_THIRD if spec.highest_order > 2 else TOLERANCE
    note = "largest difference, of the energy density"
    yield Result("integrity", "reference vector", PASS, worst, limit, note=note)


def inspect(spec: FunctionalSpec) -> None:
    """Read every file of a folder as far as that takes no runtime (ModelError)."""
    spec.verify()
    for which in spec.all_graphs:
        graphs.verify(spec, *which)
    _reference(spec)


def _outcome(name: str, action: Callable[[], object]) -> Result:
    try:
        action()
    except XCNetError as error:
        return Result("integrity", name, FAIL, note=str(error))
    return Result("integrity", name, PASS)


def self_test(spec: FunctionalSpec) -> float:
    """Run the graph of the highest order on the stored inputs; compare with the stored outputs.

    It is run by ONNX Runtime, and as a tape where that is what evaluates it. Each derivative is
    multiplied by the variables it was taken by and divided by the energy density, so that one
    tolerance serves points from a nucleus to the vacuum.

    Returns
    -------
    float
        The largest difference, by ONNX Runtime.

    Raises
    ------
    ModelError
        The reference vector is incomplete, or the graph gives something else.
    """
    stored = _reference(spec)
    inputs = {name: stored[name] for name in spec.variables}
    order = spec.highest_order
    allowed = (*[TOLERANCE] * 3, TOLERANCE_THIRD)
    worst = _compared(spec, stored, engine.run_session(spec, order, inputs), allowed)
    if engine.choose(spec, order).engine == engine.TAPE:
        _compared(spec, stored, engine.run(spec, order, inputs), TOLERANCE_TAPE)
    if spec.hidden:
        handed_over(spec, stored)
    return max(worst, _test_channels(spec, stored)) if spec.channels else worst


def _compared(
    spec: FunctionalSpec,
    stored: Mapping[str, Array],
    computed: Mapping[str, Array],
    tolerances: Sequence[float],
) -> float:
    """Largest difference from the stored outputs; ``tolerances`` by order."""
    inputs = {name: stored[name] for name in spec.variables}
    energy = np.abs(stored["zk"][:, 0] * inputs["rho"].sum(axis=1))
    worst = 0.0
    for label, values in computed.items():
        for i, factors in enumerate(variables.components(label, variables.POLARIZED)):
            unit = prod((np.abs(inputs[name][:, k]) for name, k in factors), start=1.0 / energy)
            scale = unit if factors else 1.0 / np.abs(stored["zk"][:, 0])
            difference = np.abs(values[:, i] - stored[label][:, i]) * scale
            allowed = tolerances[len(factors)]
            worst = max(worst, _accepted(spec, label, difference, allowed, "the energy density"))
    return worst


def _accepted(
    spec: FunctionalSpec, label: str, difference: Array, allowed: float, unit: str
) -> float:
    """Largest difference; ModelError if it is more than what is allowed."""
    if not difference.max() <= allowed:  # NaN counts as different
        raise ModelError(
            f"{spec.name}: {label} differs from its reference value by {difference.max():.1e} of "
            f"{unit} (allowed {allowed:.0e}), in {spec.folder}: the graph or the runtime on this "
            "machine is at fault",
            functional=spec.name,
            file=str(spec.folder / REFERENCE),
            label=label,
        )
    return float(difference.max())


def _test_channels(spec: FunctionalSpec, stored: Mapping[str, Array]) -> float:
    """The same for the first stage: the graph of the highest order, contracted with an adjoint."""
    computed = channel_values(spec, stored)
    whole = np.abs(stored[ADJOINT] * stored[f"{PREFIX}{CHANNELS}"]).sum(axis=1)
    return max(
        _accepted(
            spec,
            label,
            np.abs(values - stored[label]) / channel_scale(label, stored, whole),
            TOLERANCE,
            "the channels",
        )
        for label, values in computed.items()
    )


def channel_values(spec: FunctionalSpec, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Outputs of the first stage's graph of the highest order, as the reference vector holds them.

    `inputs` are the functional's and ``adjoint`` (N, c).
    """
    assert spec.channels is not None
    order = max(variables.ORDERS.index(order) for order, _ in spec.channels.graphs)
    values = engine.run(spec, order, inputs, of_channels=True)
    return {f"{PREFIX}{label}": value for label, value in values.items()}


def channel_scale(label: str, inputs: Mapping[str, Array], whole: Array) -> Array:
    """What an output of the first stage is measured by: (N, width) or (N, 1).

    Derivatives are sums over the channels; they are compared with a . p, `whole` (N,), in the units
    of their variables. Channels and their Jacobian are compared with 1 and that.
    """
    label = label.removeprefix(PREFIX)
    if label == CHANNELS:
        return np.ones((len(whole), 1))
    if label.endswith(ADJOINT):
        name = label.removesuffix(ADJOINT).removeprefix("v2")
        return np.asarray(1.0 / np.abs(inputs[name]).min(axis=1, keepdims=True))
    spin = inputs["rho"].shape[1]
    units = [
        prod((np.abs(inputs[name][:, k]) for name, k in factors), start=np.ones(len(whole)))
        for factors in variables.components(label, spin)
    ]
    return np.asarray((1.0 + whole[:, None]) / np.stack(units, axis=1))


def handed_over(spec: FunctionalSpec, stored: Mapping[str, Array]) -> None:
    """Compare the graphs that hand hidden values over with those that do not (ModelError)."""
    assert spec.hidden is not None
    named = {name: stored[name] for name in spec.variables}
    totals, _ = closed_shell(named)
    for spin in spec.hidden.widths:
        inputs = named if spin == variables.POLARIZED else totals
        inputs = {**inputs, ADJOINT: stored[ADJOINT]}
        whole = engine.run(spec, 1, inputs, spin)
        first = engine.run(spec, 1, inputs, spin, of_channels=True)
        for label in first.keys() & whole.keys():
            whole[label] = whole[label] + first[label]
        computed = _in_parts(spec, inputs, spin)
        energy = np.abs(whole["zk"][:, 0] * inputs["rho"].sum(axis=1))
        scale = energy + np.abs(inputs[ADJOINT] * first[CHANNELS]).sum(axis=1)
        for label, values in {**whole, CHANNELS: first[CHANNELS]}.items():
            unit = np.abs(values) if label == "zk" else np.ones((len(values), 1))
            if label.startswith("v"):
                unit = scale[:, None] / np.abs(inputs[label[1:]])
            difference = np.abs(computed[label] - values) / unit
            unit_name = "the graphs that hand nothing over"
            _accepted(spec, f"{label}, spin {spin},", difference, TOLERANCE_TAPE[1], unit_name)


def _in_parts(spec: FunctionalSpec, inputs: Mapping[str, Array], spin: int) -> dict[str, Array]:
    """Energy, channels and the derivatives of both together, with hidden values handed over."""
    forward = engine.run_part(spec, FORWARD, inputs, spin)
    energy = engine.run_part(spec, ENERGY, {**inputs, **forward}, spin)
    slopes = engine.run_part(spec, BACKWARD, {**inputs, **forward, **energy}, spin)
    total = {label: energy[label] + value for label, value in slopes.items()}
    return {CHANNELS: forward[CHANNELS], **energy, **total}


def reference_widths(spec: FunctionalSpec) -> dict[str, int]:
    """Arrays of the reference vector, with the numbers of their components."""
    last = variables.ORDERS[spec.highest_order], variables.POLARIZED
    whole = spec.signature(*last)
    result = {**whole.inputs, **whole.outputs}
    if spec.channels is not None:
        orders = [order for order, spin in spec.channels.graphs if spin == variables.POLARIZED]
        highest = max(orders, key=variables.ORDERS.index)
        first = spec.signature(highest, variables.POLARIZED, of_channels=True)
        result[ADJOINT] = spec.channels.width
        result |= {f"{PREFIX}{label}": width for label, width in first.outputs.items()}
    return result


def _reference(spec: FunctionalSpec) -> dict[str, Array]:
    try:
        return arrays(spec.read(REFERENCE), reference_widths(spec))
    except UNREADABLE as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(
            f"{spec.name}: {spec.folder / REFERENCE} is not a reference vector: {error}",
            functional=spec.name,
            file=str(spec.folder / REFERENCE),
        ) from error


def arrays(data: bytes, wanted: Mapping[str, int]) -> dict[str, Array]:
    """Arrays of an npz file; what it claims is compared with its size before it is believed."""
    if len(data) > MAX_REFERENCE_BYTES:
        raise ValueError(f"{len(data)} bytes are more than {MAX_REFERENCE_BYTES}")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
        if sum(sizes.values()) > MAX_REFERENCE_BYTES:
            raise ValueError(f"its arrays have more than {MAX_REFERENCE_BYTES} bytes")
        missing = [name for name in wanted if f"{name}.npy" not in sizes]
        if missing:
            raise ValueError(f"it lacks {', '.join(missing)}")
        stored = {name: _array(archive.read(f"{name}.npy"), name) for name in wanted}
    points = len(stored["rho"])
    for name, array in stored.items():
        if array.shape != (points, wanted[name]) or not points:
            raise ValueError(f"{name} has the shape {array.shape}")
    return stored


def _array(content: bytes, name: str) -> Array:
    stream = io.BytesIO(content)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError(f"{name} has an unknown version of the format")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    rest = content[stream.tell() :]
    if fortran or dtype != np.float64 or prod(shape) * dtype.itemsize != len(rest):
        raise ValueError(f"{name} is not a float64 array of the size that it claims: {shape}")
    return np.frombuffer(rest, dtype=np.float64).reshape(shape)
