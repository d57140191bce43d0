"""Operators that a functional's graph may use, and the shape and type of what each gives.

Graphs are walked once, before anything runs: the number of points is the only size that is left
open, so the memory of an evaluation is known beforehand.
Source: ONNX operator schemas, opset 17, https://onnx.ai/onnx/operators/
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

from xcnet.graphs.model import OnnxNode

#: Stands for the number of points in a shape.
POINTS = -1
#: Most values per point of one result.
MAX_WIDTH = 4096

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Value:
    """What is known of a result: its type (d, i, b), its shape, and a shape's own numbers."""

    kind: str
    shape: Shape
    numbers: Shape | None = None

    @property
    def width(self) -> int:
        """Values per point."""
        return -prod(self.shape) if POINTS in self.shape else prod(self.shape)


Rule = Callable[[OnnxNode, Sequence["Value | None"]], Sequence[Value]]


def results(node: OnnxNode, inputs: Sequence[Value | None]) -> Sequence[Value]:
    """Type and shape of each output of a node; an input that was left out is None.

    Raises
    ------
    ValueError
        The operator is not allowed, or its inputs do not fit it.
    """
    rule = RULES.get(node.operator)
    if rule is None:
        raise ValueError(
            f"the operator {node.operator!r} is not one of those that functionals may use "
            f"({', '.join(sorted(RULES))})"
        )
    unknown = set(node.attributes) - ATTRIBUTES.get(node.operator, frozenset())
    if unknown:
        raise ValueError(f"{node.operator} with the attribute {sorted(unknown)[0]!r}")
    values = rule(node, inputs)
    for value in values:
        if value.shape.count(POINTS) > 1:
            raise ValueError(f"{node.operator} gives every point a value for every other point")
        if value.width > MAX_WIDTH:
            raise ValueError(
                f"{node.operator} gives {value.width} values per point, more than {MAX_WIDTH}"
            )
    return values


def _present(inputs: Sequence[Value | None], kinds: str) -> list[Value]:
    """Inputs, each there and of the type that stands at its place."""
    values = [value for value in inputs if value is not None]
    if len(values) != len(inputs) or "".join(value.kind for value in values) != kinds:
        names = {"d": "float64", "i": "int64", "b": "bool", "-": "nothing"}
        described = [names[value.kind if value else "-"] for value in inputs]
        wanted = [names[kind] for kind in kinds]
        raise ValueError(f"inputs {', '.join(described)} where {', '.join(wanted)} belong")
    return values


def broadcast(*shapes: Shape) -> Shape:
    """Shape of element-wise results (ValueError if the shapes do not fit)."""
    rank = max(map(len, shapes))
    result = []
    for sizes in zip(*((1,) * (rank - len(shape)) + shape for shape in shapes), strict=True):
        different = {size for size in sizes if size != 1}
        if len(different) > 1:
            raise ValueError(f"shapes {', '.join(map(_named, shapes))} do not fit together")
        result.append(different.pop() if different else 1)
    return tuple(result)


def _named(shape: Shape) -> str:
    return "(" + ", ".join("N" if size == POINTS else str(size) for size in shape) + ")"


def _elementwise(count: int, kind: str = "d", first: str = "d") -> Rule:
    def rule(node: OnnxNode, inputs: Sequence[Value | None]) -> Sequence[Value]:
        operands = _present(inputs, first + "d" * (count - 1))
        return [Value(kind, broadcast(*(value.shape for value in operands)))]

    return rule


def _any_number(node: OnnxNode, inputs: Sequence[Value | None]) -> Sequence[Value]:
    operands = _present(inputs, "d" * max(1, len(inputs)))
    return [Value("d", broadcast(*(value.shape for value in operands)))]


def _clip(node: OnnxNode, inputs: Sequence[Value | None]) -> Sequence[Value]:
    operands = [value for value in inputs if value is not None]
    operands = _present(operands, "d" * max(1, len(operands)))
    limits = [value.shape for value in operands[1:]]
    if inputs[0] is None or len(inputs) > 3 or not {*limits} <= {(), (1,)}:
        raise ValueError(f"Clip between limits of the shapes {', '.join(map(_named, limits))}")
    return operands[:1]


def _axis(node: OnnxNode, rank: int) -> int:
    axis = node.attributes.get("axis", 0 if node.operator == "Split" else None)
    if not isinstance(axis, int) or not -rank <= axis < rank:
        raise ValueError(f"{node.operator} along the axis {axis} of {rank}")
    return axis % rank


def _concat(node: OnnxNode, inputs: Sequence[Value | None]) -> Sequence[Value]:
    kind = inputs[0].kind if inputs and inputs[0] is not None else "d"
    operands = _present(inputs, kind * max(1, len(inputs)))
    shape = list(operands[0].shape)
    axis = _axis(node, len(shape))
    for other in operands[1:]:
        rest = [*other.shape[:axis], *other.shape[axis + 1 :]]
        if len(other.shape) != len(shape) or rest != [*shape[:axis], *shape[axis + 1 :]]:
            raise ValueError("Concat of shapes that do not fit together")
    sizes = [value.shape[axis] for value in operands]
    if POINTS in sizes and len(sizes) > 1:
        raise ValueError("Concat of the points of several results")
    shape[axis] = sum(sizes)
    numbers = None
    if all(value.numbers is not None for value in operands):
        numbers = tuple(n for value in operands for n in value.numbers or ())
    return [Value(kind, tuple(shape), numbers)]


def _expand(node: OnnxNode, inputs: Sequence[Value | None]) -> Sequence[Value]:
    value, target = _present(inputs, "di")
    if target.numbers is None or any(n < 1 and n != POINTS for n in target.numbers):
        raise ValueError("Expand to a shape that is not known, or not positive")
    return [Value("d", broadcast(value.shape, target.numbers))]


def _matmul(node: OnnxNode, inputs: Sequence[Value | None]) -> Sequence[Value]:
    a, b = _present(inputs, "dd")
    return [Value("d", _product(a.shape, b.shape))]


def _gemm(node: OnnxNode, inputs: Sequence[Value | None]) -> Sequence[Value]:
    a, b, c = _present(inputs, "ddd")
    shape = _product(a.shape, b.shape)
    if broadcast(shape, c.shape) != shape:
        raise ValueError("Gemm adds a constant that is larger than the product")
    return [Value("d", shape)]


def _product(a: Shape, b: Shape) -> Shape:
    if len(a) != 2 or len(b) != 2 or a[1] != b[0] or a[1] == POINTS:
        raise ValueError(f"the product of {_named(a)} and {_named(b)}")
    return a[0], b[1]


def _shape(node: OnnxNode, inputs: Sequence[Value | None]) -> Sequence[Value]:
    if len(inputs) != 1 or inputs[0] is None:
        raise ValueError("Shape of nothing")
    start, end = node.attributes.get("start", 0), node.attributes.get("end", None)
    if isinstance(start, tuple) or isinstance(end, tuple):
        raise ValueError("Shape with lists for its limits")
    part = inputs[0].shape[start:end]
    return [Value("i", (len(part),), part)]


def _split(node: OnnxNode, inputs: Sequence[Value | None]) -> Sequence[Value]:
    (value,) = _present(inputs, "d")
    axis = _axis(node, len(value.shape))
    parts, size = len(node.outputs), value.shape[axis]
    if size == POINTS or not parts or size % parts:
        raise ValueError(f"Split of {_named(value.shape)} into {parts} equal parts")
    shape = (*value.shape[:axis], size // parts, *value.shape[axis + 1 :])
    return [Value("d", shape)] * parts


def _transpose(node: OnnxNode, inputs: Sequence[Value | None]) -> Sequence[Value]:
    (value,) = _present(inputs, "d")
    order = node.attributes.get("perm", tuple(range(len(value.shape)))[::-1])
    if isinstance(order, int) or sorted(order) != list(range(len(value.shape))):
        raise ValueError(f"Transpose of {_named(value.shape)} in the order {order}")
    return [Value("d", tuple(value.shape[i] for i in order))]


_UNARY = "Abs Exp Log Neg Reciprocal Sigmoid Sign Sqrt Tanh"
_BINARY = "Add Div Mul Pow Sub"
RULES: dict[str, Rule] = {
    **dict.fromkeys(_UNARY.split(), _elementwise(1)),
    **dict.fromkeys(_BINARY.split(), _elementwise(2)),
    **dict.fromkeys(["Greater", "GreaterOrEqual"], _elementwise(2, kind="b")),
    **dict.fromkeys(["Max", "Min"], _any_number),
    "Clip": _clip,
    "Concat": _concat,
    "Expand": _expand,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Shape": _shape,
    "Split": _split,
    "Transpose": _transpose,
    "Where": _elementwise(3, first="b"),
}
ATTRIBUTES = {
    "Concat": frozenset({"axis"}),
    "Shape": frozenset({"start", "end"}),
    "Split": frozenset({"axis"}),
    "Transpose": frozenset({"perm"}),
}
#: All that may be in a graph.
OPERATORS = frozenset(RULES)
