"""A small expression graph over points, simplified and shared while it is built.

A node stands for a ``(width, N)`` array: ``width`` values at each of N points, or a constant
``(width, 1)``. Nodes are immutable and interned by a digest of their content, so equal
expressions are one object, in the same order in every process. The constructors simplify, and
keep three forms that make differentiation and evaluation cheap:

- elementwise operations on concatenated columns act on the columns, so everything that a
  network's first layer takes is made of single columns;
- a wide product is ``narrow * wide``, and the narrow factor moves out of matrix products;
- a mask ``where(condition, x, 0)`` moves out of products, so that an infinite derivative in the
  branch that is not taken is never multiplied by zero.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from itertools import groupby
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def _softplus(x: Array) -> Array:
    return np.maximum(x, 0.0) + np.log(1.0 + np.exp(-np.abs(x)))


#: The elementwise functions of one argument and their meaning.
UNARY: Mapping[str, Callable[[Array], Array]] = {
    "exp": np.exp,
    "log": np.log,
    "tanh": np.tanh,
    "sigmoid": lambda x: 1.0 / (1.0 + np.exp(-x)),
    "softplus": _softplus,
    "elu_plus_one": lambda x: np.maximum(x, 0.0) + np.exp(np.minimum(x, 0.0)),
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
        #: True downstream of a matrix product.
        self.deep: bool = op == "matmul" or any(a.deep for a in args)

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

    def __repr__(self) -> str:
        inner = ", ".join(a.op for a in self.args)
        shown = self.value.ravel()[:4] if self.op in ("const", "matmul") else self.data
        return f"{self.op}[{self.width}]({inner}{'' if shown is None else f'; {shown}'})"


_NODES: WeakValueDictionary[bytes, Node] = WeakValueDictionary()


def _node(op: str, args: tuple[Node, ...] = (), data: object = None, width: int = 0) -> Node:
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
    found = _NODES.get(digest)
    if found is None:
        found = _NODES[digest] = Node(op, args, data, width, digest)
    return found


def column_input(name: str, index: int) -> Node:
    """Component ``index`` of the density variable ``name``."""
    return _node("input", data=(name, index), width=1)


def const(value: float | Array | Sequence[float]) -> Node:
    """Constant: a number, or one number per row."""
    array = np.array(value, dtype=np.float64).reshape(-1, 1)
    array.setflags(write=False)
    return _node("const", data=array + 0.0, width=len(array))  # + 0.0: one zero, not two


ZERO, ONE = const(0.0), const(1.0)


def is_const(node: Node, value: float) -> bool:
    """Whether every entry of the node is this constant."""
    return node.constant and bool(np.all(node.value == value))


def _fold(op: str, *args: Node) -> Node | None:
    """Constant result of an operation on constants, else None."""
    if not all(a.constant for a in args):
        return None
    with np.errstate(all="ignore"):
        return const(np.asarray(ELEMENTWISE[op](*(a.value for a in args)), dtype=np.float64))


def _parts(node: Node) -> tuple[Node, ...]:
    return node.args if node.op == "concat" else (node,)


def _distribute(build: Callable[..., Node], *args: Node) -> Node | None:
    """Apply an elementwise operation to the parts of concatenations, if all agree on them."""
    wide = [a for a in args if a.width > 1 and not a.constant]
    if not wide or any(a.op != "concat" for a in wide):
        return None
    widths = [p.width for p in wide[0].args]
    if any([p.width for p in a.args] != widths for a in wide):
        return None

    def piece(a: Node, i: int, start: int) -> Node:
        if a.width == 1:
            return a
        return const(a.value[start : start + widths[i]]) if a.constant else a.args[i]

    starts = np.cumsum([0, *widths])
    return concat([build(*(piece(a, i, int(starts[i])) for a in args)) for i in range(len(widths))])


def widen(node: Node, width: int) -> Node:
    """Repeat a node of width 1 in ``width`` rows."""
    if node.width == width:
        return node
    if node.constant:
        return const(np.repeat(node.value, width))
    return mul(node, const(np.ones(width))) if node.deep else concat([node] * width)


def _coefficient(node: Node) -> tuple[float, Node]:
    """Scalar factor and the rest."""
    if node.op == "mul":
        first, second = node.args
        if first.constant and first.width == 1:
            return float(first.value[0, 0]), second
        if node.width > 1 and first.width == 1:
            c, rest = _coefficient(first)
            return c, mul(rest, second) if c != 1.0 else node
    return 1.0, node


def add(a: Node, b: Node) -> Node:
    """Sum, broadcasting width 1."""
    if (folded := _fold("add", a, b)) is not None:
        return folded
    if a.constant:
        a, b = b, a
    if is_const(b, 0.0):
        return widen(a, max(a.width, b.width))
    if (distributed := _distribute(add, a, b)) is not None:
        return distributed
    for x, y in ((a, b), (b, a)):
        if x.op == "add" and x.args[1].constant:  # constants go last
            if y.constant:
                return add(x.args[0], add(x.args[1], y))
            return add(add(x.args[0], y), x.args[1])
    if _is_mask(a) and _is_mask(b) and a.args[0] is b.args[0]:
        return where(a.args[0], add(a.args[1], b.args[1]), ZERO)
    (ca, xa), (cb, xb) = _coefficient(a), _coefficient(b)
    if xa is xb:
        return mul(const(ca + cb), xa)
    if ca == cb and ca != 1.0:
        return mul(const(ca), add(xa, xb))
    if b.constant or a.key < b.key:
        return _node("add", (a, b))
    return _node("add", (b, a))


def sub(a: Node, b: Node) -> Node:
    """Difference."""
    return add(a, neg(b))


def neg(a: Node) -> Node:
    """Negative."""
    return mul(const(-1.0), a)


def total(terms: Iterable[Node]) -> Node:
    """Sum of many terms, sharing factors that neighbours have in common."""
    result: dict[Node, Node] = {}
    plain = ZERO
    for term in terms:
        c, rest = _coefficient(term)
        if rest.op == "mul" and not rest.args[0].constant:
            # x*y + x*z costs one product less as x*(y + z)
            shared = next((f for f in rest.args if f in result), rest.args[0])
            other = rest.args[1] if shared is rest.args[0] else rest.args[0]
            cofactor = mul(const(c), other)
            result[shared] = add(result[shared], cofactor) if shared in result else cofactor
        else:
            plain = add(plain, term)
    for shared, cofactor in result.items():
        plain = add(plain, mul(shared, cofactor))
    return plain


def _is_mask(node: Node) -> bool:
    return node.op == "where" and is_const(node.args[2], 0.0)


def _base(node: Node) -> tuple[Node, float]:
    return (node.args[0], node.exponent) if node.op == "pow" else (node, 1.0)


def _join_powers(a: Node, b: Node) -> Node | None:
    """Product of two powers of one base, also one level inside a product; else None."""
    (base_a, p), (base_b, q) = _base(a), _base(b)
    if base_a is base_b:
        return power(base_a, p + q)
    for x, y in ((a, b), (b, a)):
        if x.op == "mul" and x.width == 1:
            for factor, other in (x.args, x.args[::-1]):
                if not factor.constant and _base(factor)[0] is _base(y)[0]:
                    return mul(other, mul(factor, y))
    return None


def mul(a: Node, b: Node) -> Node:
    """Product, broadcasting width 1."""
    if (folded := _fold("mul", a, b)) is not None:
        return folded
    width = max(a.width, b.width)
    if b.constant:
        a, b = b, a
    if is_const(a, 0.0):
        return const(np.zeros(width))
    if is_const(a, 1.0) and b.width == width:
        return b
    if a.constant and b.width == a.width > 1 and is_const(a, float(a.value[0, 0])):
        return mul(const(a.value[0]), b)
    if (distributed := _distribute(mul, a, b)) is not None:
        return distributed
    for x, y in ((a, b), (b, a)):
        if _is_mask(x):
            return where(x.args[0], mul(x.args[1], y), ZERO)
    if width > 1:
        return _wide_product(a, b)
    for x, y in ((a, b), (b, a)):
        if x.op == "mul" and x.args[0].constant:  # constants go first
            return (
                mul(mul(x.args[0], y), x.args[1])
                if y.constant
                else mul(x.args[0], mul(x.args[1], y))
            )
    if a.constant:
        return _node("mul", (a, b))
    if (joined := _join_powers(a, b)) is not None:
        return joined
    return _node("mul", (a, b) if a.key < b.key else (b, a))


def _wide_product(a: Node, b: Node) -> Node:
    """Product of width > 1 as narrow * wide."""
    narrow, wide = ONE, []
    for x in (a, b):
        if x.width == 1:
            narrow = mul(narrow, x)
        elif x.op == "mul" and x.args[0].width == 1:
            narrow = mul(narrow, x.args[0])
            wide.append(x.args[1])
        else:
            wide.append(x)
    core = wide[0]
    if len(wide) == 2:
        core = _core_product(*wide)
        if core.op == "mul" and core.args[0].width == 1:
            return mul(narrow, core)
    if is_const(narrow, 1.0) or is_const(core, 0.0):
        return core
    if core.op == "const" and is_const(narrow, 0.0):
        return const(np.zeros(core.width))
    return _node("mul", (narrow, core))


def _core_product(a: Node, b: Node) -> Node:
    if b.constant:
        a, b = b, a
    if a.constant:
        if b.constant:
            return const(a.value * b.value)
        if b.op == "mul" and b.args[0].constant:
            return mul(const(a.value * b.args[0].value), b.args[1])
        return _node("mul", (a, b))
    for x, y in ((a, b), (b, a)):
        if x.op == "mul" and x.args[0].constant:
            return mul(x.args[0], mul(x.args[1], y))
    (base_a, p), (base_b, q) = _base(a), _base(b)
    if base_a is base_b:
        return power(base_a, p + q)
    return _node("mul", (a, b) if a.key < b.key else (b, a))


def power(a: Node, p: float) -> Node:
    """``a`` to a constant power; non-integer powers take a positive base for granted."""
    p = float(p)
    if abs(p - round(12.0 * p) / 12.0) < 1e-12:
        p = round(12.0 * p) / 12.0  # 2/3 - 1 is -1/3, not its neighbour
    if p == 0.0:
        return const(np.ones(a.width))
    if p == 1.0:
        return a
    if a.constant:
        with np.errstate(all="ignore"):
            return const(a.value**p)
    if (distributed := _distribute(lambda x: power(x, p), a)) is not None:
        return distributed
    whole = p.is_integer()
    if a.op == "pow" and (whole or not a.exponent.is_integer()):
        return power(a.args[0], a.exponent * p)
    if a.op == "mul" and a.args[0].constant and (whole or np.all(a.args[0].value > 0.0)):
        return mul(power(a.args[0], p), power(a.args[1], p))
    if whole and a.width > 1 and a.op == "mul" and a.args[0].width == 1:
        return mul(power(a.args[0], p), power(a.args[1], p))
    return _node("pow", (a,), p)


def div(a: Node, b: Node) -> Node:
    """Quotient."""
    return mul(a, power(b, -1.0))


def sqrt(a: Node) -> Node:
    """Square root."""
    return power(a, 0.5)


def unary(op: str, a: Node) -> Node:
    """One of the functions of UNARY."""
    if (folded := _fold(op, a)) is not None:
        return folded
    if (distributed := _distribute(lambda x: unary(op, x), a)) is not None:
        return distributed
    if op == "log" and a.op == "pow" and not a.exponent.is_integer():
        return mul(const(a.exponent), unary("log", a.args[0]))
    return _node(op, (a,))


def binary(op: str, a: Node, b: Node) -> Node:
    """``max``, ``min``, ``greater`` or ``greater_equal``."""
    if (folded := _fold(op, a, b)) is not None:
        return folded
    if a is b and op in ("max", "min"):
        return a
    if (distributed := _distribute(lambda x, y: binary(op, x, y), a, b)) is not None:
        return distributed
    return _node(op, (a, b))


def where(condition: Node, a: Node, b: Node) -> Node:
    """``a`` where the condition holds, else ``b``."""
    width = max(condition.width, a.width, b.width)
    if condition.constant and (is_const(condition, 1.0) or is_const(condition, 0.0)):
        return widen(a if is_const(condition, 1.0) else b, width)
    if a is b:
        return widen(a, width)
    if (distributed := _distribute(where, condition, a, b)) is not None:
        return distributed
    return _node("where", (condition, a, b))


def concat(parts: Iterable[Node]) -> Node:
    """Rows of all parts, one below the other."""
    flat = [q for p in parts for q in _parts(p)]
    if len(flat) == 1:
        return flat[0]
    if all(p.constant for p in flat):
        return const(np.concatenate([p.value for p in flat]))
    return _node("concat", tuple(flat), width=sum(p.width for p in flat))


def column(a: Node, index: int) -> Node:
    """Row ``index`` of a node, as a node of width 1."""
    if a.width == 1:
        return a
    if a.constant:
        return const(a.value[index])
    if a.op == "concat":
        for part in a.args:
            if index < part.width:
                return column(part, index)
            index -= part.width
    if a.op == "matmul":
        return _node("column", (a,), index, width=1)
    return rebuild(a, [column(x, index) for x in a.args])


def take(a: Node, indices: Sequence[int]) -> Node:
    """Rows ``indices`` of a node, in this order."""
    indices = list(indices)
    if indices == list(range(a.width)):
        return a
    if a.op == "concat":
        origin = [(part, i) for part in a.args for i in range(part.width)]
        runs = groupby((origin[i] for i in indices), key=lambda found: found[0])
        return concat(take(part, [i for _, i in run]) for part, run in runs)
    if len(indices) > 1 and a.op == "matmul":
        return matmul(a.value[indices], a.args[0])
    if len(indices) > 1 and a.width > 1 and not a.constant:
        return rebuild(a, [take(x, indices) if x.width > 1 else x for x in a.args])
    return concat(column(a, i) for i in indices)


def matmul(weight: Array, a: Node) -> Node:
    """``weight (m, k) @ a (k, N)``."""
    weight = np.ascontiguousarray(weight, dtype=np.float64)
    if a.constant:
        return const(weight @ a.value)
    if a.width == 1:
        return mul(a, const(weight[:, 0]))
    if a.op == "concat":
        return _matmul_parts(weight, a.args)
    if a.op == "mul":
        first, second = a.args
        if first.width == 1:
            return mul(first, matmul(weight, second))
        if first.constant and len(weight) == 1:
            return matmul(weight * first.value.T, second)
    if a.op == "add" and a.args[1].constant and a.args[0].width == a.width:
        return add(matmul(weight, a.args[0]), const(weight @ widen(a.args[1], a.width).value))
    if not weight.any():
        return const(np.zeros(len(weight)))
    weight.setflags(write=False)
    return _node("matmul", (a,), weight, width=len(weight))


def _matmul_parts(weight: Array, parts: tuple[Node, ...]) -> Node:
    """Product with a concatenation: constants apart, columns together, wide parts one by one."""
    result = const(np.zeros(len(weight)))
    columns: list[Node] = []
    used: list[int] = []
    start = 0
    for part in parts:
        rows = weight[:, start : start + part.width]
        if part.constant or part.width > 1:
            result = add(result, matmul(rows, part))
        elif rows.any():
            columns.append(part)
            used.append(start)
        start += part.width
    if len(columns) == 1:
        return add(matmul(weight[:, used], columns[0]), result)
    if columns:
        kept = np.ascontiguousarray(weight[:, used])
        kept.setflags(write=False)
        joined = _node("concat", tuple(columns), width=len(columns))
        if len(kept) == 1:
            # A plain weighted sum of columns is cheaper without the concatenation.
            terms = [mul(const(w), c) for w, c in zip(kept[0], columns, strict=True)]
            return add(total(terms), result)
        return add(_node("matmul", (joined,), kept, width=len(kept)), result)
    return result


def sum_rows(a: Node) -> Node:
    """Sum over the rows, a node of width 1."""
    return a if a.width == 1 else matmul(np.ones((1, a.width)), a)


def rebuild(node: Node, args: Sequence[Node]) -> Node:
    """The same elementwise operation on other arguments."""
    simple: Mapping[str, Callable[..., Node]] = {"add": add, "mul": mul, "where": where}
    if node.op in simple:
        return simple[node.op](*args)
    if node.op == "pow":
        return power(args[0], node.exponent)
    return unary(node.op, args[0]) if node.op in UNARY else binary(node.op, *args)


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


def substitute(outputs: Sequence[Node], replacements: Mapping[Node, Node]) -> list[Node]:
    """Outputs with some of their nodes replaced, simplified again."""
    known = dict(replacements)
    for node in topological(outputs, replacements):
        if node in known or not node.args:
            known.setdefault(node, node)
            continue
        args = [known[a] for a in node.args]
        if node.op == "matmul":
            known[node] = matmul(node.value, args[0])
        elif node.op == "column":
            known[node] = column(args[0], node.index)
        elif node.op == "concat":
            known[node] = concat(args)
        else:
            known[node] = rebuild(node, args)
    return [known[node] for node in outputs]


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
