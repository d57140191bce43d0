"""The loss of one part as a sum of squares whose residuals are linear in the network's outputs.

With e = base + sum_o c_o f_o(x), each of base, c and x known functions of the density variables,
the energy density and its derivatives are linear in f and grad f. All columns and their
derivatives with respect to the variables are computed once; iterations only run the network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from xcnet.training.form.networks.network import Network

Columns = Callable[..., tuple[Tensor, Tensor, Tensor]]
CHUNK = 2000


@dataclass(frozen=True)
class PointResiduals:
    """Scaled errors of e and its derivatives at points, row m of a point (P, m).

    ``constant`` (P, m); ``value``, ``slope`` (P, m, o); ``inputs`` (P, i); ``tangents`` (P, m, i).
    """

    inputs: Tensor
    tangents: Tensor
    value: Tensor
    slope: Tensor
    constant: Tensor

    def to(self, device: str) -> PointResiduals:
        """Return the same residuals on a torch device."""
        return PointResiduals(*(getattr(self, f.name).to(device) for f in fields(self)))

    def residuals(self, network: Network) -> Tensor:
        """(P m,)."""
        out, slopes = network.evaluate(self.inputs, self.tangents)
        linear = torch.einsum("pmo,po->pm", self.value, out) + (self.slope * slopes).sum(-1)
        return (self.constant + linear).flatten()

    def jacobian_chunks(self, network: Network) -> Iterator[Tensor]:
        """Jacobian (P m, p) in pieces of rows."""
        for i in torch.arange(len(self.inputs)).split(CHUNK):
            yield network.jacobian(self.inputs[i], self.tangents[i], self.value[i], self.slope[i])


@dataclass(frozen=True)
class EnergyResiduals:
    """Scaled errors of integrated energies: sums over the points of each system.

    ``constant`` (P,), ``coefficients`` (P, o), ``inputs`` (P, i); ``system`` (P,): the number of
    each point's system, of ``count``, in ascending order.
    """

    inputs: Tensor
    coefficients: Tensor
    constant: Tensor
    system: Tensor
    count: int

    def to(self, device: str) -> EnergyResiduals:
        """Return the same residuals on a torch device."""
        return EnergyResiduals(
            self.inputs.to(device),
            self.coefficients.to(device),
            self.constant.to(device),
            self.system.to(device),
            self.count,
        )

    @torch.no_grad()
    def residuals(self, network: Network | None) -> Tensor:
        """(count,); without a network the sums of the constants."""
        errors = self.constant
        if network is not None:
            chunks = zip(self.inputs.split(CHUNK), self.coefficients.split(CHUNK), strict=True)
            errors = errors + torch.cat([(c * network(x)).sum(-1) for x, c in chunks])
        return errors.new_zeros(self.count).index_add(0, self.system, errors)

    def jacobian(self, network: Network) -> Tensor:
        """Derivatives of the residuals by the network's parameters (count, p)."""
        sizes = torch.bincount(self.system, minlength=self.count).tolist()
        systems = zip(self.inputs.split(sizes), self.coefficients.split(sizes), strict=True)
        return torch.stack([_gradient(network, *system) for system in systems])

    def jacobian_chunks(self, network: Network) -> Iterator[Tensor]:
        """`jacobian` in one piece."""
        yield self.jacobian(network)


def _gradient(network: Network, inputs: Tensor, coefficients: Tensor) -> Tensor:
    total = network.vector().zero_()
    for x, c in zip(inputs.split(CHUNK), coefficients.split(CHUNK), strict=True):
        total += network.gradient(x, c)
    return total


Terms = Sequence[PointResiduals | EnergyResiduals]


@dataclass(frozen=True)
class LeastSquares:
    """Sum of the squares of all terms over the parameters of one network; a `levenberg.Problem`."""

    network: Network
    terms: Terms

    def vector(self) -> Tensor:
        """Parameters of the network."""
        return self.network.vector()

    def load_vector(self, vector: Tensor) -> None:
        """Set them."""
        self.network.load_vector(vector)

    def loss(self) -> float:
        """Sum of squares."""
        return sum(float(term.residuals(self.network).square().sum()) for term in self.terms)

    def normal_equations(self) -> tuple[Tensor, Tensor]:
        """J^T J and J^T r."""
        size = len(self.vector())
        matrix = self.vector().new_zeros(size, size)
        gradient = matrix.new_zeros(size)
        for term in self.terms:
            residuals, first = term.residuals(self.network), 0
            for rows in term.jacobian_chunks(self.network):
                matrix.addmm_(rows.T, rows)
                gradient += rows.T @ residuals[first : first + len(rows)]
                first += len(rows)
        return matrix.detach(), gradient.detach()


def point_residuals(
    columns: Columns, variables: Tensor, targets: Tensor, scales: Tensor
) -> PointResiduals:
    """Residuals of e and de/dvariables (P, 1 + k) against ``targets``, times ``scales``."""
    variables = variables.detach().requires_grad_()
    base, coefficients, features = columns(*variables.unbind(1))
    outputs = coefficients.shape[1]
    values = torch.cat([base[:, None], coefficients, features], dim=1)
    # Points do not mix, so the gradient of a sum over points holds each point's own.
    slopes = [
        torch.autograd.grad(column.sum(), variables, retain_graph=True)[0]
        for column in values.unbind(1)
    ]
    rows = torch.cat([values.detach()[:, None], torch.stack(slopes, dim=2)], dim=1)
    base, coefficients, tangents = rows.split([1, outputs, rows.shape[2] - outputs - 1], dim=2)
    slope = coefficients[:, :1] * scales[..., None]
    slope[:, 0] = 0.0
    tangents = tangents.clone()
    inputs = tangents[:, 0].clone()
    tangents[:, 0] = 0.0
    constant = (base[..., 0] - targets) * scales
    return PointResiduals(inputs, tangents, coefficients * scales[..., None], slope, constant)


def energy_residuals(
    columns: Columns, variables: Tensor, energies: Tensor, weights: Tensor, system: Tensor
) -> EnergyResiduals:
    """Residuals of sum_points weights (e - energies) of each system."""
    base, coefficients, features = columns(*variables.unbind(1))
    constant = (base - energies) * weights
    count = int(system.max()) + 1
    return EnergyResiduals(features, coefficients * weights[:, None], constant, system, count)
