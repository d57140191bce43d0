"""Graphs that hand hidden values over, from the torch modules of a functional with channels.

Both stages may begin with the same layers. A module that gives these layers' values z (N, h) says
where to cut: the expressions of channels p and energy are rewritten as functions of z, which the
first stage gives once. Slopes are pulled back through the shared layers once, too:

    v = f_x + a p_x + (f_z + a p_z) z_x.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch

from xcnet import variables
from xcnet.errors import ExportError
from xcnet.export import algebra, graph
from xcnet.export.channels import Contracted, of_spin, points
from xcnet.export.differentiate import derivatives, layer_slopes
from xcnet.export.graph import Node
from xcnet.export.layers import substitute, sum_rows
from xcnet.export.trace import trace, trace_rows
from xcnet.sample import closed_shell, sample
from xcnet.spec import (
    ADJOINT,
    BACKWARD,
    CHANNELS,
    ENERGY,
    FORWARD,
    HIDDEN,
    HIDDEN_SLOPES,
    FunctionalSpec,
)

#: Input of a graph that is composed with another one at once.
SYMBOL = "slopes"

Outputs = dict[str, list[Node]]


def widths(module: torch.nn.Module, inputs: Sequence[str]) -> dict[int, int]:
    """Number of hidden values at a point, by spin."""
    spins = sample(inputs, 3, 0)
    totals, _ = closed_shell(spins)
    cases = {variables.POLARIZED: spins, variables.UNPOLARIZED: totals}
    return {
        spin: of_spin(module, spin)(**{n: torch.from_numpy(x) for n, x in values.items()}).shape[1]
        for spin, values in cases.items()
    }


class Shared:
    """The expressions of one spin, as functions of the variables and of the hidden values.

    Parameters
    ----------
    energy, channels, hidden : torch.nn.Module
        As for `xcnet.export.exporter.export`.
    spec : FunctionalSpec
        The functional.
    count : int
        Points that are traced.
    spin : int
        1 or 2.

    Raises
    ------
    ExportError
        The hidden values do not occur in a stage, or are layers of different widths.
    """

    def __init__(
        self,
        energy: torch.nn.Module,
        channels: torch.nn.Module,
        hidden: torch.nn.Module,
        spec: FunctionalSpec,
        count: int,
        spin: int,
    ) -> None:
        own = {n: torch.from_numpy(x) for n, x in points(spec, count, spin, 0).items()}
        all_ = sample(spec.variables, count, 0, spec.descriptors)
        if spin == variables.UNPOLARIZED:
            all_, _ = closed_shell(all_)
        read = {name: torch.from_numpy(x) for name, x in all_.items()}
        self.spec, self.spin = spec, spin
        variables_ = {name: own[name] for name in spec.inputs}
        rows = trace_rows(of_spin(hidden, spin), variables_)
        self.layers = list(rows.args) if rows.op == "concat" else [rows]
        self.width = rows.width
        self._inputs = [graph.column_input(n, i) for n, x in variables_.items() for i in _of(x)]
        self._read = {n: [graph.column_input(n, i) for i in _of(x)] for n, x in read.items()}
        self._adjoint = [graph.column_input(ADJOINT, i) for i in _of(own[ADJOINT])]
        self.contracted = self._cut(trace(Contracted(of_spin(channels, spin)), own), "channels")
        self.zk = self._cut(trace(of_spin(energy, spin), read), "energy")

    def wholes(self, name: str) -> list[Node]:
        """An input in the place of each layer."""
        parts = len(self.layers)
        return [graph.whole(name, i, parts, a.width) for i, a in enumerate(self.layers)]

    def _cut(self, expression: Node, what: str) -> Node:
        known = set(graph.topological([expression]))
        if len({layer.width for layer in self.layers}) > 1 or not known.issuperset(self.layers):
            raise ExportError(
                f"{self.spec.name}: the module of hidden values must give layers of one width, "
                f"side by side, that the {what} of spin {self.spin} are made of"
            )
        layers = dict(zip(self.layers, self.wholes(HIDDEN), strict=True))
        return substitute([expression], layers)[0]

    def outputs(self, part: str) -> Outputs:
        """Expressions of one part, in the order of its signature."""
        return {FORWARD: self._forward, ENERGY: self._energy, BACKWARD: self._backward}[part]()

    def _forward(self) -> Outputs:
        slopes = derivatives(self.contracted, self._adjoint, 1)
        channels = [slopes[(i,)] for i in range(len(self._adjoint))]
        whole = dict(zip(self.wholes(HIDDEN), self.layers, strict=True))
        return {CHANNELS: substitute(channels, whole), HIDDEN: self.layers}

    def _energy(self) -> Outputs:
        columns = [column for of_one in self._read.values() for column in of_one]
        energy = algebra.mul(reduce(algebra.add, self._read["rho"]), self.zk)
        slopes = derivatives(energy, columns, 1)
        values = iter(slopes[(i,)] for i in range(len(columns)))
        by_name = {f"v{n}": [next(values) for _ in of_one] for n, of_one in self._read.items()}
        hidden = layer_slopes(energy, self.wholes(HIDDEN))
        return {"zk": [self.zk], **by_name, HIDDEN_SLOPES: hidden}

    def _backward(self) -> Outputs:
        by_channels = layer_slopes(self.contracted, self.wholes(HIDDEN))
        given = zip(self.wholes(HIDDEN_SLOPES), by_channels, strict=True)
        total = [algebra.add(*pair) for pair in given]
        symbols = self.wholes(SYMBOL)
        products = zip(symbols, self.layers, strict=True)
        pulled = algebra.total([sum_rows(algebra.mul(*pair)) for pair in products])
        through = derivatives(pulled, self._inputs, 1)
        beside = derivatives(self.contracted, self._inputs, 1)
        keys = [(i,) for i in range(len(self._inputs))]
        known = dict(zip(symbols, total, strict=True))
        pulled_through = substitute([through[k] for k in keys], known)
        pairs = zip(pulled_through, [beside[k] for k in keys], strict=True)
        sums = iter([algebra.add(*pair) for pair in pairs])
        widths = {name: variables.width(name, self.spin) for name in self.spec.inputs}
        return {f"v{name}": [next(sums) for _ in range(k)] for name, k in widths.items()}


def _of(values: torch.Tensor) -> Sequence[int]:
    return range(values.shape[1])
