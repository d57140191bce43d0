"""``xcnet train``: from a recipe to a functional folder."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from xcnet.errors import InputError
from xcnet.training import datasets, publication, recipe, reference, report, trainer
from xcnet.training.recipe import Recipe

EXIT_INTERRUPTED = 130


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``xcnet train``."""
    parser.add_argument("recipe", help="recipe file (TOML), or name of a shipped one: nn_r2scan")
    parser.add_argument("--resume", action="store_true", help="continue an interrupted training")
    parser.add_argument("--device", default="cpu", help="torch device (cpu, cuda ...)")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("models"),
        help="folder in which the functional's folder is made (default: models)",
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=None,
        help="folder of densities, checkpoint and report (default: the user's cache)",
    )
    parser.add_argument(
        "--threads", type=int, default=None, help="threads of the linear algebra (default: all)"
    )


def run(args: argparse.Namespace) -> int:
    """Train, report and export; exit code."""
    settings = recipe.load(recipe.find(args.recipe))
    target = args.output / settings.record.name
    if target.exists():
        raise InputError(
            f"{target} exists already; remove it or choose another --output", file=str(target)
        )
    if args.threads:
        torch.set_num_threads(args.threads)
    data = args.data or reference.default_folder()
    work = data / settings.record.name
    work.mkdir(parents=True, exist_ok=True)
    try:
        _train(settings, data, work, target, args.device, args.resume)
    except KeyboardInterrupt:
        print("\ninterrupted; --resume continues where it was", file=sys.stderr)
        return EXIT_INTERRUPTED
    return 0


def _train(
    settings: Recipe, data: Path, work: Path, target: Path, device: str, resume: bool
) -> None:
    systems = [system for name in settings.sets for system in datasets.load(name)]
    densities, digest = reference.densities(systems, settings.densities, data)
    checkpoint = work / "checkpoint.npz"
    if resume:
        progress = trainer.resume(checkpoint, settings, digest, device)
    else:
        progress = trainer.Progress(settings.sha256, digest)
    trainer.train(settings, densities, progress, checkpoint, device)
    module = trainer.trained(settings, progress)
    publication.save_weights(module, work / "weights.npz")
    numbers = report.metrics(settings, module, densities)
    written = report.write(work, settings, module, progress, densities, numbers)
    publication.publish(settings, module, numbers, digest, target)
    for path in (*written, work / "weights.npz", target):
        print(path)
