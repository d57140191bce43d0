"""Perceptron with the algebraic activation z / sqrt(1 + z^2).

The activation costs one square root and one division: in float64 a fraction of tanh or exp, and
its derivative (1 + z^2)^(-3/2) reuses the root. It is analytic, so derivatives of every order
of a functional built from it are smooth.
"""

from __future__ import annotations

from torch import Tensor

from xcnet.training.form.networks.perceptron import Perceptron


class AlgebraicPerceptron(Perceptron):
    """Smooth network of bounded nodes; the last layer is linear."""

    @staticmethod
    def activation(z: Tensor) -> Tensor:
        """z / sqrt(1 + z^2)."""
        return z / (1.0 + z * z).sqrt()

    @staticmethod
    def slopes(z: Tensor, order: int) -> tuple[Tensor, ...]:
        """f, f' and maybe f''."""
        root = (1.0 + z * z).rsqrt()
        first = root**3
        if order == 1:
            return z * root, first
        return z * root, first, -3.0 * z * first * root**2


NETWORK = AlgebraicPerceptron
