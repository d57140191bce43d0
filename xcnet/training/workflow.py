"""What ``xcnet train`` does: densities, training, report, export."""

from __future__ import annotations

from pathlib import Path

import torch

from xcnet.errors import InputError
from xcnet.training import datasets, publication, recipe, reference, report, rounds, trainer
from xcnet.training.forms import FORMS

CHECKPOINT, WEIGHTS = "checkpoint.npz", "weights.npz"


def train(
    name: str,
    output: Path,
    data: Path | None = None,
    device: str = "cpu",
    resume: bool = False,
    threads: int | None = None,
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
        Torch device.
    resume : bool
        Continue from the checkpoint of an interrupted training.
    threads : int, optional
        Threads of the linear algebra.

    Raises
    ------
    InputError
        Wrong recipe or device, altered densities, a checkpoint of another recipe, a folder that
        exists.
    XCNetError
        A density or the loss went wrong.
    """
    settings = recipe.load(recipe.find(name))
    target = output / settings.record.name
    if target.exists():
        raise InputError(
            f"{target} exists already; remove it or choose another --output", file=str(target)
        )
    _prepare_torch(device, threads)
    data = data or reference.default_folder()
    work = data / settings.record.name
    work.mkdir(parents=True, exist_ok=True)
    systems = datasets.gather(datasets.load(name) for name in settings.sets)
    densities, digest = reference.densities(
        systems, settings.densities, data, FORMS[settings.form].near_region
    )
    progress = trainer.Progress(settings.sha256, digest)
    if resume:
        progress = trainer.resume(work / CHECKPOINT, settings, digest, device)
    trainer.train(settings, densities, progress, work / CHECKPOINT, device)
    module = trainer.trained(settings, progress)
    numbers = report.metrics(settings, module, densities)
    if settings.refinement:
        refinement = rounds.Rounds(settings, densities, numbers, work)
        reactions = refinement.run(module, progress, work / CHECKPOINT)
        numbers = report.metrics(settings, module, densities) | {"reactions": reactions}
    publication.save_weights(module, work / WEIGHTS)
    written = report.write(work, settings, module, progress, densities, numbers)
    publication.publish(settings, work / WEIGHTS, numbers, digest, target)
    return [*written, work / WEIGHTS, target]


def _prepare_torch(device: str, threads: int | None) -> None:
    try:
        torch.zeros(1, dtype=torch.float64, device=device)
        if threads is not None:
            torch.set_num_threads(threads)
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"torch cannot compute in float64 on device {device!r} (threads: {threads}): {reason}",
            given=device,
        ) from error
