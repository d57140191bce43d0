"""Energies of whole systems as sums over a mesh in the space of features.

At a fixed density the energy is an integral of (uniform gas) x (factor of the features). The
uniform gas's energy of every grid point is shared among the 4^d neighbouring nodes of a regular
mesh by cubic Lagrange interpolation, once; afterwards the energy of a system is a sum over some
thousand nodes, whatever network gives the factor, and the error is of fourth order in the mesh.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from xcnet.training.networks.algebraic import AlgebraicPerceptron

Array = npt.NDArray[np.float64]
Columns = Callable[..., tuple[Tensor, Tensor, Tensor]]
CHUNK = 4000


@dataclass(frozen=True)
class Axis:
    """Nodes along one feature: its number, lowest and highest value, number of nodes."""

    feature: int
    low: float
    high: float
    count: int

    def nodes(self) -> Array:
        """Values at the nodes (count,)."""
        return np.linspace(self.low, self.high, self.count)

    def shares(self, values: Array) -> tuple[npt.NDArray[np.int64], Array]:
        """First of the four nodes around each value (N,), and the share of each of them (4, N)."""
        position = (values - self.low) / (self.high - self.low) * (self.count - 1)
        position = position.clip(0.0, self.count - 1)
        first = (position.astype(int) - 1).clip(0, self.count - 4)
        x = position - first
        shares = [
            np.prod([(x - j) / (k - j) for j in range(4) if j != k], axis=0) for k in range(4)
        ]
        return first, np.stack(shares)


@dataclass(frozen=True)
class Energies:
    """Energies of systems, linear in a network's outputs at the nodes.

    ``uniform`` (systems,), Hartree; ``weights`` (systems, nodes), Hartree; ``coefficients``
    (nodes, outputs); ``features`` (nodes, inputs).
    """

    uniform: Tensor
    weights: Tensor
    coefficients: Tensor
    features: Tensor

    @torch.no_grad()
    def values(self, network: AlgebraicPerceptron | None) -> Tensor:
        """(systems,), Hartree; without a network the energies of the uniform gas."""
        if network is None:
            return self.uniform
        factor = (self.coefficients * network(self.features)).sum(-1)
        return self.uniform + self.weights @ factor

    @torch.no_grad()
    def jacobian(self, network: AlgebraicPerceptron) -> Tensor:
        """Derivatives of `values` by the network's parameters (systems, parameters)."""
        total = self.weights.new_zeros(len(self.weights), len(network.vector()))
        for i in torch.arange(len(self.features)).split(CHUNK):
            features, value = self.features[i], self.coefficients[i][:, None]
            tangents = features.new_zeros(len(i), 1, features.shape[1])
            rows = network.jacobian(features, tangents, value, torch.zeros_like(value))
            total.addmm_(self.weights[:, i], rows)
        return total


def deposit(
    columns: Columns, axes: Sequence[Axis], variables: Array, weights: Array
) -> tuple[float, npt.NDArray[np.int64], Array]:
    """Energy of the uniform gas over a system's points, and its shares on the mesh.

    Parameters
    ----------
    columns : function
        Form of the functional: base, coefficients, features of density variables.
    axes : sequence of Axis
    variables : (N, k)
        Density variables of the points.
    weights : (N,)
        Their quadrature weights, bohr^3.

    Returns
    -------
    float, and the numbers of the nodes that have a share, (M,), with these shares, (M,)
    """
    base, _, features = columns(*torch.from_numpy(variables).unbind(1))
    energies = base.numpy() * weights
    mesh = np.zeros(math.prod(axis.count for axis in axes))
    for i in np.array_split(np.arange(len(energies)), len(energies) // CHUNK + 1):
        # All corners of the cell around each point: (4^axes, points).
        nodes, shares = np.zeros((1, len(i)), dtype=np.int64), energies[None, i]
        for axis in axes:
            first, share = axis.shares(features[i, axis.feature].numpy())
            nodes = nodes[:, None] * axis.count + first + np.arange(4)[:, None]
            nodes, shares = nodes.reshape(-1, len(i)), (shares[:, None] * share).reshape(-1, len(i))
        np.add.at(mesh, nodes, shares)
    used = np.flatnonzero(mesh)
    return float(energies.sum()), used, mesh[used]


def energies(
    columns: Columns,
    axes: Sequence[Axis],
    at: Callable[..., Array],
    systems: Sequence[tuple[Array, Array]],
) -> Energies:
    """Energies of systems, given by their points' variables and weights.

    ``at`` maps values of the axes' features (nodes,) each to variables (nodes, k) of a density
    that has them.
    """
    deposits = [deposit(columns, axes, variables, weights) for variables, weights in systems]
    used = np.unique(np.concatenate([nodes for _, nodes, _ in deposits]))
    weights = np.zeros((len(deposits), len(used)))
    for row, (_, nodes, values) in zip(weights, deposits, strict=True):
        row[np.searchsorted(used, nodes)] = values
    where = np.unravel_index(used, [axis.count for axis in axes]) if axes else ()
    places = [axis.nodes()[index] for axis, index in zip(axes, where, strict=True)]
    base, coefficients, features = columns(*torch.from_numpy(at(*places)).unbind(1))
    return Energies(
        torch.tensor([uniform for uniform, _, _ in deposits], dtype=torch.float64),
        torch.from_numpy(weights),
        coefficients / base[:, None],
        features,
    )
