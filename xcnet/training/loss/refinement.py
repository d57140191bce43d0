"""Refinement: both networks together, from a fit to a known functional towards known energies.

The loss is the sum of
  the loss of that fit, times ``prior``: the functional stays near the known one where the
  energies do not ask for something else, and so do its potentials;
  the mean over reactions of a robust square of the energy error, so that a few systems that no
  functional of this form can describe do not decide;
  where asked for, the energy by which accurate orbitals would relax (`.orbitals`): the functional's
  own densities stay near the accurate ones;
  where asked for, the squares of all parameters, times ``decay``: a few reactions would otherwise
  make cliffs of some features, such as a step between no and little spin polarization.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from xcnet.errors import InputError
from xcnet.scf.ground_states import GroundState
from xcnet.systems.reactions import Reaction
from xcnet.systems.units import KCAL_PER_HARTREE
from xcnet.training.form.semilocal import Semilocal
from xcnet.training.loss import parts
from xcnet.training.loss.orbitals import Relaxation
from xcnet.training.loss.problem import EnergyResiduals, LeastSquares, Terms


@dataclass(frozen=True)
class ReactionErrors:
    """Errors of reaction energies at fixed densities, kcal/mol, linear in the parts' energies.

    ``sums`` (reactions, systems): coefficients times kcal/mol per Hartree; ``constant``
    (reactions,): their part without exchange and correlation, minus the reference; ``parts``: the
    systems' energies of each part of the functional.
    """

    names: tuple[str, ...]
    sums: Tensor
    constant: Tensor
    parts: Mapping[str, EnergyResiduals]

    def values(self, module: Semilocal) -> Tensor:
        """(reactions,), kcal/mol."""
        errors = self.constant
        for name, part in self.parts.items():
            errors = errors + self.sums @ part.residuals(module.network(name))
        return errors

    def jacobian(self, module: Semilocal) -> Tensor:
        """Derivatives by the parameters of all networks (reactions, p)."""
        rows = []
        for name, part in self.parts.items():
            if (network := module.network(name)) is not None:
                rows.append(self.sums @ part.jacobian(network))
        return torch.cat(rows, dim=1)


def errors(
    form: str, reactions: Sequence[Reaction], states: Mapping[str, GroundState]
) -> ReactionErrors:
    """Errors of reactions between systems whose ground states are given.

    ``form`` is the functional's in `xcnet.training.form.forms`.
    """
    names = sorted({system.name for r in reactions for _, system in r.terms})
    if missing := [name for name in names if name not in states]:
        raise InputError(f"no ground state of {', '.join(missing)}", given=missing)
    sums = torch.zeros(len(reactions), len(names), dtype=torch.float64)
    for row, reaction in zip(sums, reactions, strict=True):
        for coefficient, system in reaction.terms:
            row[names.index(system.name)] += coefficient * KCAL_PER_HARTREE
    rest = torch.tensor([states[name].rest for name in names], dtype=torch.float64)
    reference = torch.tensor([r.reference for r in reactions], dtype=torch.float64)
    return ReactionErrors(
        tuple(reaction.name for reaction in reactions),
        sums,
        sums @ rest - KCAL_PER_HARTREE * reference,
        {
            part.name: part.energies([states[name].density for name in names])
            for part in parts.of(form)
        },
    )


@dataclass(frozen=True)
class Refinement:
    """The loss over the parameters of all networks; a `levenberg.Problem`.

    Parameters
    ----------
    module : Semilocal
    priors : mapping of str to Terms
        Losses of the fits of the parts that have a network.
    reactions : ReactionErrors
    prior : float
        Weight of these fits against the mean squared error in (kcal/mol)^2.
    width : float
        Errors well beyond count by their size, not by its square, kcal/mol.
    relaxation : Relaxation, optional
        Of accurate orbitals, with its weight.
    decay : float
        Weight of the parameters' squares: few reactions would make cliffs of some features.
    """

    module: Semilocal
    priors: Mapping[str, Terms]
    reactions: ReactionErrors
    prior: float
    width: float
    relaxation: Relaxation | None = None
    relaxation_weight: float = 0.0
    decay: float = 0.0

    def vector(self) -> Tensor:
        """Parameters of all networks."""
        return torch.cat([fit.vector() for fit in self._fits()])

    def load_vector(self, vector: Tensor) -> None:
        """Set them."""
        fits = self._fits()
        for fit, values in zip(fits, vector.split([len(f.vector()) for f in fits]), strict=True):
            fit.load_vector(values)

    def loss(self) -> float:
        """Value of the loss."""
        fits = sum(fit.loss() for fit in self._fits())
        scaled = self.reactions.values(self.module) / self.width
        robust = 2.0 * self.width**2 * ((1.0 + scaled**2).sqrt() - 1.0)
        total = self.prior * fits + float(robust.mean())
        if self.relaxation:
            total += self.relaxation_weight * self.relaxation.mean(self.module)
        return total + self.decay * float(self.vector().square().sum())

    def normal_equations(self) -> tuple[Tensor, Tensor]:
        """Normal matrix and gradient; a robust square enters by its weighted square."""
        blocks, slopes = zip(*(fit.normal_equations() for fit in self._fits()), strict=True)
        matrix, gradient = torch.block_diag(*blocks) * self.prior, torch.cat(slopes) * self.prior
        errors, rows = self.reactions.values(self.module), self.reactions.jacobian(self.module)
        weights = 1.0 / (1.0 + (errors / self.width) ** 2).sqrt() / len(errors)
        matrix.addmm_(rows.T, weights[:, None] * rows)
        gradient += rows.T @ (weights * errors)
        if self.relaxation:
            block, slope = self.relaxation.normal_equations(self.module)
            matrix += self.relaxation_weight * block
            gradient += self.relaxation_weight * slope
        matrix.diagonal().add_(self.decay)
        return matrix, gradient + self.decay * self.vector()

    def _fits(self) -> list[LeastSquares]:
        return [
            LeastSquares(network, terms)
            for name, terms in self.priors.items()
            if (network := self.module.network(name)) is not None
        ]
