"""Rounds of refinement: train at fixed densities, converge them with the result, train again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from xcnet import registry
from xcnet.errors import XCNetError
from xcnet.references import accurate
from xcnet.scf import ground_states
from xcnet.scf.densities import GridDensity, file_sha256
from xcnet.scf.ground_states import GroundState
from xcnet.systems import training_sets
from xcnet.systems.units import KCAL_PER_HARTREE
from xcnet.training import levenberg, trainer
from xcnet.training.form.forms import FORMS
from xcnet.training.form.semilocal import Semilocal
from xcnet.training.loss import parts
from xcnet.training.loss.orbitals import relaxation
from xcnet.training.loss.refinement import ReactionErrors, Refinement, errors
from xcnet.training.publish import publication
from xcnet.training.recipe import Recipe, RefinementSettings
from xcnet.training.trainer import Progress, RoundProgress

ID = 2_147_000_000  # of the functionals between rounds, which only this process knows
LONGEST = 34  # part of the name in theirs, which have the alias's limit of 48 characters


@dataclass(frozen=True)
class Reactions:
    """Reactions that are trained on, and those that are only watched, with all their systems."""

    trained: tuple[training_sets.Reaction, ...]
    watched: tuple[training_sets.Reaction, ...]
    systems: tuple[training_sets.Molecule, ...]

    def parts(self) -> Iterator[tuple[str, tuple[training_sets.Reaction, ...]]]:
        """Both by their titles in the report, those that there are."""
        for title, chosen in (("trained", self.trained), ("watched", self.watched)):
            if chosen:
                yield title, chosen


def reactions(settings: RefinementSettings) -> Reactions:
    """Reactions of the recipe's sets (InputError where a set or its part does not exist)."""
    sets = [training_sets.load(name) for name in settings.sets]
    chosen = [[data.part(settings.part) for data in sets]]
    chosen.append([data.part(settings.check) for data in sets] if settings.check else [])
    trained, watched = (tuple(r for data in part for r in data.reactions) for part in chosen)
    return Reactions(trained, watched, tuple(training_sets.gather(chosen[0] + chosen[1])))


class Rounds:
    """The refinement of one recipe in its folder ``work``; it computes on the CPU."""

    def __init__(
        self,
        recipe: Recipe,
        densities: Sequence[GridDensity],
        metrics: Mapping[str, Any],
        work: Path,
    ) -> None:
        if recipe.refinement is None:
            raise XCNetError(f"the recipe of {recipe.record.name} has no table [refinement]")
        self.recipe, self.settings = recipe, recipe.refinement
        self.metrics, self.work = metrics, work
        self.reactions = reactions(self.settings)
        self.priors = {
            part.name: parts.terms(part, recipe, densities) for part in parts.trained(recipe.form)
        }
        self.relaxation = None
        if chosen := self.settings.orbitals:
            self.relaxation = relaxation(recipe.form, accurate.load(chosen.set), chosen)

    def run(self, module: Semilocal, progress: Progress, checkpoint: Path) -> dict[str, Any]:
        """Finish all rounds from where ``progress`` stands; ``module`` ends as the result.

        Returns
        -------
        dict
            Errors of the reactions, kcal/mol: at the densities of each round, and self-consistent.
        """
        module.requires_grad_(True)
        metrics: dict[str, Any] = {"fixed": []}
        for number in range(self.settings.rounds):
            states = self._ground_states(module, number)
            fixed = {
                title: errors(self.recipe.form, chosen, states)
                for title, chosen in self.reactions.parts()
            }
            self._train(module, progress, number, fixed, checkpoint)
            metrics["fixed"].append(self._summary({t: e.values(module) for t, e in fixed.items()}))
        final = self._ground_states(module, self.settings.rounds)
        total = {name: state.total for name, state in final.items()}
        metrics["self_consistent"] = self._summary(
            {title: _self_consistent(chosen, total) for title, chosen in self.reactions.parts()}
        )
        if self.relaxation:
            metrics["relaxation_kcal"] = self.relaxation.energies(module)
        metrics["ground_states"] = ground_states.digest(final.values())
        trained = [system for r in self.reactions.trained for _, system in r.terms]
        metrics["systems"] = list(dict.fromkeys(system.name for system in trained))
        metrics["elements"] = sorted({e for system in trained for e in system.symbols})
        module.requires_grad_(False)
        return metrics

    def _train(
        self,
        module: Semilocal,
        progress: Progress,
        number: int,
        fixed: Mapping[str, ReactionErrors],
        checkpoint: Path,
    ) -> None:
        """Take the steps of one round that are left."""
        settings = self.settings
        problem = Refinement(
            module,
            self.priors,
            fixed["trained"],
            settings.prior,
            settings.width,
            self.relaxation,
            settings.orbitals.weight if settings.orbitals else 0.0,
            settings.decay or 0.0,
        )
        if len(progress.rounds) == number:
            state = levenberg.start(problem)
            progress.rounds.append(RoundProgress(state, [state.loss]))
        round_progress = progress.rounds[number]
        problem.load_vector(round_progress.state.parameters)
        with tqdm(
            total=settings.iterations, initial=round_progress.steps, desc=f"round {number + 1}"
        ) as bar:
            for _ in range(settings.iterations - round_progress.steps):
                round_progress.state = levenberg.step(problem, round_progress.state)
                round_progress.history.append(round_progress.state.loss)
                trainer.save(progress, checkpoint)
                bar.update()
                shown = {title: _mean(e, module) for title, e in fixed.items()}
                bar.set_postfix(loss=f"{round_progress.state.loss:.4f}", **shown)

    def _summary(self, values: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        """Errors of trained and watched reactions, kcal/mol: how many, mean, largest, each."""
        return {
            title: {
                "count": len(part_errors),
                "mean_absolute": float(part_errors.abs().mean()),
                "largest": float(part_errors.abs().max()),
                "errors": dict(zip([r.name for r in chosen], part_errors.tolist(), strict=True)),
            }
            for title, chosen in self.reactions.parts()
            for part_errors in [values[title]]
        }

    def _ground_states(self, module: Semilocal, number: int) -> dict[str, GroundState]:
        """Ground states that round ``number`` trains on: those of the functional before it."""
        solve = partial(
            ground_states.solve,
            self.reactions.systems,
            settings=self.settings.ground_states,
            folder=self.work / "ground_states",
            descriptor=FORMS[self.recipe.form].descriptor,
        )
        if not number:
            return solve(self.settings.start)
        weights = self.work / f"round-{number}.npz"
        publication.save_weights(module, weights)
        identity = file_sha256(weights)
        name = f"{self.recipe.record.name[:LONGEST]}_{number}_{identity[:8]}"
        record = replace(self.recipe.record, name=name, alias=name.upper(), id=ID + number)
        # A folder of its own: those of other trainings of this recipe have the same number.
        target = self.work / "functionals" / identity[:8] / name
        if not target.exists():
            recipe = replace(self.recipe, record=record, refinement=None)
            publication.draft(recipe, weights, self.metrics, identity, target)
        with registry.including(target.parent):
            return solve(name)


def _self_consistent(
    chosen: Sequence[training_sets.Reaction], total: Mapping[str, float]
) -> torch.Tensor:
    """Errors by total energies, kcal/mol (reactions,)."""
    errors = [KCAL_PER_HARTREE * (r.value(total) - r.reference) for r in chosen]
    return torch.tensor(errors, dtype=torch.float64)


def _mean(errors: ReactionErrors, module: Semilocal) -> str:
    return f"{float(errors.values(module).abs().mean()):.2f}"
