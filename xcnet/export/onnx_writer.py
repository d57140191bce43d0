"""Expression graphs as ONNX models: float64, standard operators, few and cheap nodes.

Inside the model the point axis comes last: a column is ``(1, N)``, a layer ``(width, N)``. ONNX
Runtime then works on contiguous runs of points; with columns ``(N, 1)`` it takes every broadcast
element by element, which is thirty times slower. Inputs ``(N, k)`` are transposed and split once,
outputs joined and transposed once. Powers of one base share one root.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from xcnet.export import error_function
from xcnet.export.algebra import binary, one_plus_square, sqrt, unary
from xcnet.export.graph import ZERO, Node, is_const, topological
from xcnet.export.powers import Powers
from xcnet.graphs import IR_VERSION, OPSET

PRODUCER = "xcnet"
#: From this width on, four fast operators beat the runtime's Sigmoid.
WIDE = 8
#: exp of it is far from overflow.
LARGE = 700.0

DIRECT = {
    "add": "Add",
    "mul": "Mul",
    "max": "Max",
    "min": "Min",
    "greater": "Greater",
    "greater_equal": "GreaterOrEqual",
    "where": "Where",
    "exp": "Exp",
    "log": "Log",
    "tanh": "Tanh",
    "abs": "Abs",
    "sign": "Sign",
}


class _GraphWriter:
    """Collects the nodes and constants of one model."""

    def __init__(self, outputs: Sequence[Node]) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._constant_names: dict[bytes, str] = {}
        self._names: dict[Node, str] = {}
        self._order = list(topological(outputs))
        self._uses = Counter(a for node in self._order for a in node.args)
        self._uses.update(outputs)
        self._powers: dict[Node, Powers] = {}
        self._rows_of: dict[Node, list[Node]] = defaultdict(list)
        self._softened = {node.args[0] for node in self._order if node.op == "softplus"}
        self._exponentials: dict[Node, tuple[str, str]] = {}
        self._plan()

    def _plan(self) -> None:
        """Find out which powers of each base and which rows of each operand are needed."""
        exponents: dict[Node, set[float]] = defaultdict(set)
        divisors = {self._divisor(node) for node in self._order}
        for node in self._order:
            if node.op == "pow":
                exponents[node.args[0]].add(-node.exponent if node in divisors else node.exponent)
            if node.op in HELPERS:
                for inner in topological(HELPERS[node.op](node.args[0]), node.args):
                    if inner.op == "pow" and inner not in node.args:
                        exponents[inner.args[0]].add(inner.exponent)
            if node.op == "matmul" and node.width == 1:
                self._rows_of[node.args[0]].append(node)
        for base, needed in exponents.items():
            self._powers[base] = Powers(self, base, sorted(needed))

    def _divisor(self, node: Node) -> Node | None:
        """Negative power that a product uses alone, and so can divide by."""
        if node.op != "mul":
            return None
        for a in reversed(node.args):
            if a.op == "pow" and a.exponent < 0.0 and self._uses[a] == 1:
                return a
        return None

    def emit(self, op: str, inputs: Sequence[str], count: int = 1, **attributes: object) -> str:
        """Add a node; returns the name of its first output."""
        start = len(self.nodes)
        names = [f"t{start}"] if count == 1 else [f"t{start}_{i}" for i in range(count)]
        self.nodes.append(helper.make_node(op, list(inputs), names, **attributes))
        return names[0]

    def constant(self, value: NDArray[np.generic]) -> str:
        """Name of a stored constant; equal ones are stored once."""
        key = str((value.dtype, value.shape)).encode() + value.tobytes()
        if key not in self._constant_names:
            name = self._constant_names[key] = f"c{len(self.constants)}"
            self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return self._constant_names[key]

    def scalar(self, value: float) -> str:
        """Name of a stored number."""
        return self.constant(np.array(value, dtype=np.float64))

    def load(self, variable: str, width: int) -> None:
        """Rows of an input as the columns of the graph, or in equal parts, if any is used."""
        wholes = [n for n in self._order if n.op == "whole" and n.part[0] == variable]
        columns = [n for n in self._order if n.op == "input" and n.component[0] == variable]
        if not columns and not wholes:
            return
        rows = self.emit("Transpose", [variable], perm=[1, 0])
        if wholes:
            _, _, width = wholes[0].part
            columns = wholes
        first = rows if width == 1 else self.emit("Split", [rows], count=width, axis=0)
        outputs = self.nodes[-1].output
        for node in columns:
            index = node.part[1] if wholes else node.component[1]
            self._names[node] = first if width == 1 else outputs[index]

    def write(self) -> None:
        """Emit every node that no other one absorbs."""
        for node in self._order:
            if node.op not in ("const", "pow", "input", "whole") and not self._absorbed(node):
                self.name(node)

    def _absorbed(self, node: Node) -> bool:
        negative = node.op == "mul" and is_const(node.args[0], -1.0)
        return negative or (node.op == "matmul" and self._uses[node] == 1)

    def name(self, node: Node) -> str:
        """Name of a node's value, emitted now if it has not been."""
        if node not in self._names:
            self._names[node] = self._emit_node(node)
        return self._names[node]

    def _emit_node(self, node: Node) -> str:
        args = node.args
        if node.op == "const":
            value = node.value
            return self.constant(value.reshape(()) if node.width == 1 else value)
        if node.op == "pow":
            return self._powers[args[0]].name(node.exponent)
        if node.op == "matmul":
            return self._product(node)
        if node.op == "column":
            return self._column(node)
        if node.op == "concat":
            return self.emit("Concat", [self.name(a) for a in args], axis=0)
        if node.op == "add":
            return self._sum(*args)
        if node.op == "mul":
            return self._times(node)
        if node.op in ("max", "min") and args[1].constant and args[1].width == 1:
            limits = ["", ""]
            limits[node.op == "min"] = self.name(args[1])
            return self.emit("Clip", [self.name(args[0]), *limits])
        if node.op in DIRECT:
            return self.emit(DIRECT[node.op], [self.name(a) for a in args])
        return self._activation(node)

    def _activation(self, node: Node) -> str:
        """Functions that have no float64 kernel, or a slow one."""
        op, x = node.op, node.args[0]
        if op == "elu_plus_one":
            decay = self.name(unary("exp", binary("min", x, ZERO)))
            return self.emit("Add", [self.name(binary("max", x, ZERO)), decay])
        if op == "algebraic":
            return self.emit("Div", [self.name(x), self.name(_algebraic_root(x))])
        if op == "erf":
            return error_function.emit_erf(self, x)
        if op == "normal_cdf":
            return error_function.emit_normal_cdf(self, x)
        if op == "softplus":  # never below x, which is all that counts where exp would overflow
            log = self.emit("Log", [self._raised(x)[1]])
            return self.emit("Max", [self.name(x), log])
        if op == "sigmoid" and x in self._softened:
            return self.emit("Div", self._raised(x))
        if op == "sigmoid" and x.width < WIDE:
            return self.emit("Sigmoid", [self.name(x)])
        decay = self.emit("Exp", [self.emit("Neg", [self.name(x)])])
        return self.emit("Reciprocal", [self.emit("Add", [decay, self.scalar(1.0)])])

    def _raised(self, x: Node) -> tuple[str, str]:
        """Names of exp(x), bounded, and of that plus 1, which softplus and its slope share."""
        if x not in self._exponentials:
            bounded = self.emit("Clip", [self.name(x), "", self.scalar(LARGE)])
            raised = self.emit("Exp", [bounded])
            self._exponentials[x] = raised, self.emit("Add", [raised, self.scalar(1.0)])
        return self._exponentials[x]

    def _sum(self, a: Node, b: Node) -> str:
        if a.op == "matmul" and b.constant and a.width == b.width and self._uses[a] == 1:
            weight = self.constant(a.value)
            return self.emit("Gemm", [weight, self.name(a.args[0]), self.name(b)])
        for x, y in ((a, b), (b, a)):
            if y.op == "mul" and is_const(y.args[0], -1.0):
                return self.emit("Sub", [self.name(x), self.name(y.args[1])])
            if y.constant and y.width == 1 and y.value[0, 0] < 0.0:
                return self.emit("Sub", [self.name(x), self.scalar(-float(y.value[0, 0]))])
        return self.emit("Add", [self.name(a), self.name(b)])

    def _times(self, node: Node) -> str:
        divisor = self._divisor(node)
        if divisor is not None:
            (other,) = [a for a in node.args if a is not divisor]
            below = self._powers[divisor.args[0]].name(-divisor.exponent)
            if is_const(other, 1.0):
                return self.emit("Reciprocal", [below])
            return self.emit("Div", [self.name(other), below])
        a, b = node.args
        if is_const(a, -1.0):
            return self.emit("Neg", [self.name(b)])
        return self.emit("Mul", [self.name(a), self.name(b)])

    def _product(self, node: Node) -> str:
        operand = node.args[0]
        rows = self._rows_of[operand]
        if node.width > 1 or len(rows) == 1:
            return self.emit("MatMul", [self.constant(node.value), self.name(operand)])
        # Several weighted sums of the same rows: one product.
        stacked = self.constant(np.concatenate([r.value for r in rows]))
        joined = self.emit("MatMul", [stacked, self.name(operand)])
        self.emit("Split", [joined], count=len(rows), axis=0)
        self._names.update(zip(rows, self.nodes[-1].output, strict=True))
        return self._names[node]

    def _column(self, node: Node) -> str:
        source = node.args[0]
        whole = self.name(source)
        self.emit("Split", [whole], count=source.width, axis=0)
        names = self.nodes[-1].output
        for other in self._order:
            if other.op == "column" and other.args[0] is source:
                self._names[other] = names[other.index]
        return self._names[node]

    def store(self, label: str, columns: Sequence[Node], points: str) -> None:
        """Join columns to the output ``(N, width)`` of a label."""
        if all(c.constant for c in columns):
            row = np.concatenate([c.value for c in columns]).T
            size = self.constant(np.array([row.shape[1]]))
            shape = self.emit("Concat", [points, size], axis=0)
            self.emit("Expand", [self.constant(row), shape])
        else:
            # Row constants take the shape of a column, point by point.
            names = [
                self.emit("Expand", [self.constant(c.value), points])
                if c.constant
                else self.name(c)
                for c in columns
            ]
            rows = names[0] if len(names) == 1 else self.emit("Concat", names, axis=0)
            self.emit("Transpose", [rows], perm=[1, 0])
        self.nodes[-1].output[0] = label


def _algebraic_root(x: Node) -> Node:
    return sqrt(one_plus_square(x))


#: What functions of x are composed of, if there are powers among it.
HELPERS: Mapping[str, Callable[[Node], Sequence[Node]]] = {
    "algebraic": lambda x: [_algebraic_root(x)],
    "erf": error_function.parts_of_erf,
    "normal_cdf": lambda x: [error_function.gaussian(x)],
}


def to_onnx(
    outputs: Mapping[str, Sequence[Node]],
    inputs: Mapping[str, int],
    name: str = "functional",
) -> bytes:
    """Serialize an expression graph.

    Parameters
    ----------
    outputs : mapping
        Label -> its components, from first to last; the model's outputs are ``(N, components)``.
    inputs : mapping
        Variable -> number of components; the model's inputs are ``(N, components)``.
    name : str
        Of the graph, for people who look at it.

    Returns
    -------
    bytes
        The same for the same arguments, in every process.
    """
    writer = _GraphWriter([node for columns in outputs.values() for node in columns])
    for variable, width in inputs.items():
        writer.load(variable, width)
    writer.write()
    points = ""
    if any(node.constant for columns in outputs.values() for node in columns):
        points = writer.emit("Shape", [next(iter(inputs))], start=0, end=1)
    for label, columns in outputs.items():
        writer.store(label, columns, points)

    def described(name: str, width: int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.DOUBLE, ["N", width])

    graph = helper.make_graph(
        writer.nodes,
        name,
        [described(name, width) for name, width in inputs.items()],
        [described(label, sum(c.width for c in columns)) for label, columns in outputs.items()],
        writer.constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = IR_VERSION
    model.producer_name = PRODUCER
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString(deterministic=True)
    return data
