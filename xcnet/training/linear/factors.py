"""Factors that are networks, fitted to the same rows as the linear expansion.

Rows are linear in the Legendre coefficients of the factors, and the integrals that are kept reach
to polynomials of high order, where those of a smooth factor have died away (`truncation`). So a
fit of networks needs the table of integrals only, no densities.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from numpy.polynomial import legendre
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from xcnet.training import levenberg
from xcnet.training.form.bounded import PARTS, ThreeFactors
from xcnet.training.linear import fit, mesh
from xcnet.training.linear.expansion import Orders
from xcnet.training.linear.fit import LinearProblem
from xcnet.training.linear.recipe import RowsRecipe
from xcnet.training.linear.table import IntegralTable
from xcnet.training.loss.equations import Equations, compressed, together

Array = npt.NDArray[np.float64]
#: Root mean square beyond the expansion that counts 1. Rows know the expansion only, and cores hold
#: a hundred Hartree: 1e-4 were grid errors of a kcal/mol in SiCl4, where the expansion had none.
BEYOND = 3e-6
DECAY = 10.0  # weights of this size count 1: large ones cancel, and lose digits
ENOUGH = 1e-6  # relative gain of a step of the fit that ends it


@dataclass(frozen=True)
class Projection:
    """Legendre coefficients (k,) of a factor, ``matrix`` times its values at points (N,).

    ``beyond`` (N, N) times the values is what the polynomials leave of them, in units of `BEYOND`.
    One orbital alone (beta = 0) has points of its own: series converge worst at an edge, and
    atoms' cores and hydrogen lie on it.
    """

    u: Tensor
    beta: Tensor
    matrix: Tensor
    beyond: Tensor

    @classmethod
    def of(cls, orders: tuple[int, int]) -> Projection:
        """By Gauss's quadrature, with more nodes than polynomials."""
        (u, in_u, rows_u), (beta, in_beta, rows_beta) = (_quadrature(order) for order in orders)
        inside, edge = len(u) * len(beta), len(u)
        matrix = np.hstack([np.kron(rows_u, rows_beta), np.zeros((math.prod(orders), edge))])
        one_orbital = (-1.0) ** np.arange(orders[1])[None]
        polynomials = np.vstack([np.kron(in_u, in_beta), np.kron(in_u, one_orbital)])
        share = np.repeat([inside, edge], [inside, edge])[:, None]
        beyond = (np.eye(inside + edge) - polynomials @ matrix) / (BEYOND * np.sqrt(share))
        points = [np.repeat(u, len(beta)), np.tile(beta, len(u))]
        points = [np.append(x, end) for x, end in zip(points, (u, np.zeros(edge)), strict=True)]
        return cls(*map(torch.from_numpy, (*points, matrix, beyond)))


def _quadrature(order: int) -> tuple[Array, Array, Array]:
    """Gauss's points in a feature, the polynomials there, and coefficients from values there."""
    nodes, weights = legendre.leggauss(order + 12)
    polynomials = np.asarray(legendre.legvander(nodes, order - 1), dtype=np.float64)
    return 0.5 * (1.0 + nodes), polynomials, (polynomials * (np.arange(order) + 0.5)).T * weights


class FactorProblem:
    """Sum of squares of equations over the networks' parameters; a `levenberg.Problem`.

    What the expansion leaves of the factors, and large weights, count as well.

    Parameters
    ----------
    module : ThreeFactors
        The factors; its parameters are changed.
    orders : Orders
        Of the equations' columns.
    equations : Equations
    """

    def __init__(self, module: ThreeFactors, orders: Orders, equations: Equations) -> None:
        self.module = module
        self.projections = {part: Projection.of(getattr(orders, part)) for part in PARTS}
        small = compressed(equations)
        self.matrix, self.target = torch.from_numpy(small.matrix), torch.from_numpy(small.target)

    def vector(self) -> Tensor:
        """Parameters of all networks."""
        return nn.utils.parameters_to_vector(self.module.parameters()).detach()

    def load_vector(self, vector: Tensor) -> None:
        """Set them."""
        nn.utils.vector_to_parameters(vector, self.module.parameters())

    def coefficients(self) -> Tensor:
        """Legendre coefficients of the factors."""
        values = zip(self.projections.values(), self._values(), strict=True)
        return torch.cat([_by_power(projection.matrix @ x) for projection, x in values])

    def loss(self) -> float:
        """Sum of squares."""
        return float(self._residuals().square().sum())

    def normal_equations(self) -> tuple[Tensor, Tensor]:
        """J^T J and J^T r."""
        slopes = [_jacobian(self.module.factors[part], p) for part, p in self._parts()]
        parts = [*zip(self.projections.values(), slopes, strict=True)]
        beyond = [_by_power(torch.einsum("ij,jkp->ikp", p.beyond, x)) for p, x in parts]
        within = [_by_power(torch.einsum("ij,jkp->ikp", p.matrix, x)) for p, x in parts]
        jacobian = torch.cat([self.matrix @ torch.block_diag(*within), torch.block_diag(*beyond)])
        jacobian = torch.cat([jacobian, torch.eye(jacobian.shape[1], dtype=jacobian.dtype) / DECAY])
        return jacobian.T @ jacobian, jacobian.T @ self._residuals()

    def minimize(self, steps: int) -> None:
        """Go down from the present parameters."""
        state = levenberg.start(self)
        for _ in range(steps):
            before, state = state.loss, levenberg.step(self, state)
            if before - state.loss < ENOUGH * before:
                break
        self.load_vector(state.parameters)

    @torch.no_grad()
    def _values(self) -> list[Tensor]:
        """Of each factor (N, k), the coefficients of the third feature's powers."""
        return [_powers(self.module.factors[part], p.u, p.beta) for part, p in self._parts()]

    def _residuals(self) -> Tensor:
        values = zip(self.projections.values(), self._values(), strict=True)
        beyond = [_by_power(projection.beyond @ x) for projection, x in values]
        rows = self.matrix @ self.coefficients() - self.target
        return torch.cat([rows, *beyond, self.vector() / DECAY])

    def _parts(self) -> list[tuple[str, Projection]]:
        return list(self.projections.items())


def _powers(factor: nn.Module, u: Tensor, beta: Tensor) -> Tensor:
    """Values (N, k) of a factor; k is 1 where there is no third feature."""
    values: Tensor = factor(u, beta)
    return values.reshape(len(u), -1)


def _by_power(values: Tensor) -> Tensor:
    """Rows (N, k, ...) as columns of the expansion are ordered: the powers one after another."""
    return values.transpose(0, 1).flatten(0, 1)


def _jacobian(factor: nn.Module, at: Projection) -> Tensor:
    """Derivatives of a factor's values (N, k, p) by its parameters."""
    parameters = {name: p.detach() for name, p in factor.named_parameters()}

    def value(of: dict[str, Tensor], u: Tensor, beta: Tensor) -> Tensor:
        result: Tensor = functional_call(factor, of, (u[None], beta[None]))
        return result.reshape(-1)

    blocks = vmap(jacrev(value), (None, 0, 0))(parameters, at.u, at.beta)
    return torch.cat([blocks[name].flatten(2) for name in parameters], dim=2).detach()


def problem(
    recipe: RowsRecipe, table: IntegralTable, start: ThreeFactors | None = None
) -> LinearProblem:
    """Rows and terms of a recipe in all columns that are kept.

    The prior is that of its expansion, or ``start``'s factors, which know no third feature. Where
    the prior's energies are known, few accurate ones are: then it is the expansion fitted to them,
    and the networks keep its energies of the known rows.
    """
    kept = recipe.family.kept
    whole = replace(recipe, expansion=kept)
    fitted, watched, known = fit.gather(whole, table)
    if start is not None:
        prior = polynomials(start, kept)
    else:
        prior = np.zeros(fitted.matrix.shape[1])
        expanded = fit.problem(recipe, table)
        chosen = expanded.fit(constrained=False) if recipe.known else expanded.prior
        prior[recipe.expansion.within(kept)] = chosen
    return LinearProblem(whole, fitted, watched, known, prior)


@torch.no_grad()
def polynomials(module: ThreeFactors, orders: Orders) -> Array:
    """Legendre coefficients of networks in columns of these orders; zero for powers they lack."""
    whole = np.zeros(sum(orders.sizes().values()))
    for part, places in orders.parts().items():
        at = Projection.of(getattr(orders, part))
        values = _by_power(at.matrix @ _powers(module.factors[part], at.u, at.beta))
        whole[places.start : places.start + len(values)] = values.numpy()
    return whole


def _fixed(rows: LinearProblem) -> Equations:
    """Prior and curvature, and the prior's energies of the known rows."""
    scaled = rows.known.matrix / rows.known.sigma[:, None]
    return together([rows.fixed(), Equations(scaled, scaled @ rows.prior)])


def train(
    rows: LinearProblem,
    say: Callable[[str], None] = lambda line: None,
    start: ThreeFactors | None = None,
) -> tuple[ThreeFactors, Array]:
    """Networks fitted to the rows, and their Legendre coefficients.

    They start from a fit to the prior alone, or from ``start``'s weights. Rows far off count less,
    as in the linear fit.
    """
    settings = rows.recipe.network
    form, share = rows.recipe.family.module, rows.recipe.exact_exchange
    module = form(settings.hidden, (settings.seed,), share)
    orders = rows.recipe.expansion
    fixed = _fixed(rows)
    if start is not None:
        module.start_from(start)
    else:
        FactorProblem(module, orders, fixed).minimize(settings.steps)
    weights = np.ones(len(rows.fitted.rows))
    for number in range(settings.rounds):
        problem = FactorProblem(module, orders, rows.equations(weights, fixed))
        problem.minimize(settings.steps)
        coefficients = problem.coefficients().numpy()
        weights = fit.robust(rows.fitted, coefficients)
        say(f"round {number + 1} of {settings.rounds}: sum of squares {problem.loss():.2f}")
    return module.requires_grad_(False), coefficients


def truncation(module: ThreeFactors, coefficients: Array, orders: Orders) -> dict[str, float]:
    """Largest error of each factor's expansion over the mesh of the features."""
    errors = {}
    for part in PARTS:
        points = mesh.of_part(part, orders).points
        u, beta = torch.from_numpy(points[:, :2].T.copy())
        expanded = mesh.rows(part, orders, points) @ coefficients
        powers = _powers(module.factors[part], u, beta).numpy()
        values = (powers * points[:, 2:] ** np.arange(powers.shape[1])).sum(axis=1)
        errors[part] = float(np.abs(values - expanded).max())
    return errors
