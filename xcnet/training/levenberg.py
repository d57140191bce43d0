"""Levenberg-Marquardt minimization of a network's sum of squares.

With some hundred parameters and 1e5 residuals the normal equations cost a second and converge
to accuracies that first-order optimizers do not reach. Damping by the diagonal of the normal
matrix: D. W. Marquardt, J. Soc. Ind. Appl. Math. 11, 431 (1963), doi:10.1137/0111030.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor

from xcnet.errors import XCNetError
from xcnet.training.networks.algebraic import AlgebraicPerceptron
from xcnet.training.problem import EnergyResiduals, PointResiduals

Terms = Sequence[PointResiduals | EnergyResiduals]
ATTEMPTS = 12


@dataclass(frozen=True)
class State:
    """Where the minimization stands: all that the next step depends on."""

    parameters: Tensor
    damping: float
    loss: float


def start(network: AlgebraicPerceptron, terms: Terms) -> State:
    """State of the network's present parameters."""
    return State(network.vector(), 1e-2, _loss(network, terms))


def step(network: AlgebraicPerceptron, terms: Terms, state: State) -> State:
    """State after one step that lowers the loss, or the same parameters if there is none."""
    network.load_vector(state.parameters)
    matrix, gradient = _normal_equations(network, terms)
    damping = state.damping
    scale = matrix.diagonal().clone()
    for _ in range(ATTEMPTS):
        damped = matrix + torch.diag(damping * scale + 1e-13 * scale.max())
        factor, failed = torch.linalg.cholesky_ex(damped)
        if not failed:
            change = -torch.cholesky_solve(gradient[:, None], factor)[:, 0]
            network.load_vector(state.parameters + change)
            loss = _loss(network, terms)
            expected = -2.0 * gradient @ change - change @ (matrix @ change)
            gain = (state.loss - loss) / float(expected)
            if loss < state.loss:
                damping *= 0.2 if gain > 0.75 else 0.5 if gain > 0.25 else 2.0
                return State(network.vector(), max(damping, 1e-12), loss)
        damping *= 4.0
    network.load_vector(state.parameters)
    return State(state.parameters, damping, state.loss)


def _normal_equations(network: AlgebraicPerceptron, terms: Terms) -> tuple[Tensor, Tensor]:
    size = len(network.vector())
    matrix = network.weights[0].new_zeros(size, size)
    gradient = matrix.new_zeros(size)
    for term in terms:
        residuals, first = term.residuals(network), 0
        for rows in term.jacobian_chunks(network):
            matrix.addmm_(rows.T, rows)
            gradient += rows.T @ residuals[first : first + len(rows)]
            first += len(rows)
    return matrix.detach(), gradient.detach()


def _loss(network: AlgebraicPerceptron, terms: Terms) -> float:
    loss = sum(float(term.residuals(network).square().sum()) for term in terms)
    if not isfinite(loss):
        raise XCNetError(
            "the loss is not a finite number: a training point or its target is NaN or infinite, "
            "or the weights of the recipe are out of range",
            given=loss,
        )
    return loss
