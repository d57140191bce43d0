"""What training asks of a network, by automatic differentiation of its ``forward``."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap


class Network(nn.Module):
    """Maps feature columns (N, i) to output columns (N, o), each point by itself, in float64.

    All parameters are trained. A subclass may replace the derivatives by faster ones.
    """

    @torch.no_grad()
    def evaluate(self, inputs: Tensor, tangents: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs (N, o) and their derivatives (N, t, o) along the tangents (N, t, i)."""
        return vmap(lambda x, t: self._along(self._named(), x, t))(inputs, tangents)

    @torch.no_grad()
    def jacobian(self, inputs: Tensor, tangents: Tensor, value: Tensor, slope: Tensor) -> Tensor:
        """Derivatives of linear functionals of the network with respect to its parameters.

        Row m of a point is ``sum_o value[m, o] out[o] + slope[m, o] (tangents[m] . grad) out[o]``.

        Parameters
        ----------
        inputs : (N, i)
        tangents : (N, m, i)
        value, slope : (N, m, o)

        Returns
        -------
        (N m, p), the parameters in the order of `ordered`.
        """
        parameters = self._named()

        def rows(values: dict[str, Tensor], x: Tensor, t: Tensor, v: Tensor, s: Tensor) -> Tensor:
            outputs, along = self._along(values, x, t)
            return (v * outputs).sum(-1) + (s * along).sum(-1)

        blocks = vmap(jacrev(rows), (None, 0, 0, 0, 0))(parameters, inputs, tangents, value, slope)
        return torch.cat([blocks[name].flatten(2) for name in parameters], dim=2).flatten(0, 1)

    def gradient(self, inputs: Tensor, coefficients: Tensor) -> Tensor:
        """Derivatives (p,) of the sum of coefficients (N, o) times outputs by the parameters."""
        parameters = self._named()

        def total(values: dict[str, Tensor]) -> Tensor:
            outputs: Tensor = functional_call(self, values, (inputs,))
            return (coefficients * outputs).sum()

        slopes = jacrev(total)(parameters)
        return torch.cat([slopes[name].flatten() for name in parameters]).detach()

    def ordered(self) -> list[nn.Parameter]:
        """Parameters in the order of all vectors of them."""
        return list(self.parameters())

    def vector(self) -> Tensor:
        """All parameters as one vector, in the order of `ordered`."""
        return torch.cat([parameter.detach().flatten() for parameter in self.ordered()])

    @torch.no_grad()
    def load_vector(self, vector: Tensor) -> None:
        """Set all parameters from a vector in the order of `ordered`."""
        sizes = [parameter.numel() for parameter in self.ordered()]
        for parameter, values in zip(self.ordered(), vector.split(sizes), strict=True):
            parameter.copy_(values.view_as(parameter))

    def _along(
        self, values: dict[str, Tensor], point: Tensor, tangents: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Outputs (o,) at one point (i,), and their derivatives (t, o) along the tangents."""

        def outputs(x: Tensor) -> tuple[Tensor, Tensor]:
            output: Tensor = functional_call(self, values, (x[None],))[0]
            return output, output

        slopes, result = jacrev(outputs, has_aux=True)(point)
        return result, tangents @ slopes.T

    def _named(self) -> dict[str, Tensor]:
        return {name: parameter.detach() for name, parameter in self.named_parameters()}
