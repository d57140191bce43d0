"""Rows, matrix products and substitution: what mixes the rows of an expression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

import numpy as np

from xcnet.export.algebra import add, affine, mul, rebuild, total, widen
from xcnet.export.graph import Array, Node, concat, const, make, topological


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
    if a.op == "matmul" or (a.op == "add" and a.args[0].op == "matmul" and a.args[1].constant):
        return make("column", (a,), index, width=1)
    return rebuild(a, [column(x, index) for x in a.args])


def take(a: Node, indices: Sequence[int]) -> Node:
    """Rows ``indices`` of a node, in this order."""
    indices = list(indices)
    if indices == list(range(a.width)):
        return a
    if a.op == "concat":
        origin = [(part, i) for part in a.args for i in range(part.width)]
        runs = groupby((origin[i] for i in indices), key=lambda source: source[0])
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
    return make("matmul", (a,), weight, width=len(weight))


def _matmul_parts(weight: Array, parts: tuple[Node, ...]) -> Node:
    """Product with a concatenation: constants apart, columns together, wide parts one by one."""
    result = const(np.zeros(len(weight)))
    columns: list[Node] = []
    used: list[Array] = []
    start = 0
    for part in parts:
        rows = weight[:, start : start + part.width]
        if part.constant or part.width > 1:
            result = add(result, matmul(rows, part))
        elif rows.any():
            # The weights take in factors and offsets of the columns.
            factor, offset, core = affine(part)
            result = add(result, const(offset * rows))
            columns.append(core)
            used.append(factor * rows)
        start += part.width
    if len(columns) == 1:
        return add(matmul(used[0], columns[0]), result)
    if columns:
        kept = np.ascontiguousarray(np.concatenate(used, axis=1))
        kept.setflags(write=False)
        joined = make("concat", tuple(columns), width=len(columns))
        if len(kept) == 1:
            # A plain weighted sum of columns is cheaper without the concatenation.
            terms = [mul(const(w), c) for w, c in zip(kept[0], columns, strict=True)]
            return add(total(terms), result)
        return add(make("matmul", (joined,), kept, width=len(kept)), result)
    return result


def sum_rows(a: Node) -> Node:
    """Sum over the rows, a node of width 1."""
    return a if a.width == 1 else matmul(np.ones((1, a.width)), a)


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
