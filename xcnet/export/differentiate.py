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

from xcnet.export.algebra import add, mul, total, widen
from xcnet.export.graph import ONE, ZERO, Node, column_input, concat, const, is_const, topological
from xcnet.export.layers import column, matmul, substitute, sum_rows
from xcnet.export.slopes import curvatures, partials, slopes

#: A product of perturbations of nodes, sorted by key, as the index of a Taylor coefficient.
Monomial = tuple[Node, ...]
Polynomial = dict[Monomial, Node]


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


def _taylor(node: Node, order: int) -> Polynomial:
    """Taylor polynomial of one width-1 elementwise node in its arguments, without order 0."""
    result: Polynomial = {}
    for a, slope in partials(node):
        result[(a,)] = add(result[(a,)], slope) if (a,) in result else slope
    if order >= 2 and node.op == "mul" and not any(a.constant for a in node.args):
        result[_sorted(node.args)] = ONE
    elif order >= 2 and len(node.args) == 1 and result:
        for n, slope in enumerate(slopes(node, order), 1):
            result[node.args * n] = mul(const(1.0 / factorial(n)), slope)
    return {m: c for m, c in result.items() if not is_const(c, 0.0)}


def _chokes(nodes: Iterable[Node]) -> dict[Node, Node | None]:
    """Lowest node that each node is a function of alone, if there is one other than itself."""
    near: dict[Node, Node | None] = {}  # the next such node below
    depth: dict[Node | None, int] = {None: 0}
    for node in nodes:
        below: list[Node | None] = [a for a in dict.fromkeys(node.args) if not a.constant]
        while len(set(below)) > 1:
            deepest = max(below, key=lambda a: depth[a])
            below = [near[a] if a is deepest and a is not None else a for a in below]
        near[node] = below[0] if below else None
        depth[node] = depth[near[node]] + 1
    lowest: dict[Node, Node | None] = {}
    for node, a in near.items():
        lowest[node] = (lowest[a] or a) if a is not None else None
    return lowest


def _series(node: Node, x: Node, order: int) -> Polynomial:
    """Taylor polynomial of a node that is a function of the column ``x`` alone."""
    symbol = column_input("x", 0)
    (value,) = substitute([node], {x: symbol})
    along = Tangent({symbol: ONE})
    derivatives = [along(value)]
    while len(derivatives) < order:
        derivatives.append(along(derivatives[-1]))
    values = substitute(derivatives, {symbol: x})
    return {(x,) * n: mul(const(1.0 / factorial(n)), v) for n, v in enumerate(values, 1)}


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
    chokes = _chokes(topological(sorted(roots, key=lambda node: node.key)))
    nodes = list(topological(sorted(roots, key=lambda node: node.key)))
    users = Counter(a for node in nodes for a in set(node.args))
    ready = [node for node in nodes if not users[node] and node not in keep]
    while ready:
        # Fewest entries first: they are the ones that this elimination multiplies.
        size = {node: sum(node in m for m in polynomial) for node in ready}
        node = min(ready, key=lambda node: (size[node], node.key))
        ready.remove(node)
        if size[node]:
            choke = chokes[node]
            series = _series(node, choke, order) if choke else _taylor(node, order)
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
    cuts: dict[Node, None] = {}
    for node in topological([energy]):
        for a in node.args if node.deep else ():
            for part in a.args if a.op == "concat" else (a,):
                if not part.deep and not part.constant:
                    cuts[part] = None
    return list(cuts)


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
    coefficients = _expansion(opaque, symbols, order)
    values = substitute(list(coefficients.values()), dict(zip(symbols, columns, strict=True)))
    return {
        _sorted(columns[i] for i in indices): value
        for indices, value in zip(coefficients, values, strict=True)
    }


def layer_slopes(energy: Node, layers: Sequence[Node]) -> list[Node]:
    """First derivatives of an energy by inputs that are whole layers, in their widths."""
    columns = cut(energy)
    symbols = [column_input("cut", i) for i in range(len(columns))]
    (opaque,) = substitute([energy], dict(zip(columns, symbols, strict=True)))
    adjoints = _adjoints(opaque, {*symbols, *layers})
    values = [widen(adjoints.get(layer, ZERO), layer.width) for layer in layers]
    return substitute(values, dict(zip(symbols, columns, strict=True)))


def _expansion(energy: Node, symbols: Sequence[Node], order: int) -> dict[tuple[int, ...], Node]:
    """Taylor coefficients of the energy by positions of the columns."""
    leaves = set(symbols)
    adjoints = _adjoints(energy, leaves)
    result: dict[tuple[int, ...], Node] = {
        (i,): adjoints[y] for i, y in enumerate(symbols) if y in adjoints
    }
    if order == 1:
        return result
    tangents = [Tangent({z: ONE if z is y else ZERO for z in symbols}) for y in symbols]
    hessian: dict[tuple[int, ...], Node] = {}
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
        for a, b, curvature in curvatures(node):
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
