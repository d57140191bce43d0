"""A small expression graph over points: nodes, constants, concatenation, evaluation.

A node stands for a ``(width, N)`` array: ``width`` values at each of N points, or a constant
``(width, 1)``. Nodes are immutable and interned by a digest of their content, so equal
expressions are one object, in the same order in every process.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from threading import Lock
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def _softplus(x: Array) -> Array:
    return np.maximum(x, 0.0) + np.log(1.0 + np.exp(-np.abs(x)))


_erf = np.vectorize(math.erf, otypes=[np.float64])


#: The elementwise functions of one argument and their meaning.
UNARY: Mapping[str, Callable[[Array], Array]] = {
    "exp": np.exp,
    "log": np.log,
    "tanh": np.tanh,
    "sigmoid": lambda x: 1.0 / (1.0 + np.exp(-x)),
    "softplus": _softplus,
    "erf": _erf,
    "normal_cdf": lambda x: 0.5 + 0.5 * _erf(x / math.sqrt(2.0)),
    "elu_plus_one": lambda x: np.maximum(x, 0.0) + np.exp(np.minimum(x, 0.0)),
    "algebraic": lambda x: x / np.sqrt(1.0 + x * x),
    "abs": np.abs,
    "sign": np.sign,
}
#: The other elementwise operations; ``where`` has the arguments (condition, then, otherwise).
ELEMENTWISE: Mapping[str, Callable[..., Array]] = {
    **UNARY,
    "add": np.add,
    "mul": np.multiply,
    "max": np.maximum,
    "min": np.minimum,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "where": np.where,
}


class Node:
    """One interned expression; made by the functions of this module only."""

    __slots__ = ("__weakref__", "args", "data", "deep", "key", "op", "width")

    def __init__(
        self, op: str, args: tuple[Node, ...], data: object, width: int, key: bytes
    ) -> None:
        self.op = op
        self.args = args
        self.data = data
        self.width = width
        self.key = key
        #: True downstream of a matrix product, also of one that spreads a single column.
        self.deep: bool = (
            op in ("matmul", "whole")
            or any(a.deep for a in args)
            or (op == "mul" and _spreads(args))
        )

    @property
    def constant(self) -> bool:
        """Whether the value is the same at every point."""
        return self.op == "const"

    @property
    def value(self) -> Array:
        """Value ``(width, 1)`` of a constant or weight ``(width, k)`` of a matrix product."""
        assert isinstance(self.data, np.ndarray)
        return self.data

    @property
    def exponent(self) -> float:
        """Exponent of a power."""
        assert isinstance(self.data, float)
        return self.data

    @property
    def index(self) -> int:
        """Row that a ``column`` node takes from its argument."""
        assert isinstance(self.data, int)
        return self.data

    @property
    def component(self) -> tuple[str, int]:
        """Variable and component of an input."""
        assert isinstance(self.data, tuple)
        return self.data

    @property
    def part(self) -> tuple[str, int, int]:
        """Input, which of its parts, and how many there are, of a ``whole`` node."""
        assert isinstance(self.data, tuple)
        return self.data

    def __repr__(self) -> str:
        inner = ", ".join(a.op for a in self.args)
        shown = self.value.ravel()[:4] if self.op in ("const", "matmul") else self.data
        return f"{self.op}[{self.width}]({inner}{'' if shown is None else f'; {shown}'})"


def _spreads(factors: tuple[Node, ...]) -> bool:
    """Whether a product is that of one column and a constant of several rows."""
    return any(f.constant and f.width > 1 for f in factors) and any(
        not f.constant and f.width == 1 for f in factors
    )


_NODES: WeakValueDictionary[bytes, Node] = WeakValueDictionary()
_LOCK = Lock()


def make(op: str, args: tuple[Node, ...] = (), data: object = None, width: int = 0) -> Node:
    """Intern a node; its width is that of its widest argument if not given."""
    width = width or max(a.width for a in args)
    content = (
        repr(data.shape).encode() + data.tobytes()
        if isinstance(data, np.ndarray)
        else repr(data).encode()
    )
    key = blake2b(op.encode() + b"\0" + content, digest_size=16)
    for a in args:
        key.update(a.key)
    digest = key.digest()
    with _LOCK:
        node = _NODES.get(digest)
        if node is None:
            node = _NODES[digest] = Node(op, args, data, width, digest)
        return node


def column_input(name: str, index: int) -> Node:
    """Component ``index`` of the density variable ``name``."""
    return make("input", data=(name, index), width=1)


def whole(name: str, part: int, parts: int, width: int) -> Node:
    """Rows of an input that is taken as a network's layer: one of its equal ``parts``."""
    return make("whole", data=(name, part, parts), width=width)


def const(value: float | Array | Sequence[float]) -> Node:
    """Constant: a number, or one number per row."""
    array = np.array(value, dtype=np.float64).reshape(-1, 1)
    array.setflags(write=False)
    return make("const", data=array + 0.0, width=len(array))  # + 0.0: one zero, not two


ZERO, ONE = const(0.0), const(1.0)


def is_const(node: Node, value: float) -> bool:
    """Whether every entry of the node is this constant."""
    return node.constant and bool(np.all(node.value == value))


def concat(parts: Iterable[Node]) -> Node:
    """Rows of all parts, one below the other."""
    flat = [q for p in parts for q in (p.args if p.op == "concat" else (p,))]
    if len(flat) == 1:
        return flat[0]
    if all(p.constant for p in flat):
        return const(np.concatenate([p.value for p in flat]))
    return make("concat", tuple(flat), width=sum(p.width for p in flat))


def topological(outputs: Iterable[Node], leaves: Container[Node] = ()) -> Iterator[Node]:
    """Every node that the outputs need, each after its arguments, in a reproducible order.

    The arguments of ``leaves`` are not followed.
    """
    done: set[Node] = set()
    stack: list[tuple[Node, bool]] = [(node, False) for node in reversed(list(outputs))]
    while stack:
        node, ready = stack.pop()
        if node in done:
            continue
        if ready:
            done.add(node)
            yield node
        else:
            stack.append((node, True))
            if node not in leaves:
                stack.extend((a, False) for a in reversed(node.args))


def evaluate(outputs: Sequence[Node], inputs: Mapping[str, Array]) -> list[Array]:
    """Values ``(width, N)`` of the outputs at inputs ``(N, k)`` by name, in numpy."""
    n = len(next(iter(inputs.values())))
    values: dict[Node, Array] = {}
    for node in topological(outputs):
        args = [values[a] for a in node.args]
        if node.op == "input":
            name, index = node.component
            values[node] = inputs[name][:, index][None, :]
        elif node.op in ELEMENTWISE:
            values[node] = ELEMENTWISE[node.op](*args)
        elif node.op == "const":
            values[node] = node.value
        elif node.op == "pow":
            values[node] = args[0] ** node.exponent
        elif node.op == "matmul":
            values[node] = node.value @ args[0]
        elif node.op == "column":
            values[node] = args[0][[node.index]]
        else:
            parts = [np.broadcast_to(v, (a.width, n)) for v, a in zip(args, node.args, strict=True)]
            values[node] = np.concatenate(parts)
    return [np.broadcast_to(values[o], (o.width, n)) for o in outputs]
