"""Derivatives of single nodes by their arguments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import pi, sqrt

import numpy as np

from xcnet.export.algebra import add, binary, mul, one_plus_square, power, sub, unary, where
from xcnet.export.error_function import gaussian
from xcnet.export.graph import ONE, ZERO, Node, const, is_const

#: Derivative of a function as a polynomial (rising powers) in its own value.
_OWN_VALUE: Mapping[str, tuple[float, ...]] = {
    "exp": (0.0, 1.0),
    "tanh": (1.0, 0.0, -1.0),
    "sigmoid": (0.0, 1.0, -1.0),
}


def partials(node: Node) -> list[tuple[Node, Node]]:
    """Arguments of an elementwise node with the derivative by each; constants left out."""
    args = node.args
    if not args:
        return []
    pairs: list[tuple[Node, Node]]
    if node.op == "add":
        pairs = [(a, ONE) for a in args]
    elif node.op == "mul":
        pairs = [(args[0], args[1]), (args[1], args[0])]
    elif node.op in ("max", "min"):
        first = (_above if node.op == "max" else _below)(*args)
        pairs = [(args[0], first), (args[1], sub(ONE, first))]
    elif node.op == "where":
        pairs = [(args[1], where(args[0], ONE, ZERO)), (args[2], where(args[0], ZERO, ONE))]
    elif node.op in ("greater", "greater_equal", "sign"):
        pairs = []
    else:
        pairs = [(args[0], slopes(node, 1)[0])] if not args[0].constant else []
    return [(a, slope) for a, slope in pairs if not a.constant]


def slopes(node: Node, order: int) -> list[Node]:
    """Derivatives 1 to ``order`` of a function of one argument by that argument."""
    x = node.args[0]
    if node.op in _OWN_VALUE:
        first = np.polynomial.Polynomial(_OWN_VALUE[node.op])
        chain = [first]
        while len(chain) < order:
            chain.append(chain[-1].deriv() * first)
        return [_polynomial(c.coef, node) for c in chain]
    if node.op in ("pow", "log"):
        p = node.exponent if node.op == "pow" else 0.0
        factors = [p if node.op == "pow" else 1.0]
        while len(factors) < order:
            factors.append(factors[-1] * (p - len(factors)))
        return [mul(const(f), power(x, p - n)) for n, f in enumerate(factors, 1)]
    if node.op == "algebraic":
        return _algebraic_slopes(x, order)
    if node.op == "softplus":
        sigmoid = unary("sigmoid", x)
        return [sigmoid, *(slopes(sigmoid, order - 1) if order > 1 else [])]
    if node.op == "elu_plus_one":
        decay = unary("exp", binary("min", x, ZERO))
        below = mul(_below(x, ZERO), decay)
        return [decay, *[below] * (order - 1)]
    if node.op in ("erf", "normal_cdf"):
        return _bell_slopes(node, order)
    if node.op == "abs":
        return [unary("sign", x), *[ZERO] * (order - 1)]
    raise AssertionError(node.op)


def _algebraic_slopes(x: Node, order: int) -> list[Node]:
    """Derivatives of x / sqrt(1 + x^2): a polynomial times (1 + x^2)^-(n + 1/2)."""
    base, polynomial, result = one_plus_square(x), np.polynomial.Polynomial([1.0]), []
    for n in range(1, order + 1):
        result.append(mul(_polynomial(polynomial.coef, x), power(base, -n - 0.5)))
        polynomial = polynomial.deriv() * np.polynomial.Polynomial([1.0, 0.0, 1.0]) - (
            2 * n + 1
        ) * polynomial * np.polynomial.Polynomial([0.0, 1.0])
    return result


def _bell_slopes(node: Node, order: int) -> list[Node]:
    """Derivatives of erf or of the normal distribution's cumulative function: Hermite's."""
    x = node.args[0]
    scale, height = (sqrt(2.0), 2.0 / sqrt(pi)) if node.op == "erf" else (1.0, sqrt(0.5 / pi))
    bell = mul(const(height), gaussian(mul(const(scale), x)))
    hermite, result = np.polynomial.Polynomial([1.0]), []
    for _ in range(order):
        result.append(mul(_polynomial(hermite.coef, x), bell))
        hermite = hermite.deriv() - scale**2 * np.polynomial.Polynomial([0.0, 1.0]) * hermite
    return result


def _polynomial(coefficients: Iterable[float], x: Node) -> Node:
    """Horner's scheme."""
    result = ZERO
    for c in reversed(list(coefficients)):
        result = add(mul(result, x), const(float(c)))
    return result


def _below(x: Node, limit: Node) -> Node:
    """Return 1 where ``x < limit``, else 0.

    A column gets a mask, which moves out of products; for layers the sign is five times faster.
    """
    if x.width > 1 and limit.constant:
        return unary("sign", sub(limit, binary("min", x, limit)))
    return where(binary("greater", limit, x), ONE, ZERO)


def _above(x: Node, limit: Node) -> Node:
    """Return 1 where ``x > limit``, else 0."""
    if x.width > 1 and limit.constant:
        return unary("sign", sub(binary("max", x, limit), limit))
    return where(binary("greater", x, limit), ONE, ZERO)


def curvatures(node: Node) -> list[tuple[Node, Node, Node]]:
    """Second derivatives of an elementwise node: (argument, argument, value)."""
    if node.op == "mul":
        a, b = node.args
        return [] if a.constant or b.constant else [(a, b, ONE)]
    if node.op in ("add", "max", "min", "where", "greater", "greater_equal", "sign", "abs"):
        return []
    x = node.args[0]
    second = slopes(node, 2)[1]
    return [] if is_const(second, 0.0) else [(x, x, second)]
