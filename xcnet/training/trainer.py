"""Training of a recipe: one part after the other, a checkpoint after every step."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from xcnet.errors import InputError
from xcnet.scf.densities import GridDensity
from xcnet.scf.kept import write_arrays
from xcnet.training import levenberg
from xcnet.training.form.networks.network import Network
from xcnet.training.form.semilocal import Semilocal
from xcnet.training.levenberg import State
from xcnet.training.loss import parts
from xcnet.training.loss.parts import Part
from xcnet.training.loss.problem import LeastSquares, Terms
from xcnet.training.recipe import PartSettings, Recipe


@dataclass
class PartProgress:
    """State of every initial network of a part, the loss after each of its steps, and all steps."""

    states: list[State]
    history: list[list[float]]
    steps: int = 0

    def best(self) -> int:
        """Number of the network with the lowest loss."""
        return min(range(len(self.states)), key=lambda i: self.states[i].loss)

    def turn(self, settings: PartSettings) -> int:
        """Number of the network that takes the next step: each at first, then the best."""
        number = self.steps // settings.start_iterations
        return number if number < settings.starts else self.best()


@dataclass
class RoundProgress:
    """State of a round of refinement, and the loss before it and after each of its steps."""

    state: State
    history: list[float]

    @property
    def steps(self) -> int:
        """Steps that are done."""
        return len(self.history) - 1


@dataclass
class Progress:
    """All that the rest of a training depends on, and what it was made from."""

    recipe: str
    data: str
    parts: dict[str, PartProgress] = field(default_factory=dict)
    rounds: list[RoundProgress] = field(default_factory=list)


def total_steps(settings: PartSettings) -> int:
    """Steps of a part: those of all initial networks and the rest of the best one's."""
    return settings.starts * settings.start_iterations + max(
        0, settings.iterations - settings.start_iterations
    )


def build(recipe: Recipe, start: int = 0) -> Semilocal:
    """Untrained functional number ``start`` of a recipe."""
    chosen = {part.name: parts.settings(part, recipe) for part in parts.trained(recipe.form)}
    return Semilocal(
        recipe.form,
        {name: settings.hidden for name, settings in chosen.items()},
        [recipe.seed, start],
        {name: settings.network for name, settings in chosen.items() if settings.network},
    )


def trained(recipe: Recipe, progress: Progress) -> Semilocal:
    """Functional with the best network of each part."""
    module = build(recipe)
    for part in parts.trained(recipe.form):
        part_progress = progress.parts[part.name]
        network(module, part).load_vector(part_progress.states[part_progress.best()].parameters)
    return module.requires_grad_(False)


def network(module: Semilocal, part: Part) -> Network:
    """Network of a part that has one."""
    part_network = module.network(part.name)
    assert part_network is not None
    return part_network


def train(
    recipe: Recipe,
    densities: Sequence[GridDensity],
    progress: Progress,
    checkpoint: Path,
    device: str = "cpu",
    after_step: Callable[[Part, float], None] = lambda part, loss: None,
) -> None:
    """Finish the training that ``progress`` holds, writing it to ``checkpoint`` at each step.

    Every step depends only on the recipe, the densities and the progress so far, so a training
    that was interrupted ends with the same numbers as one that was not.
    """
    for part in parts.trained(recipe.form):
        settings = parts.settings(part, recipe)
        part_progress = progress.parts.get(part.name)
        left = total_steps(settings) - (part_progress.steps if part_progress else 0)
        if not left:
            continue
        terms = [term.to(device) for term in parts.terms(part, recipe, densities)]
        if part_progress is None:
            part_progress = progress.parts[part.name] = _started(recipe, part, terms, device)
        problem = LeastSquares(network(build(recipe), part).to(device), terms)
        with tqdm(total=total_steps(settings), initial=part_progress.steps, desc=part.name) as bar:
            for _ in range(left):
                loss = _advance(part_progress, settings, problem)
                save(progress, checkpoint)
                bar.update()
                bar.set_postfix(loss=f"{loss:.3e}")
                after_step(part, loss)


def _started(recipe: Recipe, part: Part, terms: Terms, device: str) -> PartProgress:
    starts = range(parts.settings(part, recipe).starts)
    models = [network(build(recipe, i), part).to(device) for i in starts]
    states = [levenberg.start(LeastSquares(model, terms)) for model in models]
    return PartProgress(states, [[state.loss] for state in states])


def _advance(part_progress: PartProgress, settings: PartSettings, problem: LeastSquares) -> float:
    number = part_progress.turn(settings)
    part_progress.states[number] = levenberg.step(problem, part_progress.states[number])
    part_progress.history[number].append(part_progress.states[number].loss)
    part_progress.steps += 1
    return part_progress.states[number].loss


def save(progress: Progress, path: Path) -> None:
    """Write a checkpoint, whole or not at all."""
    arrays: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]] = {
        "recipe": np.array(progress.recipe),
        "data": np.array(progress.data),
    }
    for name, part in progress.parts.items():
        arrays[f"{name}.steps"] = np.array(part.steps)
        for i, (state, history) in enumerate(zip(part.states, part.history, strict=True)):
            _put(arrays, f"{name}.{i}", state, history)
    for i, round_progress in enumerate(progress.rounds):
        _put(arrays, f"round.{i}", round_progress.state, round_progress.history)
    write_arrays(path, arrays)


def _put(arrays: dict[str, Any], key: str, state: State, history: list[float]) -> None:
    arrays[f"{key}.parameters"] = state.parameters.cpu().numpy()
    arrays[f"{key}.damping"] = np.array([state.damping, state.loss])
    arrays[f"{key}.history"] = np.array(history)


def _get(arrays: Mapping[str, Any], key: str, device: str) -> tuple[State, list[float]]:
    damping, loss = arrays[f"{key}.damping"].tolist()
    parameters = torch.from_numpy(arrays[f"{key}.parameters"]).to(device)
    return State(parameters, damping, loss), arrays[f"{key}.history"].tolist()


def refuse_loss(path: Path, recipe: Recipe) -> None:
    """Raise InputError if a new training would write over the progress of the same recipe."""
    try:
        progress = read(path, recipe)
    except InputError:
        return  # nothing that this recipe could continue
    if progress.parts or progress.rounds:
        raise InputError(
            f"the checkpoint {path} holds the progress of a training by this recipe: go on with "
            "--resume, or remove the file to start anew",
            file=str(path),
        )


def resume(path: Path, recipe: Recipe, data: str, device: str = "cpu") -> Progress:
    """Read a checkpoint of the same recipe and data; InputError for any other."""
    progress = read(path, recipe, device)
    if progress.data != data:
        raise _changed("training densities", path)
    return progress


def read(path: Path, recipe: Recipe, device: str = "cpu") -> Progress:
    """Read a checkpoint of the same recipe; InputError for any other."""
    try:
        progress = _stored(path, recipe, device)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(
            f"cannot read the checkpoint {path}: {error}; train without --resume to start anew",
            file=str(path),
        ) from error
    if progress.recipe != recipe.sha256:
        raise _changed("recipe", path)
    return progress


def _stored(path: Path, recipe: Recipe, device: str) -> Progress:
    """What a checkpoint holds; of another recipe only what it was made from."""
    with np.load(path, allow_pickle=False) as stored:
        arrays = {key: stored[key] for key in stored.files}
    progress = Progress(str(arrays["recipe"]), str(arrays["data"]))
    if progress.recipe == recipe.sha256:
        progress.parts = {
            part.name: _read_part(arrays, part.name, parts.settings(part, recipe), device)
            for part in parts.trained(recipe.form)
            if f"{part.name}.steps" in arrays
        }
        rounds = sum(key.startswith("round.") and key.endswith(".history") for key in arrays)
        progress.rounds = [RoundProgress(*_get(arrays, f"round.{i}", "cpu")) for i in range(rounds)]
    return progress


def _changed(what: str, path: Path) -> InputError:
    return InputError(
        f"the {what} changed since the checkpoint {path} was written; train without --resume to "
        "start anew",
        file=str(path),
    )


def _read_part(
    arrays: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]],
    name: str,
    settings: PartSettings,
    device: str,
) -> PartProgress:
    states, history = [], []
    for i in range(settings.starts):
        state, losses = _get(arrays, f"{name}.{i}", device)
        states.append(state)
        history.append(losses)
    return PartProgress(states, history, int(arrays[f"{name}.steps"]))
