"""From a torch module to an expression graph.

The module runs once on N points while every operation on a tensor that depends on the inputs is
recorded. There are three kinds of operations, and torch itself says what each one does:

- elementwise functions: a table;
- structural ones (views, slices, concatenations ...): run once more on tensors of row numbers and
  of point numbers, which shows where every element of the result comes from;
- linear ones (sums over features, matrix products): run on unit vectors, which gives the matrix.

Operations on parameters and other constants only just run, so constants are folded.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

from xcnet.errors import ExportError
from xcnet.export.algebra import add, mul
from xcnet.export.graph import Node, column_input, concat, const
from xcnet.export.layers import column, matmul, take
from xcnet.export.operations import (
    ADVICE,
    CHAINS,
    CONSTANT,
    ELEMENTWISE,
    KNOWN,
    LINEAR,
    REWRITTEN,
    STRUCTURAL,
)
from xcnet.export.traced import Traced, sources


class _Mode(TorchDispatchMode):
    """Records the operations on traced tensors."""

    def __init__(self, n: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.n = n
        self._known: dict[int, tuple[Tensor, Traced]] = {}

    def put(self, tensor: Tensor, value: Traced) -> None:
        self._known[id(tensor)] = (tensor, value)  # held, so that the id stays taken

    def get(self, leaf: object) -> Traced | None:
        entry = self._known.get(id(leaf)) if isinstance(leaf, Tensor) else None
        return entry[1] if entry else None

    def __torch_dispatch__(
        self, func: Any, types: object, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        leaves, _ = tree_flatten((args, kwargs))
        traced = [x for x in leaves if self.get(x) is not None]
        name = func.overloadpacket.__name__
        if not traced or name in CONSTANT:
            return func(*args, **kwargs)
        if name not in KNOWN:
            return self._decomposed(func, name, args, kwargs)
        result = func(*args, **kwargs)
        try:
            self._record(func, name, args, kwargs, result)
        except ExportError as error:
            raise ExportError(f"{name}: {error}", operation=name) from error
        return result

    def _decomposed(self, func: Any, name: str, args: Any, kwargs: Any) -> Any:
        """Run an unknown operation as the known ones that it is made of."""
        rule = REWRITTEN.get(name) or torch._decomp.decomposition_table.get(func)
        in_place = name.endswith("_") and not name.endswith("__")
        if name not in ADVICE and not in_place:
            with self:
                result = func.decompose(*args, **kwargs)
                if result is not NotImplemented:
                    return result
                if rule is not None:
                    return rule(*args, **kwargs)
        advice = ADVICE.get(name, f"operations that are known: {', '.join(sorted(KNOWN))}")
        if in_place:
            advice = "write it without changing a tensor in place (torch.stack, torch.cat)"
        raise ExportError(f"operation {name} is not supported; {advice}", operation=name)

    def _record(self, func: Any, name: str, args: Any, kwargs: Any, result: Any) -> None:
        if name in STRUCTURAL:
            self._structural(func, args, kwargs, result)
        elif name in LINEAR:
            self._linear(func, args, kwargs, result)
        elif name in ("addmm", "addmv"):
            bias, x, y = args
            product = torch.matmul(x, y)
            self._linear(torch.matmul, (x, y), {}, product)
            alpha, beta = kwargs.get("alpha", 1), kwargs.get("beta", 1)

            def affine(b: Node, p: Node) -> Node:
                return add(mul(const(beta), b), mul(const(alpha), p))

            self._elementwise(affine, (bias, product), result)
        elif name in CHAINS:
            self._chain(CHAINS[name], args, kwargs, result)
        else:
            rule = ELEMENTWISE[name]
            operands = [x for x in args if isinstance(x, Tensor)]

            def build(*nodes: Node) -> Node:
                queue = iter(nodes)
                return rule(*(next(queue) if isinstance(x, Tensor) else x for x in args), **kwargs)

            self._elementwise(build, operands, result)

    def _structural(self, func: Any, args: Any, kwargs: Any, result: Any) -> None:
        leaves, tree = tree_flatten((args, kwargs))
        parts: list[Node] = []
        rows, points = list(leaves), list(leaves)
        width = 0
        for i, leaf in enumerate(leaves):
            if isinstance(leaf, Tensor) and (leaf.is_floating_point() or leaf.dtype == torch.bool):
                value = self.get(leaf) or self._constant(leaf)
                rows[i], points[i] = value.numbers(width)
                parts.append(value.full())
                width += value.rows
        if isinstance(kwargs.get("dtype"), torch.dtype) and kwargs["dtype"] != torch.float64:
            raise ExportError(
                f"turns float64 into {kwargs['dtype']}; the module must stay in float64"
            )
        node = concat(parts)

        def run(moved: list[Any]) -> list[Tensor]:
            new_args, new_kwargs = tree_unflatten(moved, tree)
            new_kwargs.pop("dtype", None)
            outcome = func(*new_args, **new_kwargs)
            return [outcome] if isinstance(outcome, Tensor) else list(outcome)

        outputs = [result] if isinstance(result, Tensor) else list(result)
        for output, r, p in zip(outputs, run(rows), run(points), strict=True):
            source, axis = sources(r, p, self.n)
            self.put(output, Traced(take(node, source), tuple(output.shape), axis))

    def _constant(self, tensor: Tensor) -> Traced:
        """Turn a constant that has one equal value for each point into a traced one."""
        for axis, size in enumerate(tensor.shape):
            if size == self.n and bool((tensor == tensor.select(axis, 0).unsqueeze(axis)).all()):
                value = tensor.select(axis, 0).reshape(-1)
                return Traced(const(_numpy(value)), tuple(tensor.shape), axis)
        raise ExportError(
            f"a constant of shape {tuple(tensor.shape)} has no axis of points with equal values"
        )

    def _elementwise(self, build: Callable[..., Node], operands: Any, result: Tensor) -> None:
        if result.dtype not in (torch.float64, torch.bool):
            raise ExportError(f"the result is {result.dtype}; the module must stay in float64")
        axes = set()
        nodes = []
        for operand in operands:
            value = self.get(operand)
            if value is None:
                nodes.append(operand)
                continue
            rows, points = (torch.broadcast_to(x, result.shape) for x in value.numbers())
            source, axis = sources(rows, points, self.n)
            axes.add(axis)
            nodes.append(value.node if value.node.width == 1 else take(value.node, source))
        if len(axes) != 1:
            raise ExportError("it combines different points")
        (axis,) = axes
        nodes = [x if isinstance(x, Node) else self._row(x, result, axis) for x in nodes]
        self.put(result, Traced(build(*nodes), tuple(result.shape), axis))

    def _row(self, tensor: Tensor, result: Tensor, axis: int) -> Node:
        """Turn a constant operand into one value per row, or one if all are equal."""
        full = torch.broadcast_to(tensor, result.shape)
        row = full.select(axis, 0)
        if not bool((full == row.unsqueeze(axis)).all() | full.isnan().any()):
            raise ExportError("it uses a constant that is different at each point")
        values = _numpy(row.reshape(-1))
        return const(values[:1] if (values == values[0]).all() else values)

    def _linear(self, func: Any, args: Any, kwargs: Any, result: Tensor) -> None:
        leaves, tree = tree_flatten((args, kwargs))
        where = [i for i, x in enumerate(leaves) if self.get(x) is not None]
        if len(where) != 1:
            raise ExportError("it multiplies two tensors of the inputs; write (x * y).sum(1)")
        value = cast(Traced, self.get(leaves[where[0]]))
        axes = [a for a, size in enumerate(result.shape) if size == self.n]
        if len(axes) != 1:
            raise ExportError("it combines different points; sum over features only")
        rows, points = value.numbers()

        def probe(x: Tensor) -> Any:
            moved = [x if i == where[0] else leaf for i, leaf in enumerate(leaves)]
            new_args, new_kwargs = tree_unflatten(moved, tree)
            output = func(*new_args, **new_kwargs)
            return _numpy(output.movedim(axes[0], 0).reshape(self.n, -1)).T

        # Unit vector i sits at point i: one run gives as many columns as there are points.
        blocks = [probe((rows == points + i).double()) for i in range(0, value.rows, self.n)]
        weight = np.concatenate(blocks, axis=1)[:, : value.rows]
        values = leaves[where[0]].movedim(value.axis, 0).reshape(self.n, -1)
        expected = probe(leaves[where[0]])
        scale = np.abs(weight) @ np.abs(_numpy(values)).T
        if not np.all(np.abs(weight @ _numpy(values).T - expected) <= 1e-10 * scale):
            raise ExportError("it combines different points")
        self.put(result, Traced(matmul(weight, value.full()), tuple(result.shape), axes[0]))

    def _chain(
        self, build: Callable[[Node, Node], Node], args: Any, kwargs: Any, result: Any
    ) -> None:
        """Combine values over features, one after the other."""
        value = cast(Traced, self.get(args[0]))
        rows, _ = value.numbers()
        dims = args[1] if len(args) > 1 else kwargs.get("dim")
        dims = [dims] if isinstance(dims, int) else dims or range(len(value.shape))
        if value.axis in [d % len(value.shape) for d in dims]:
            raise ExportError("it combines different points; reduce over features only")
        kept = rows.amin(tuple(dims), keepdim=True)
        node = value.full()
        best = []
        for first in sorted(set(kept.reshape(-1).tolist())):
            group = [i for i in range(value.rows) if bool(((rows == i) & (kept == first)).any())]
            best.append(reduce(build, (column(node, i) for i in group)))
        axis = next(a for a, size in enumerate(result.shape) if size == self.n)
        self.put(result, Traced(concat(best), tuple(result.shape), axis))


def _numpy(tensor: Tensor) -> Any:
    return tensor.detach().to(torch.float64).numpy()


def _place(error: BaseException) -> str:
    """Line of the module's own code where the error came up."""
    own = ("/torch/", "xcnet/export/trace.py", "xcnet/export/operations.py")
    stack = traceback.extract_tb(error.__traceback__)
    frames = [f for f in stack if not any(part in f.filename for part in own)]
    return (
        f' in {frames[-1].filename}, line {frames[-1].lineno}: "{frames[-1].line}"'
        if frames
        else ""
    )


def trace(module: Callable[..., Tensor], inputs: Mapping[str, Tensor]) -> Node:
    """Expression graph of the energy per particle that a module computes.

    Parameters
    ----------
    module : callable
        Called with the inputs as keyword arguments; returns (N,) or (N, 1).
    inputs : mapping
        Density variables ``(N, k)`` in float64. N must be different from all other sizes that
        occur in the module: constants are told from points by it.

    Returns
    -------
    Node
        Of width 1, in the input columns ``(name, component)``.

    Raises
    ------
    ExportError
        An operation is not supported, leaves float64, changes a tensor in place, or mixes
        points; or the module itself failed. The message has the line of the module.
    """
    n = len(next(iter(inputs.values())))
    output, mode = _run(module, inputs)
    if not isinstance(output, Tensor) or tuple(output.shape) not in ((n,), (n, 1)):
        shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ExportError(f"the module must return ({n},) or ({n}, 1) for {n} points, not {shape}")
    return _node(output, mode)


def trace_rows(module: Callable[..., Tensor], inputs: Mapping[str, Tensor]) -> Node:
    """The same of a module that returns (N, k), as a node of width k (ExportError)."""
    n = len(next(iter(inputs.values())))
    output, mode = _run(module, inputs)
    if not isinstance(output, Tensor) or output.ndim != 2 or len(output) != n:
        raise ExportError(f"the module must return ({n}, k) for {n} points")
    return _node(output, mode)


def _run(module: Callable[..., Tensor], inputs: Mapping[str, Tensor]) -> tuple[Any, _Mode]:
    """What a module returns, and what was recorded."""
    mode = _Mode(len(next(iter(inputs.values()))))
    # A fresh tensor for each input: the caller's may be a view of another one.
    fresh = tree_map(lambda x: x.detach().clone(), dict(inputs))
    for name, tensor in fresh.items():
        columns = [column_input(name, i) for i in range(tensor.shape[1])]
        mode.put(tensor, Traced(concat(columns), tuple(tensor.shape), 0))
    try:
        with torch.no_grad(), mode:
            output = module(**fresh)
    except ExportError as error:
        raise ExportError(f"the module cannot be exported{_place(error)}: {error}") from error
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise ExportError(f"the module failed{_place(error)}: {reason}") from error
    return output, mode


def _node(output: Tensor, mode: _Mode) -> Node:
    value = mode.get(output)
    return value.full() if value else mode._constant(output).full()
