"""Derivatives of an expression to any order, sized for networks of density functionals.

The expression is split where it meets a network: E = f(y_1 ... y_k), where the *cut* columns y
enter matrix products, and everything that follows them is ``deep``. Inside f, first derivatives
come from one backward sweep, second ones from k forward tangents and that sweep
(d2E/dy_i dy_j is the sum over the nonlinear nodes v of dE/dv times the second differential of v),
so they cost about twice the network, not k times. Below the cut, single columns are left: there
the Taylor polynomial of E in the cut columns becomes the one in the inputs by substituting, node
by node from the output downwards, each node's own Taylor polynomial (edge pushing to any order:
R. M. Gower, M. P. Mello, Optim. Methods Softw. 27, 251 (2012), doi:10.1080/10556788.2011.580098).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations_with_replacement
from math import factorial, prod

import numpy as np

from xcnet.training.graph import (
    ONE,
    ZERO,
    Node,
    add,
    binary,
    column,
    column_input,
    concat,
    const,
    is_const,
    matmul,
    mul,
    power,
    sub,
    substitute,
    sum_rows,
    topological,
    total,
    unary,
    where,
    widen,
)

#: A product of perturbations of nodes, sorted by key, as the index of a Taylor coefficient.
Monomial = tuple[Node, ...]
Polynomial = dict[Monomial, Node]


def partials(node: Node) -> list[tuple[Node, Node]]:
    """Arguments of an elementwise node with the derivative by each; constants left out."""
    args = node.args
    found: list[tuple[Node, Node]]
    if node.op == "add":
        found = [(a, ONE) for a in args]
    elif node.op == "mul":
        found = [(args[0], args[1]), (args[1], args[0])]
    elif node.op in ("max", "min"):
        first = (_above if node.op == "max" else _below)(*args)
        found = [(args[0], first), (args[1], sub(ONE, first))]
    elif node.op == "where":
        found = [(args[1], where(args[0], ONE, ZERO)), (args[2], where(args[0], ZERO, ONE))]
    elif node.op in ("greater", "greater_equal", "sign"):
        found = []
    else:
        found = [(args[0], _slopes(node, 1)[0])] if not args[0].constant else []
    return [(a, slope) for a, slope in found if not a.constant]


#: Derivative of a function as a polynomial (rising powers) in its own value.
_OWN_VALUE: Mapping[str, tuple[float, ...]] = {
    "exp": (0.0, 1.0),
    "tanh": (1.0, 0.0, -1.0),
    "sigmoid": (0.0, 1.0, -1.0),
}


def _slopes(node: Node, order: int) -> list[Node]:
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
    if node.op == "softplus":
        sigmoid = unary("sigmoid", x)
        return [sigmoid, *(_slopes(sigmoid, order - 1) if order > 1 else [])]
    if node.op == "elu_plus_one":
        decay = unary("exp", binary("min", x, ZERO))
        below = mul(_below(x, ZERO), decay)
        return [decay, *[below] * (order - 1)]
    if node.op == "abs":
        return [unary("sign", x), *[ZERO] * (order - 1)]
    raise AssertionError(node.op)


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


class Tangent:
    """Forward differentiation along seeds: node -> its derivative along one direction."""

    def __init__(self, seeds: Mapping[Node, Node]) -> None:
        self._known = dict(seeds)

    def __call__(self, node: Node) -> Node:
        """Derivative of the node, of the node's width or of width 1."""
        for inner in topological([node], self._known):
            if inner not in self._known:
                self._known[inner] = self._step(inner)
        return self._known[node]

    def _step(self, node: Node) -> Node:
        known = self._known
        if node.op in ("const", "input"):
            return ZERO
        if node.op == "matmul":
            inner = known[node.args[0]]
            return matmul(node.value, widen(inner, node.args[0].width))
        if node.op == "column":
            return column(known[node.args[0]], node.index)
        if node.op == "concat":
            return concat(widen(known[a], a.width) for a in node.args)
        return total(mul(slope, known[a]) for a, slope in partials(node))


def _curvatures(node: Node) -> list[tuple[Node, Node, Node]]:
    """Second derivatives of an elementwise node: (argument, argument, value)."""
    if node.op == "mul":
        a, b = node.args
        return [] if a.constant or b.constant else [(a, b, ONE)]
    if node.op in ("add", "max", "min", "where", "greater", "greater_equal", "sign", "abs"):
        return []
    x = node.args[0]
    second = _slopes(node, 2)[1]
    return [] if is_const(second, 0.0) else [(x, x, second)]


def _taylor(node: Node, order: int) -> Polynomial:
    """Taylor polynomial of one width-1 elementwise node in its arguments, without order 0."""
    result: Polynomial = {}
    for a, slope in partials(node):
        result[(a,)] = add(result[(a,)], slope) if (a,) in result else slope
    if order >= 2 and node.op == "mul" and not any(a.constant for a in node.args):
        result[_sorted(node.args)] = ONE
    elif order >= 2 and len(node.args) == 1 and result:
        for n, slope in enumerate(_slopes(node, order), 1):
            result[node.args * n] = mul(const(1.0 / factorial(n)), slope)
    return {m: c for m, c in result.items() if not is_const(c, 0.0)}


def _sorted(nodes: Iterable[Node]) -> Monomial:
    return tuple(sorted(nodes, key=lambda node: node.key))


def _expanded(monomial: Monomial, node: Node, series: Polynomial, order: int) -> Polynomial:
    """``monomial`` with each perturbation of ``node`` replaced by its series, up to ``order``."""
    rest = tuple(m for m in monomial if m is not node)
    product: Polynomial = {(): ONE}
    for _ in range(len(monomial) - len(rest)):
        terms: dict[Monomial, list[Node]] = defaultdict(list)
        for left, a in product.items():
            for right, b in series.items():
                if len(left) + len(right) + len(rest) <= order:
                    terms[_sorted(left + right)].append(mul(a, b))
        product = {m: total(t) for m, t in terms.items()}
    return {_sorted(m + rest): c for m, c in product.items()}


def _substitute(polynomial: Polynomial, keep: set[Node], order: int) -> Polynomial:
    """Eliminate every node but those of ``keep``, outputs first."""
    roots = {node for monomial in polynomial for node in monomial}
    nodes = list(topological(sorted(roots, key=lambda node: node.key)))
    users = Counter(a for node in nodes for a in set(node.args))
    ready = [node for node in nodes if not users[node] and node not in keep]
    while ready:
        # Fewest entries first: they are the ones that this elimination multiplies.
        size = {node: sum(node in m for m in polynomial) for node in ready}
        node = min(ready, key=lambda node: (size[node], node.key))
        ready.remove(node)
        if size[node]:
            series = _taylor(node, order)
            terms: dict[Monomial, list[Node]] = defaultdict(list)
            for monomial, coefficient in polynomial.items():
                if node not in monomial:
                    terms[monomial].append(coefficient)
                    continue
                for m, c in _expanded(monomial, node, series, order).items():
                    terms[m].append(mul(coefficient, c))
            polynomial = {m: total(t) for m, t in terms.items()}
        for a in set(node.args):
            users[a] -= 1
            if not users[a] and a not in keep and not a.constant:
                ready.append(a)
    return {m: c for m, c in polynomial.items() if not is_const(c, 0.0)}


def cut(energy: Node) -> list[Node]:
    """Columns that are not deep but direct arguments of deep nodes, or the energy itself."""
    if not energy.deep:
        return [energy]
    found: dict[Node, None] = {}
    for node in topological([energy]):
        for a in node.args if node.deep else ():
            for part in a.args if a.op == "concat" else (a,):
                if not part.deep and not part.constant:
                    found[part] = None
    return list(found)


def _adjoints(energy: Node, leaves: set[Node]) -> dict[Node, Node]:
    """Derivative of the energy by every node between it and the leaves."""
    order = [n for n in topological([energy]) if n.deep or n in leaves or n.op == "concat"]
    terms: dict[Node, list[Node]] = defaultdict(list)
    rows: dict[Node, dict[int, list[Node]]] = defaultdict(lambda: defaultdict(list))
    terms[energy].append(ONE)
    result: dict[Node, Node] = {}
    for node in reversed(order):
        if node in rows:
            picked = [total(rows[node][i]) for i in range(node.width)]
            terms[node].append(concat(picked))
        if node not in terms:
            continue
        adjoint = result[node] = total(terms.pop(node))
        if node in leaves or is_const(adjoint, 0.0):
            continue
        if node.op == "matmul":
            terms[node.args[0]].append(matmul(node.value.T, widen(adjoint, node.width)))
        elif node.op == "column":
            rows[node.args[0]][node.index].append(adjoint)
        elif node.op == "concat":
            for i, a in enumerate(node.args):
                terms[a].append(column(widen(adjoint, node.width), i))
        else:
            for a, slope in partials(node):
                if not a.deep and a not in leaves and a.op != "concat":
                    continue
                product = mul(adjoint, slope)
                if a.width == 1 < node.width:
                    product = sum_rows(widen(product, node.width))
                terms[a].append(product)
    return result


def _network(energy: Node, order: int) -> Polynomial:
    """Taylor polynomial of the energy in its cut columns."""
    columns = cut(energy)
    if columns == [energy]:
        return {(energy,): ONE}
    # Symbols for the columns: simplification must not look through them while E is a function of
    # them (log(c x) would become log c + log x, which is no function of the column c x).
    symbols = [column_input("cut", i) for i in range(len(columns))]
    (opaque,) = substitute([energy], dict(zip(columns, symbols, strict=True)))
    found = _expansion(opaque, symbols, order)
    values = substitute(list(found.values()), dict(zip(symbols, columns, strict=True)))
    return {
        _sorted(columns[i] for i in indices): value
        for indices, value in zip(found, values, strict=True)
    }


def _expansion(energy: Node, symbols: Sequence[Node], order: int) -> dict[tuple[int, ...], Node]:
    """Taylor coefficients of the energy by positions of the columns."""
    leaves = set(symbols)
    adjoints = _adjoints(energy, leaves)
    result = {(i,): adjoints[y] for i, y in enumerate(symbols) if y in adjoints}
    if order == 1:
        return result
    tangents = [Tangent({z: ONE if z is y else ZERO for z in symbols}) for y in symbols]
    hessian = {}
    for i, j in combinations_with_replacement(range(len(symbols)), 2):
        hessian[i, j] = _second(energy, adjoints, tangents[i], tangents[j])
        result[i, j] = mul(const(0.5 if i == j else 1.0), hessian[i, j])
    for indices in combinations_with_replacement(range(len(symbols)), 3) if order >= 3 else ():
        third = tangents[indices[2]](hessian[indices[:2]])
        weight = 1.0 / prod(factorial(n) for n in Counter(indices).values())
        result[indices] = mul(const(weight), third)
    return result


def _second(energy: Node, adjoints: Mapping[Node, Node], first: Tangent, other: Tangent) -> Node:
    """Second derivative of the energy along two directions in the cut columns."""
    by_width: dict[int, list[Node]] = defaultdict(list)
    for node in topological([energy]):
        if not node.deep or node not in adjoints or node.op in ("matmul", "column", "concat"):
            continue
        for a, b, curvature in _curvatures(node):
            weight = mul(adjoints[node], curvature)
            # In this order, so that weight * first(a) is shared by all other directions.
            products = [mul(mul(weight, first(a)), other(b))]
            if a is not b:
                products.append(mul(mul(weight, first(b)), other(a)))
            for product in products:
                wide = widen(product, node.width)
                # A first layer's tangents are constant: the sum over rows takes them in.
                plain = any(a.constant and a.width > 1 for a in _core(wide).args)
                by_width[0 if plain else wide.width].append(sum_rows(wide) if plain else wide)
    return total(
        term
        for width, terms in by_width.items()
        for term in (terms if not width else [sum_rows(widen(total(terms), width))])
    )


def _core(node: Node) -> Node:
    """Wide factor of a product."""
    return node.args[1] if node.op == "mul" and node.args[0].width < node.width else node


def derivatives(energy: Node, inputs: Sequence[Node], order: int) -> dict[tuple[int, ...], Node]:
    """All derivatives of an energy of width 1 up to ``order``.

    Parameters
    ----------
    energy : Node
        Expression of the ``inputs``.
    inputs : sequence of Node
        Input columns.
    order : int
        Highest order, 1 or more (4 and more only for expressions without matrix products).

    Returns
    -------
    dict
        Sorted tuple of positions in ``inputs`` -> derivative; those that vanish are ZERO.
    """
    if energy.deep and order > 3:
        raise ValueError("derivatives beyond the third are not available for networks")
    polynomial = _substitute(_network(energy, order), set(inputs), order)
    result = {}
    for n in range(1, order + 1):
        for indices in combinations_with_replacement(range(len(inputs)), n):
            coefficient = polynomial.get(_sorted(inputs[i] for i in indices), ZERO)
            weight = prod(factorial(count) for count in Counter(indices).values())
            result[indices] = mul(const(float(weight)), coefficient)
    return result
