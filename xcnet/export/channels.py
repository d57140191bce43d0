"""The first stage of a functional: graphs that make channels, from a torch module.

The module gives channels p (N, c) of the density variables. Its graphs are those of the scalar
a . p with the adjoint a (N, c) as one more input: the derivative by a is p itself, those by the
variables are what the adjoint of the operator behind is pulled back with.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from xcnet import engine, variables
from xcnet.check.integrity import channel_scale
from xcnet.errors import ExportError
from xcnet.export import graph
from xcnet.export.closed_shell import ClosedShell
from xcnet.export.differentiate import derivatives
from xcnet.export.trace import trace
from xcnet.sample import Array, closed_shell, sample
from xcnet.spec import ADJOINT, CHANNELS, FunctionalSpec

#: Allowed difference from torch, relative to |a . p| in the units of the variables.
TOLERANCE = 1e-10
CHECK_POINTS, SEED = 48, 11


class Contracted(torch.nn.Module):
    """a . p (N,) of a module that gives channels p (N, c)."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, adjoint: Tensor, **inputs: Tensor) -> Tensor:
        """Sum over the channels."""
        return (adjoint * self.module(**inputs)).sum(dim=1)


def points(spec: FunctionalSpec, count: int, spin: int, seed: int) -> dict[str, Array]:
    """Samples of a functional's variables in one spin, and an adjoint of its channels."""
    assert spec.channels is not None
    values = sample(spec.inputs, count, seed)
    if spin == variables.UNPOLARIZED:
        values, _ = closed_shell(values)
    rng = np.random.default_rng(seed)
    return {**values, ADJOINT: rng.normal(size=(count, spec.channels.width))}


def of_spin(module: torch.nn.Module, spin: int) -> torch.nn.Module:
    """Module of the variables of one spin."""
    if spin == variables.POLARIZED:
        return module
    own = getattr(module, "closed_shell", None)
    return ClosedShell(module, own if callable(own) else None)


def expressions(
    module: torch.nn.Module, spec: FunctionalSpec, count: int, order: int, spin: int
) -> dict[str, list[graph.Node]]:
    """Every output label up to an order; `count` points are traced."""
    inputs = {n: torch.from_numpy(x) for n, x in points(spec, count, spin, 0).items()}
    contracted = trace(Contracted(of_spin(module, spin)), inputs)
    where = [(name, i) for name, values in inputs.items() for i in range(values.shape[1])]
    columns = [graph.column_input(name, i) for name, i in where]
    slopes = derivatives(contracted, columns, max(order, 1))

    def derivative(*factors: tuple[str, int]) -> graph.Node:
        return slopes[tuple(sorted(where.index(factor) for factor in factors))]

    channels = [(ADJOINT, i) for i in range(inputs[ADJOINT].shape[1])]
    outputs = {CHANNELS: [derivative(channel) for channel in channels]}
    for n in range(1, order + 1):
        for label in variables.labels(spec.inputs, n):
            outputs[label] = [derivative(*f) for f in variables.components(label, spin)]
    for name in spec.inputs if order > 1 else ():
        own = [(name, i) for i in range(variables.width(name, spin))]
        outputs[f"v2{name}{ADJOINT}"] = [
            derivative(x, channel) for x in own for channel in channels
        ]
    return outputs


def check_values(module: torch.nn.Module, spec: FunctionalSpec, order: int, spin: int) -> None:
    """Compare one graph with torch's automatic differentiation on fresh points (ExportError)."""
    inputs = points(spec, CHECK_POINTS, spin, SEED + order)
    results = engine.run(spec, order, inputs, spin, of_channels=True)
    expected = torch_values(of_spin(module, spin), spec, inputs, order)
    whole = np.abs(inputs[ADJOINT] * expected[CHANNELS]).sum(axis=1)
    for label, reference in expected.items():
        scale = np.abs(reference) + channel_scale(label, inputs, whole)
        difference = np.abs(results[label] - reference) / scale
        if not np.all(difference <= TOLERANCE):
            raise ExportError(
                f"{spec.name}: {label} of the channels, spin {spin}, differs from torch by "
                f"{np.nanmax(difference):.1e} relative (allowed {TOLERANCE:.0e}), or is not finite",
                label=label,
            )


def torch_values(
    module: torch.nn.Module, spec: FunctionalSpec, inputs: Mapping[str, Array], order: int
) -> dict[str, Array]:
    """Output labels up to an order by torch's automatic differentiation, ``(N, width)``."""
    leaves = {name: torch.from_numpy(x.copy()).requires_grad_() for name, x in inputs.items()}
    adjoint = leaves[ADJOINT]
    channels = module(**{name: leaves[name] for name in spec.inputs})
    result = {CHANNELS: channels.detach().numpy()}
    if not order:
        return result
    first = _gradient((adjoint * channels).sum(), leaves)
    result |= {f"v{name}": first[name].detach().numpy() for name in spec.inputs}
    if order < 2:
        return result
    spin = inputs["rho"].shape[1]
    rows = {
        (name, i): _gradient(first[name][:, i].sum(), leaves)
        for name in spec.inputs
        for i in range(variables.width(name, spin))
    }
    for label in variables.labels(spec.inputs, 2):
        columns = [rows[a][b[0]][:, b[1]] for a, b in variables.components(label, spin)]
        result[label] = torch.stack(columns, dim=1).detach().numpy()
    for name in spec.inputs:
        parts = [rows[name, i][ADJOINT] for i in range(variables.width(name, spin))]
        result[f"v2{name}{ADJOINT}"] = torch.cat(parts, dim=1).detach().numpy()
    return result


def _gradient(value: Tensor, leaves: Mapping[str, Tensor]) -> dict[str, Tensor]:
    slopes = torch.autograd.grad(
        value,
        list(leaves.values()),
        create_graph=True,
        allow_unused=True,
        materialize_grads=True,
    )
    return dict(zip(leaves, slopes, strict=True))
