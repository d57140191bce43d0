"""Where the published weights are for benchmarks and tests, and their conversion.

``XCNET_PUBLISHED`` names a folder that has a folder for each collection of the catalogue; without
it they are looked for in ``../shared/published`` and ``../shared``.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from xcnet.catalogue import collections

VARIABLE = "XCNET_PUBLISHED"
SHARED = Path(__file__).resolve().parent.parent.parent / "shared"


def weights_folder(collection: str) -> Path:
    """Folder of the authors' files of a collection, which may not be there."""
    folder = os.environ.get(VARIABLE)
    roots = [Path(folder)] if folder else [SHARED / "published", SHARED]
    existing = (root / collection for root in roots if (root / collection).is_dir())
    return next(existing, roots[0] / collection)


def have_weights(collection: str) -> bool:
    """Whether all of the authors' files are there."""
    folder = weights_folder(collection)
    return all((folder / file.name).is_file() for file in collections()[collection].files)


def convert(names: Iterable[str], folder: Path) -> None:
    """Convert collections into a folder that other processes see only when complete."""
    from xcnet.published import conversion

    making = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir()
    for name in names:
        conversion.convert(collections()[name], weights_folder(name), making)
    shutil.rmtree(folder, ignore_errors=True)
    making.rename(folder)
