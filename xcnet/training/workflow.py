"""What ``xcnet train`` does: densities, training, report, export."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from xcnet import paths
from xcnet.errors import InputError
from xcnet.scf import densities
from xcnet.training import recipe, rounds, trainer
from xcnet.training.form.forms import FORMS
from xcnet.training.preparation import Training
from xcnet.training.publish import publication, report
from xcnet.training.threads import limited

CHECKPOINT, WEIGHTS = "checkpoint.npz", "weights.npz"
AUTO = "auto"


def train(
    name: str,
    output: Path,
    data: Path | None = None,
    device: str = AUTO,
    resume: bool = False,
    threads: int = 1,
    say: Callable[[str], None] = lambda line: None,
) -> list[Path]:
    """Train a recipe and return the paths of what was written, the functional's folder last.

    Parameters
    ----------
    name : str
        Recipe file, or name of a shipped one.
    output : path
        Where the functional's folder is made; must not hold one of this name.
    data : path, optional
        Folder of densities, checkpoint and report; the user's cache by default.
    device : str
        Torch device of the fit; ``auto`` is a GPU where torch sees one, else the CPU.
    resume : bool
        Continue from the checkpoint of an interrupted training, if there is one.
    threads : int
        Threads of PySCF and torch; with one the results have the same bits every time.
    say : function
        Called with a line of text about what is done where.

    Raises
    ------
    InputError
        Wrong recipe or device, altered densities, a checkpoint of another recipe, or of this one
        without ``resume``, a name that is taken, a folder that exists.
    XCNetError
        A density or the loss went wrong.
    """
    path = recipe.find(name)
    settings = recipe.load(path)
    plan = Training(settings, path, output / settings.record.name)
    data = data or paths.training_folder()
    checkpoint = data / settings.record.name / CHECKPOINT
    resume = resume and checkpoint.exists()
    with limited(threads):
        device = _device(device)
        plan.check()
        (trainer.read if resume else trainer.refuse_loss)(checkpoint, settings)
        say(f"fit: {device}; densities, refinement and export: cpu; threads: {threads}")
        return _train(plan, data, checkpoint, device, resume)


def _train(plan: Training, data: Path, checkpoint: Path, device: str, resume: bool) -> list[Path]:
    settings, work = plan.recipe, checkpoint.parent
    work.mkdir(parents=True, exist_ok=True)
    known, digest = densities.of_systems(
        plan.systems(), settings.densities, data, FORMS[settings.form].descriptor
    )
    progress = trainer.Progress(settings.sha256, digest)
    if resume:
        progress = trainer.resume(checkpoint, settings, digest, device)
    trainer.train(settings, known, progress, checkpoint, device)
    module = trainer.trained(settings, progress)
    numbers = report.metrics(settings, module, known)
    if settings.refinement:
        refinement = rounds.Rounds(settings, known, numbers, work)
        reactions = refinement.run(module, progress, checkpoint)
        numbers = report.metrics(settings, module, known) | {"reactions": reactions}
    publication.save_weights(module, work / WEIGHTS)
    written = report.write(work, settings, module, progress, known, numbers)
    publication.publish(settings, work / WEIGHTS, numbers, digest, plan.target)
    return [*written, work / WEIGHTS, plan.target]


def _device(name: str) -> str:
    """Device that the name means, after making sure that torch can compute there."""
    chosen = name
    if name == AUTO:
        chosen = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, dtype=torch.float64, device=chosen)
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"torch cannot compute in float64 on device {name!r}: {reason}", given=name
        ) from error
    return chosen
