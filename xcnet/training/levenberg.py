"""Levenberg-Marquardt minimization of a sum of squares over a network's parameters.

With some hundred parameters and 1e5 residuals the normal equations cost a second and converge
to accuracies that first-order optimizers do not reach. Damping by the diagonal of the normal
matrix: D. W. Marquardt, J. Soc. Ind. Appl. Math. 11, 431 (1963), doi:10.1137/0111030.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Protocol

import torch
from torch import Tensor

from xcnet.errors import XCNetError

ATTEMPTS = 12


class Problem(Protocol):
    """A loss, and its quadratic model at the present parameters."""

    def vector(self) -> Tensor:
        """Present parameters (p,)."""

    def load_vector(self, vector: Tensor) -> None:
        """Set the parameters."""

    def loss(self) -> float:
        """Sum of squares."""

    def normal_equations(self) -> tuple[Tensor, Tensor]:
        """J^T J (p, p) and J^T r (p,) of the residuals r and their Jacobian J."""


@dataclass(frozen=True)
class State:
    """Where the minimization stands: all that the next step depends on."""

    parameters: Tensor
    damping: float
    loss: float


def start(problem: Problem) -> State:
    """State of the problem's present parameters."""
    return State(problem.vector(), 1e-2, _loss(problem))


def step(problem: Problem, state: State) -> State:
    """State after one step that lowers the loss, or the same parameters if there is none."""
    problem.load_vector(state.parameters)
    matrix, gradient = problem.normal_equations()
    damping = state.damping
    scale = matrix.diagonal().clone()
    for _ in range(ATTEMPTS):
        damped = matrix + torch.diag(damping * scale + 1e-13 * scale.max())
        factor, failed = torch.linalg.cholesky_ex(damped)
        if not failed:
            change = -torch.cholesky_solve(gradient[:, None], factor)[:, 0]
            problem.load_vector(state.parameters + change)
            loss = _loss(problem)
            expected = -2.0 * gradient @ change - change @ (matrix @ change)
            gain = (state.loss - loss) / float(expected)
            if loss < state.loss:
                damping *= 0.2 if gain > 0.75 else 0.5 if gain > 0.25 else 2.0
                return State(problem.vector(), max(damping, 1e-12), loss)
        damping *= 4.0
    problem.load_vector(state.parameters)
    return State(state.parameters, damping, state.loss)


def _loss(problem: Problem) -> float:
    loss = problem.loss()
    if not isfinite(loss):
        raise XCNetError(
            "the loss is not a finite number: a training point or its target is NaN or infinite, "
            "or the weights of the recipe are out of range",
            given=loss,
        )
    return loss
