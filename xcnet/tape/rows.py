"""A verified graph as operations on rows: one number per point each.

The graph is executed once with symbols for numbers. What only moves numbers (Transpose, Split,
Concat, Expand, Shape) disappears, constants are folded, and equal rows are computed once. No sum
is reordered and no product is rewritten: rows round as ONNX Runtime rounds them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xcnet.graphs import model as onnx_file
from xcnet.graphs.model import Constant, Model, OnnxNode
from xcnet.graphs.shapes import POINTS, Value, results

Ids = NDArray[np.int64]

#: Operators of the graph that are one operation on rows, and the operation's name.
ELEMENTWISE = {
    "Abs": "abs",
    "Add": "add",
    "Div": "div",
    "Exp": "exp",
    "Greater": "greater",
    "GreaterOrEqual": "greater_equal",
    "Log": "log",
    "Mul": "mul",
    "Neg": "neg",
    "Pow": "pow",
    "Sigmoid": "sigmoid",
    "Sign": "sign",
    "Sqrt": "sqrt",
    "Sub": "sub",
    "Tanh": "tanh",
    "Where": "where",
}
COMMUTATIVE = frozenset({"add", "mul"})
#: ONNX Runtime's limits where Clip has none: infinities become the largest numbers.
LARGEST = float(np.finfo(np.float64).max)


@dataclass(frozen=True)
class Product:
    """A matrix of constants times rows: ``weights`` (J, K), ``rows`` K ids."""

    weights: NDArray[np.float64]
    rows: tuple[int, ...]


@dataclass
class Block:
    """Rows that are computed together: equal operations, or the results of one product."""

    operator: str
    rows: list[int]
    product: Product | None = None


class Program:
    """Rows of a graph, numbered in the order in which they are computed."""

    def __init__(self) -> None:
        self.operators: list[str] = []
        self.operands: list[tuple[int, ...]] = []
        self.values: dict[int, float] = {}  # of constants
        self.blocks: list[Block] = []
        self.inputs: dict[str, list[int]] = {}
        self.outputs: dict[str, list[int]] = {}
        self._known: dict[tuple[object, ...], int] = {}
        self._products: dict[tuple[object, ...], list[int]] = {}

    def _new(self, operator: str, operands: tuple[int, ...]) -> int:
        self.operators.append(operator)
        self.operands.append(operands)
        return len(self.operators) - 1

    def constant(self, value: float) -> int:
        """Id of a constant; those that differ in the sign of zero are two."""
        key = ("const", struct.pack("<d", value))
        if key not in self._known:
            row = self._known[key] = self._new("const", ())
            self.values[row] = value
        return self._known[key]

    def input(self, name: str, width: int) -> list[int]:
        """Ids of an input's components."""
        self.inputs[name] = [self._new("input", ()) for _ in range(width)]
        return self.inputs[name]

    def elementwise(self, operator: str, *operands: Ids) -> Ids:
        """Ids of an operation on rows that are broadcast."""
        block = Block(operator, [])
        if all(array.size == 1 for array in operands):  # most: much faster than broadcasting
            keys = [tuple(array.item() for array in operands)]
            shape = max((array.shape for array in operands), key=len)
        else:
            spread = np.broadcast_arrays(*operands)
            keys = list(zip(*(array.ravel().tolist() for array in spread), strict=True))
            shape = spread[0].shape
        ids = [self._row(operator, key, block) for key in keys]
        if block.rows:
            self.blocks.append(block)
        return np.array(ids, dtype=np.int64).reshape(shape)

    def _row(self, operator: str, operands: tuple[int, ...], block: Block) -> int:
        if operator == "where" and operands[0] in self.values:
            return operands[1] if self.values[operands[0]] else operands[2]
        if all(row in self.values for row in operands):
            return self.constant(folded(operator, [self.values[row] for row in operands]))
        if operator in COMMUTATIVE:
            operands = (min(operands), max(operands))
        key = (operator, *operands)
        if key not in self._known:
            self._known[key] = self._new(operator, operands)
            block.rows.append(self._known[key])
        return self._known[key]

    def product(self, a: Ids, b: Ids) -> Ids:
        """Ids of a matrix product, of which one factor is constant."""
        if all(int(row) in self.values for row in a.ravel()):
            columns = [self._times(a, tuple(map(int, b[:, j]))) for j in range(b.shape[1])]
            return np.array(columns, dtype=np.int64).T
        if all(int(row) in self.values for row in b.ravel()):
            ids = [self._times(b.T, tuple(map(int, a[i]))) for i in range(a.shape[0])]
            return np.array(ids, dtype=np.int64)
        raise ValueError("a product of two matrices that both depend on the density")

    def _times(self, matrix: Ids, rows: tuple[int, ...]) -> list[int]:
        weights = np.array([[self.values[int(w)] for w in line] for line in matrix])
        if all(row in self.values for row in rows):
            vector = np.array([self.values[row] for row in rows])
            return [self.constant(float(value)) for value in weights @ vector]
        key = (weights.tobytes(), rows)
        if key not in self._products:
            ids = [self._new("product", rows) for _ in weights]
            self.blocks.append(Block("product", ids, Product(weights, rows)))
            self._products[key] = ids
        return self._products[key]


def folded(operator: str, values: Sequence[float]) -> float:
    """Result of an operation on constants."""
    with np.errstate(all="ignore"):
        return float(_FOLD[operator](*map(np.float64, values)))


def _sigmoid(x: np.float64) -> np.float64:
    # ONNX Runtime's own form, with its cancellation below zero.
    half = np.float64(1.0 / (1.0 + np.exp(-abs(x))))
    return half if x >= 0.0 else np.float64(1.0 - half)


_FOLD: Mapping[str, Callable[..., Any]] = {
    "abs": np.abs,
    "add": np.add,
    "div": np.divide,
    "exp": np.exp,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "log": np.log,
    "max": lambda a, b: a if a > b or a != a else b,
    "min": lambda a, b: a if a < b or a != a else b,
    "mul": np.multiply,
    "neg": np.negative,
    "pow": np.power,
    "sigmoid": _sigmoid,
    "sign": np.sign,
    "sqrt": np.sqrt,
    "sub": np.subtract,
    "tanh": np.tanh,
    "where": lambda mask, a, b: a if mask else b,
}


def program(graph: Model) -> Program:
    """Rows of a verified graph.

    Raises
    ------
    ValueError
        It holds something that is no operation on rows.
    """
    made = Program()
    values: dict[str, Value] = {}
    ids: dict[str, Ids] = {}
    for constant in graph.constants:
        values[constant.name] = _value(constant)
        if constant.kind == onnx_file.DOUBLE:
            numbers = np.frombuffer(constant.content, "<f8")
            rows = [made.constant(float(x)) for x in numbers]
            ids[constant.name] = np.array(rows, dtype=np.int64).reshape(constant.shape)
    for tensor in graph.inputs:
        shape = tuple(POINTS if size is None else size for size in tensor.shape)
        values[tensor.name] = Value("d", shape)
        ids[tensor.name] = np.array([made.input(tensor.name, shape[1])], dtype=np.int64)
    for node in graph.nodes:
        _step(made, node, values, ids)
    for tensor in graph.outputs:
        made.outputs[tensor.name] = [int(row) for row in ids[tensor.name].ravel()]
    return made


def _value(constant: Constant) -> Value:
    if constant.kind == onnx_file.DOUBLE:
        return Value("d", constant.shape)
    numbers = None
    if len(constant.shape) == 1:
        numbers = struct.unpack(f"<{constant.shape[0]}q", constant.content)
    return Value("i", constant.shape, numbers)


def _step(made: Program, node: OnnxNode, values: dict[str, Value], ids: dict[str, Ids]) -> None:
    outputs = results(node, [values[name] if name else None for name in node.inputs])
    values.update(zip(node.outputs, outputs, strict=True))
    if outputs[0].kind == "i":
        return  # a shape, whose numbers are known
    operands = [ids.get(name) if name else None for name in node.inputs]
    if node.operator == "Expand":
        shape = [1 if size == POINTS else size for size in outputs[0].shape]
        results_ids = [np.broadcast_to(_there(operands[0]), shape)]
    elif node.operator == "Split":
        axis = _integer(node.attributes, "axis", 0)
        results_ids = list(np.split(_there(operands[0]), len(node.outputs), axis=axis))
    else:
        results_ids = [_result(made, node, operands)]
    ids.update(zip(node.outputs, results_ids, strict=True))


def _there(operand: Ids | None) -> Ids:
    if operand is None:
        raise ValueError("an operand is missing")
    return operand


def _integer(attributes: Mapping[str, int | tuple[int, ...]], name: str, default: int) -> int:
    value = attributes.get(name, default)
    if not isinstance(value, int):
        raise ValueError(f"the attribute {name!r} is a list")
    return value


def _result(made: Program, node: OnnxNode, operands: Sequence[Ids | None]) -> Ids:
    if node.operator == "Clip":
        return _clip(made, operands)
    rows = [_there(operand) for operand in operands]
    if node.operator in ELEMENTWISE:
        return made.elementwise(ELEMENTWISE[node.operator], *rows)
    if node.operator == "Reciprocal":
        return made.elementwise("div", np.array(made.constant(1.0)), rows[0])
    if node.operator in ("Max", "Min"):
        total = rows[0]
        for other in rows[1:]:
            total = made.elementwise(node.operator.lower(), total, other)
        return total
    if node.operator == "Transpose":
        return np.transpose(rows[0], node.attributes.get("perm"))
    if node.operator == "Concat":
        return np.concatenate(rows, axis=_integer(node.attributes, "axis", 0))
    if node.operator == "MatMul":
        return made.product(rows[0], rows[1])
    if node.operator == "Gemm":
        return made.elementwise("add", made.product(rows[0], rows[1]), rows[2])
    raise ValueError(f"the operator {node.operator}")


def _clip(made: Program, operands: Sequence[Ids | None]) -> Ids:
    limits = [*operands[1:], None, None][:2]
    result = _there(operands[0])
    for operator, limit, default in zip(("max", "min"), limits, (-LARGEST, LARGEST), strict=True):
        value = np.array(made.constant(default)) if limit is None else limit.reshape(())
        if np.isnan(made.values.get(int(value), np.nan)):
            raise ValueError("Clip between limits that are not numbers")
        result = made.elementwise(operator, value, result)
    return result
