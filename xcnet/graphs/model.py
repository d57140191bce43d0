"""ONNX files read without ONNX: what a functional's graph may hold, and nothing else.

Every field that could change what is computed is either read here or refused, so that no other
reader of the same bytes sees anything that was not checked.
Source: onnx.proto, https://github.com/onnx/onnx (IR version 8).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import prod

from xcnet.graphs import wire

MAX_NODES = 50_000
MAX_CONSTANTS = 5_000
MAX_OUTPUTS = 100
MAX_METADATA = 5_000
DOUBLE, INT64 = 11, 7
_BYTES_PER_VALUE = 8
_MAX_RANK = 4

#: Field numbers by message: what is read, and what may be there without a meaning.
_MODEL = {1: "ir_version", 7: "graph", 8: "opset_import", 14: "metadata_props"}
_MODEL_TEXT = frozenset({2, 3, 4, 5, 6})  # producer, its version, domain, model version, doc
_GRAPH = {1: "node", 5: "initializer", 11: "input", 12: "output"}
_GRAPH_TEXT = frozenset({2, 10})  # name, doc
_NODE = {1: "input", 2: "output", 4: "op_type", 5: "attribute"}
_NODE_TEXT = frozenset({3, 6})  # name, doc
_ATTRIBUTE = {1: "name", 3: "i", 8: "ints", 20: "type"}
_TENSOR = {1: "dims", 2: "data_type", 8: "name", 9: "raw_data"}
_TENSOR_EXTERNAL = {13, 14}  # external_data, data_location
_INT, _INTS = 2, 7


@dataclass(frozen=True)
class OnnxNode:
    """One operation; attributes are integers or tuples of them."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, int | tuple[int, ...]]


@dataclass(frozen=True)
class Constant:
    """A stored tensor: DOUBLE or INT64, its shape, and its bytes (little endian)."""

    name: str
    kind: int
    shape: tuple[int, ...]
    content: bytes


@dataclass(frozen=True)
class Tensor:
    """Declared input or output; a dimension without a fixed size is None."""

    name: str
    kind: int
    shape: tuple[int | None, ...]


@dataclass
class Model:
    """An ONNX file's content."""

    ir_version: int = 0
    opsets: list[tuple[str, int]] = field(default_factory=list)
    nodes: list[OnnxNode] = field(default_factory=list)
    constants: list[Constant] = field(default_factory=list)
    inputs: list[Tensor] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)


def read(data: bytes) -> Model:
    """Read an ONNX file.

    Raises
    ------
    ValueError
        Saying what is wrong: no ONNX file, or one with content that no functional's graph has.
    """
    model = Model()
    seen = set()
    for name, value, start, end in _read(data, 0, len(data), _MODEL, _MODEL_TEXT, "model"):
        if name == "ir_version":
            model.ir_version = value
        elif name == "opset_import":
            model.opsets.append(_opset(data, start, end))
        elif name == "metadata_props":
            _metadata(data, start, end, model.metadata)
        else:
            _graph(data, start, end, model)
        if name in ("ir_version", "graph") and name in seen:
            raise ValueError(f"two fields {name!r} in one model")
        seen.add(name)
    if "graph" not in seen:
        raise ValueError("no graph")
    return model


def _read(
    data: bytes,
    start: int,
    end: int,
    known: Mapping[int, str],
    ignored: Iterable[int],
    message: str,
) -> Iterable[tuple[str, int, int, int]]:
    """Known fields of a message: name, number (of a VARINT), start and end (of bytes)."""
    for number, kind, first, last in wire.fields(data, start, end):
        name = known.get(number)
        if name is None:
            if number in ignored:
                continue
            raise ValueError(f"field {number} in a {message}, which no functional's graph has")
        yield name, (first if kind == wire.VARINT else -1), first, last


def _text(data: bytes, start: int, end: int) -> str:
    return data[start:end].decode("utf-8")


def _opset(data: bytes, start: int, end: int) -> tuple[str, int]:
    domain, version = "", 0
    for name, value, first, last in _read(data, start, end, {1: "domain", 2: "version"}, (), "op"):
        if name == "domain":
            domain = _text(data, first, last)
        else:
            version = value
    return domain, version


def _metadata(data: bytes, start: int, end: int, metadata: dict[str, str]) -> None:
    pair = {"key": "", "value": ""}
    for name, _, first, last in _read(data, start, end, {1: "key", 2: "value"}, (), "property"):
        pair[name] = _text(data, first, last)
    if pair["key"] in metadata or len(metadata) == MAX_METADATA:
        raise ValueError(f"metadata {pair['key']!r} twice, or more than {MAX_METADATA} of them")
    metadata[pair["key"]] = pair["value"]


def _graph(data: bytes, start: int, end: int, model: Model) -> None:
    numbers = [number for number, *_ in wire.fields(data, start, end)]  # before anything is built
    limits = {"node": MAX_NODES, "initializer": MAX_CONSTANTS, "input": 16, "output": MAX_OUTPUTS}
    for number, name in _GRAPH.items():
        if numbers.count(number) > limits[name]:
            raise ValueError(f"{numbers.count(number)} {name}s, more than {limits[name]}")
    for name, _, first, last in _read(data, start, end, _GRAPH, _GRAPH_TEXT, "graph"):
        if name == "node":
            model.nodes.append(_node(data, first, last))
        elif name == "initializer":
            model.constants.append(_constant(data, first, last))
        else:
            (model.inputs if name == "input" else model.outputs).append(_tensor(data, first, last))


def _node(data: bytes, start: int, end: int) -> OnnxNode:
    operator = ""
    inputs: list[str] = []
    outputs: list[str] = []
    attributes: dict[str, int | tuple[int, ...]] = {}
    for number, kind, first, last in wire.fields(data, start, end):
        name = _NODE.get(number)
        if name is None and number in _NODE_TEXT:
            continue
        if name is None or kind != wire.BYTES:
            # Field 7 is the domain of a custom operator; ONNX's own need not say it.
            if number == 7 and kind == wire.BYTES and first == last:
                continue
            raise ValueError(
                f"field {number} in the node {operator or ''.join(outputs)!r}, which no "
                "functional's graph has (custom operators and functions are refused)"
            )
        if name == "attribute":
            key, value = _attribute(data, first, last)
            attributes[key] = value
        elif name == "op_type":
            operator = _text(data, first, last)
        else:
            (inputs if name == "input" else outputs).append(_text(data, first, last))
    return OnnxNode(operator, tuple(inputs), tuple(outputs), attributes)


def _attribute(data: bytes, start: int, end: int) -> tuple[str, int | tuple[int, ...]]:
    name, integer, kind = "", 0, 0
    integers: list[int] = []
    for key, value, first, last in _read(data, start, end, _ATTRIBUTE, (), "node's attribute"):
        if key == "name":
            name = _text(data, first, last)
        elif key == "ints":
            integers += _integers(data, value, first, last)
        elif key == "i":
            integer = wire.signed(value)
        else:
            kind = value
    if kind not in (_INT, _INTS) or (kind == _INT and integers):
        raise ValueError(f"attribute {name!r} is neither a whole number nor a list of them")
    return name, integer if kind == _INT else tuple(integers)


def _integers(data: bytes, value: int, start: int, end: int) -> list[int]:
    """Repeated int64, which writers store one by one or packed."""
    if value >= 0:
        return [wire.signed(value)]
    integers: list[int] = []
    while start < end:
        number, start = wire.varint(data, start, end)
        integers.append(wire.signed(number))
        if len(integers) > _MAX_RANK:
            raise ValueError(f"more than {_MAX_RANK} dimensions")
    return integers


def _constant(data: bytes, start: int, end: int) -> Constant:
    name, kind, content = "", 0, None
    shape: list[int] = []
    for number, wired, first, last in wire.fields(data, start, end):
        key = _TENSOR.get(number)
        if number in _TENSOR_EXTERNAL:
            raise ValueError(f"constant {name!r} lies in another file: external data is refused")
        if key == "dims":
            shape += _integers(data, first if wired == wire.VARINT else -1, first, last)
        elif key == "data_type" and wired == wire.VARINT:
            kind = first
        elif key == "name":
            name = _text(data, first, last)
        elif key == "raw_data" and wired == wire.BYTES and content is None:
            content = data[first:last]
        else:
            raise ValueError(f"constant {name!r}: field {number}, which no functional's graph has")
    return _checked_constant(name, kind, tuple(shape), content or b"")


def _checked_constant(name: str, kind: int, shape: tuple[int, ...], content: bytes) -> Constant:
    if kind not in (DOUBLE, INT64):
        raise ValueError(f"constant {name!r} has the data type {kind}, not float64 or int64")
    if len(shape) > _MAX_RANK or any(size < 1 for size in shape):
        raise ValueError(f"constant {name!r} has the impossible shape {list(shape[:8])}")
    if prod(shape) * _BYTES_PER_VALUE != len(content):
        raise ValueError(
            f"constant {name!r} of shape {list(shape)} has {len(content)} bytes, "
            f"not {prod(shape) * _BYTES_PER_VALUE}"
        )
    return Constant(name, kind, shape, content)


def _tensor(data: bytes, start: int, end: int) -> Tensor:
    """An input or output: name, then type -> tensor -> element type and shape -> dimensions."""
    name, kind = "", 0
    shape: list[int | None] = []
    for key, _, first, last in _read(data, start, end, {1: "name", 2: "type"}, {3}, "input"):
        if key == "name":
            name = _text(data, first, last)
            continue
        for _, _, a, b in _read(data, first, last, {1: "tensor"}, (), "input's type"):
            known = {1: "kind", 2: "shape"}
            for part, value, c, d in _read(data, a, b, known, (), "tensor's type"):
                if part == "kind":
                    kind = value
                else:
                    shape += [
                        _dimension(data, e, f)
                        for _, _, e, f in _read(data, c, d, {1: "dim"}, (), "shape")
                    ]
    return Tensor(name, kind, tuple(shape))


def _dimension(data: bytes, start: int, end: int) -> int | None:
    size = None
    for name, value, _, _ in _read(data, start, end, {1: "size", 2: "symbol"}, (), "dimension"):
        size = wire.signed(value) if name == "size" else size
    return size
