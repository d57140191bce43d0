"""Elementwise operations on expressions, simplified while they are built.

Three forms make differentiation and evaluation cheap:

- operations on concatenated columns act on the columns, so everything that a network's first
  layer takes is made of single columns;
- a wide product is ``narrow * wide``, and the narrow factor moves out of matrix products;
- a column's mask ``where(condition, x, 0)`` moves out of products, so that an infinite derivative
  in the branch that is not taken is never multiplied by zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce

import numpy as np

from xcnet.export.graph import ELEMENTWISE, ONE, UNARY, ZERO, Node, concat, const, is_const, make


def _fold(op: str, *args: Node) -> Node | None:
    """Constant result of an operation on constants, else None."""
    if not all(a.constant for a in args):
        return None
    with np.errstate(all="ignore"):
        return const(np.asarray(ELEMENTWISE[op](*(a.value for a in args)), dtype=np.float64))


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


def affine(node: Node) -> tuple[float, float, Node]:
    """Factor, offset and the rest of ``factor * rest + offset``, for a node of width 1."""
    factor, offset = 1.0, 0.0
    while True:
        if node.op == "add" and node.args[1].constant:
            offset += factor * float(node.args[1].value[0, 0])
            node = node.args[0]
        elif node.op == "mul" and node.args[0].constant:
            factor *= float(node.args[0].value[0, 0])
            node = node.args[1]
        else:
            return factor, offset, node


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
        return make("add", (a, b))
    return make("add", (b, a))


def sub(a: Node, b: Node) -> Node:
    """Difference."""
    return add(a, neg(b))


def neg(a: Node) -> Node:
    """Negative."""
    return mul(const(-1.0), a)


def total(terms: Iterable[Node]) -> Node:
    """Sum of many terms: x*y + x*z, which costs one product less as x*(y + z), with shared x."""
    groups: dict[Node, list[tuple[Node, Node]]] = {}
    result = ZERO
    for term in terms:
        c, product = _coefficient(term)
        if product.op != "mul":
            result = add(result, term)
            continue
        cores = [
            (*_coefficient(f), other)
            for f, other in zip(product.args, product.args[::-1], strict=True)
        ]
        factor, core, other = next((x for x in cores if x[1] in groups), cores[0])
        groups.setdefault(core, []).append((term, mul(const(c * factor), other)))
    for core, members in groups.items():
        alone = len(members) == 1
        rest = members[0][0] if alone else mul(core, _sum(cofactor for _, cofactor in members))
        result = add(result, rest)
    return result


def _sum(terms: Iterable[Node]) -> Node:
    return reduce(add, terms, ZERO)


def _is_mask(node: Node) -> bool:
    return node.op == "where" and is_const(node.args[2], 0.0)


def _base(node: Node) -> tuple[Node, float]:
    return (node.args[0], node.exponent) if node.op == "pow" else (node, 1.0)


def _join(a: Node, b: Node) -> Node | None:
    """Product of two powers of one base, or x / sqrt(1 + x^2) as one function; else None."""
    (base_a, p), (base_b, q) = _base(a), _base(b)
    if base_a is base_b:
        return power(base_a, p + q)
    for x, y in ((a, b), (b, a)):
        # Its derivative is one power of 1 + x^2; the product rule would find a sum of two.
        if y.op == "pow" and y.exponent == -0.5 and y.args[0] is one_plus_square(x):
            return unary("algebraic", x)
    return None


def one_plus_square(x: Node) -> Node:
    """1 + x^2."""
    return add(power(x, 2.0), ONE)


def _join_inside(a: Node, b: Node) -> Node | None:
    """Product that joins powers one level inside a product; else None."""
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
    if a.constant:
        if b.op == "mul" and b.args[0].constant:
            return mul(mul(a, b.args[0]), b.args[1])
        return make("mul", (a, b))
    for x, y in ((a, b), (b, a)):
        if x.op == "mul" and is_const(x.args[0], -1.0):  # signs go first: sums subtract them
            return neg(mul(x.args[1], y))
    if (joined := _join(a, b) or _join_inside(a, b)) is not None:
        return joined
    return make("mul", (a, b) if a.key < b.key else (b, a))


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
    return make("mul", (narrow, core))


def _core_product(a: Node, b: Node) -> Node:
    if b.constant:
        a, b = b, a
    if a.constant:
        if b.constant:
            return const(a.value * b.value)
        if b.op == "mul" and b.args[0].constant:
            return mul(const(a.value * b.args[0].value), b.args[1])
        return make("mul", (a, b))
    for x, y in ((a, b), (b, a)):
        if x.op == "mul" and x.args[0].constant:
            return mul(x.args[0], mul(x.args[1], y))
    return _join(a, b) or make("mul", (a, b) if a.key < b.key else (b, a))


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
    # Not for even inner powers, which forget a sign: sqrt(x^2) is |x|.
    if a.op == "pow" and (whole or a.exponent % 2.0 != 0.0):
        return power(a.args[0], a.exponent * p)
    if a.op == "mul" and a.args[0].constant and (whole or np.all(a.args[0].value > 0.0)):
        return mul(power(a.args[0], p), power(a.args[1], p))
    if whole and a.width > 1 and a.op == "mul" and a.args[0].width == 1:
        return mul(power(a.args[0], p), power(a.args[1], p))
    return make("pow", (a,), p)


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
    return make(op, (a,))


def binary(op: str, a: Node, b: Node) -> Node:
    """``max``, ``min``, ``greater`` or ``greater_equal``."""
    if (folded := _fold(op, a, b)) is not None:
        return folded
    if a is b and op in ("max", "min"):
        return a
    if (distributed := _distribute(lambda x, y: binary(op, x, y), a, b)) is not None:
        return distributed
    return make(op, (a, b))


def where(condition: Node, a: Node, b: Node) -> Node:
    """``a`` where the condition holds, else ``b``."""
    width = max(condition.width, a.width, b.width)
    if condition.constant and (is_const(condition, 1.0) or is_const(condition, 0.0)):
        return widen(a if is_const(condition, 1.0) else b, width)
    if a is b:
        return widen(a, width)
    if (distributed := _distribute(where, condition, a, b)) is not None:
        return distributed
    return make("where", (condition, a, b))


def rebuild(node: Node, args: Sequence[Node]) -> Node:
    """The same elementwise operation on other arguments."""
    simple: Mapping[str, Callable[..., Node]] = {"add": add, "mul": mul, "where": where}
    if node.op in simple:
        return simple[node.op](*args)
    if node.op == "pow":
        return power(args[0], node.exponent)
    return unary(node.op, args[0]) if node.op in UNARY else binary(node.op, *args)
