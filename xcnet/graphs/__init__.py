"""ONNX graphs of functional folders, checked before a runtime sees them.

`verify` reads a file that may be hostile, within bounds of its own size, and refuses everything
that an exported functional does not need: other operators, other types, data in other files,
results whose size is not fixed by the number of points. The reader needs the standard library
only.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from weakref import WeakKeyDictionary

from xcnet import variables
from xcnet.errors import ModelError
from xcnet.graphs import model as onnx_file
from xcnet.graphs.model import DOUBLE, Model
from xcnet.graphs.shapes import OPERATORS, POINTS, Value, results
from xcnet.spec import FunctionalSpec, Signature

__all__ = ["IR_VERSION", "MAX_LIVE", "OPERATORS", "OPSET", "revision", "verify"]

OPSET = 17
IR_VERSION = 8
#: Most values per point that are needed at the same time; the largest published graph, second
#: derivatives of six layers of 256 by eleven variables, needs 41,000.
MAX_LIVE = 49_152
_KINDS = {onnx_file.DOUBLE: "d", onnx_file.INT64: "i"}


#: Orders, spins and stages of each functional whose graph was found to be good, and how many values
#: per point each needs at the same time.
_good: WeakKeyDictionary[FunctionalSpec, dict[tuple[str, int, bool], int]] = WeakKeyDictionary()


def verify(
    spec: FunctionalSpec, order: str, spin: int = variables.POLARIZED, of_channels: bool = False
) -> bytes:
    """Content of the graph file of one derivative order, hashed and checked.

    Parameters
    ----------
    spec : FunctionalSpec
        The functional.
    order : str
        ``exc``, ``vxc``, ``fxc`` or ``kxc``.
    spin : int
        2, or 1 for the graph of closed shells.
    of_channels : bool
        Of the first stage, in place of the energy.

    Raises
    ------
    ModelError
        The file is not the record's, or holds anything that a graph of this record may not.
    """
    filename = spec.graph(order, spin, of_channels)
    content = spec.read(filename)
    if (order, spin, of_channels) in _good.get(spec, {}):
        return content  # the same bytes, as its hash has just shown
    try:
        graph = onnx_file.read(content)
        _check_versions(graph)
        _check_metadata(graph)
        _check_signature(graph, spec.signature(order, spin, of_channels))
        live = live_values(graph, walk(graph))
    except ValueError as error:  # UnicodeDecodeError too
        raise ModelError(
            f"{spec.name}: {spec.folder / filename} is refused: {error}",
            functional=spec.name,
            file=str(spec.folder / filename),
        ) from error
    _good.setdefault(spec, {})[order, spin, of_channels] = live
    return content


def most_live(
    spec: FunctionalSpec, order: str, spin: int = variables.POLARIZED, of_channels: bool = False
) -> int:
    """Values per point that a graph needs at the same time. See `verify`."""
    which = order, spin, of_channels
    if which not in _good.get(spec, {}):
        verify(spec, *which)
    return _good[spec][which]


@cache
def revision() -> str:
    """Hash of the code that verifies, which stands for it where a result is kept."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()


def _check_versions(graph: Model) -> None:
    if graph.ir_version != IR_VERSION or graph.opsets != [("", OPSET)]:
        raise ValueError(
            f"ONNX version {graph.ir_version} with the operator sets {graph.opsets[:4]}; "
            f"functionals have version {IR_VERSION} and ONNX's own operators, set {OPSET}"
        )


def _check_metadata(graph: Model) -> None:
    if graph.metadata:
        raise ValueError(
            f"it has metadata ({', '.join(sorted(graph.metadata)[:3])}): what is to be said of a "
            "functional stands in its record alone. `xcnet models seal FOLDER` removes them from a "
            "folder of your own"
        )


def _check_signature(graph: Model, signature: Signature) -> None:
    """Inputs and outputs must be what the record promises."""
    for what, tensors, sizes in (
        ("inputs", graph.inputs, signature.inputs),
        ("outputs", graph.outputs, signature.outputs),
    ):
        declared = [(t.name, t.kind, t.shape) for t in tensors]
        wanted = [(name, DOUBLE, (None, size)) for name, size in sizes.items()]
        if sorted(declared, key=str) != sorted(wanted, key=str):
            raise ValueError(
                f"its {what} are not those of the record, float64 arrays {', '.join(sizes)}: "
                f"{', '.join(f'{t.name!r} {t.shape}' for t in tensors[:20])}"
            )


def walk(graph: Model) -> dict[str, Value]:
    """Type and shape of every result; ValueError for what does not fit or is too large."""
    values: dict[str, Value] = {}
    for constant in graph.constants:
        numbers = None
        if constant.kind == onnx_file.INT64 and len(constant.shape) == 1:
            numbers = struct.unpack(f"<{constant.shape[0]}q", constant.content)
        _define(values, constant.name, Value(_KINDS[constant.kind], constant.shape, numbers))
    for tensor in graph.inputs:
        shape = tuple(POINTS if size is None else size for size in tensor.shape)
        _define(values, tensor.name, Value("d", shape))
    for node in graph.nodes:
        operands: list[Value | None] = []
        for name in node.inputs:
            if name and name not in values:
                raise ValueError(
                    f"{node.operator} uses {name!r} before anything gives it: a cycle, or a "
                    "result that is missing"
                )
            operands.append(values[name] if name else None)
        outputs = results(node, operands)
        if len(outputs) != len(node.outputs):
            raise ValueError(f"{node.operator} with {len(node.outputs)} outputs")
        for name, value in zip(node.outputs, outputs, strict=True):
            _define(values, name, value)
    for tensor in graph.outputs:
        shape = tuple(POINTS if size is None else size for size in tensor.shape)
        if values.get(tensor.name) != Value("d", shape):
            raise ValueError(f"the output {tensor.name!r} is not what the graph computes")
    live_values(graph, values)
    return values


def _define(values: dict[str, Value], name: str, value: Value) -> None:
    if not name or name in values:
        raise ValueError(f"two results have the name {name!r}")
    values[name] = value


def live_values(graph: Model, values: Mapping[str, Value]) -> int:
    """Most results per point at once, each kept until its last use; ValueError for too many."""
    last = {name: i for i, node in enumerate(graph.nodes) for name in node.inputs}
    last |= {tensor.name: len(graph.nodes) for tensor in graph.outputs}
    live: dict[str, int] = {}
    total = largest = 0
    for i, node in enumerate(graph.nodes):
        live |= {name: values[name].width for name in node.outputs}
        total += sum(live[name] for name in node.outputs)
        largest = max(largest, total)
        if total > MAX_LIVE:
            raise ValueError(
                f"it needs more than {MAX_LIVE} values per point at once (at {node.outputs[0]!r})"
            )
        for name in {*node.inputs, *node.outputs}:
            if name in live and last.get(name, i) == i:
                total -= live.pop(name)
    return largest
