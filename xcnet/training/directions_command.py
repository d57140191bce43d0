"""``xcnet train rows`` of a recipe of directions."""

from __future__ import annotations

import sys
from pathlib import Path

from xcnet.errors import InputError
from xcnet.paths import training_folder
from xcnet.scf.densities import file_sha256
from xcnet.training.linear import directions, preparation, recipe
from xcnet.training.linear.directions import DirectionsRecipe
from xcnet.training.publish import directed


def train(chosen: DirectionsRecipe, output: Path) -> int:
    """Make the functional's folder, beside it its numbers and what determined them.

    Raises
    ------
    InputError
        The folder exists, or a density is missing.
    """
    folder = output / chosen.record.name
    if folder.exists():
        raise InputError(f"{folder} exists: remove it, or name another --output", file=str(folder))
    needed = recipe.jobs(chosen.chosen())
    missing = [job for job in needed if not preparation.done(job, training_folder())]
    if missing:
        names = ", ".join(dict.fromkeys(job.system.name for job in missing))
        raise InputError(f"no densities of {names}: run xcnet train rows make with this recipe")
    known = directions.Known(training_folder(), chosen.considered)
    fitted, watched = (known.of_sets(sets) for sets in (chosen.energies, chosen.validation))
    numbers = directions.numbers(fitted, chosen.places, chosen.ridge)
    output.mkdir(parents=True, exist_ok=True)
    weights, used = (output / f"{chosen.record.name}{end}" for end in (".npz", ".rows.npz"))
    directed.save_numbers(numbers, weights)
    directions.write(used, energies=fitted, validation=watched)
    directed.publish(chosen, fitted, watched, file_sha256(used), weights, folder)
    shown = ", ".join(
        f"{name} {number:.4f}" for name, number in zip(chosen.names, numbers, strict=True)
    )
    print(f"{shown}; {folder}, its numbers in {weights}", file=sys.stderr, flush=True)
    return 0
