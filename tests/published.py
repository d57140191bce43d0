"""The published functionals for tests: where the authors' files are, and their conversion.

``python -m tests.published FOLDER`` converts them for an environment that has no torch, whose
tests find them through ``XCNET_TEST_MODELS``.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

#: Folder of converted functionals, for environments that cannot convert.
CONVERTED_VARIABLE = "XCNET_TEST_MODELS"
ROOT = Path(__file__).resolve().parent.parent


def weights_folder() -> Path:
    """Folder of the authors' four files: XCNET_NAGAI2020, or shared/ beside the checkout."""
    given = os.environ.get("XCNET_NAGAI2020")
    return Path(given) if given else ROOT.parent / "shared" / "nagai2020"


def have_weights() -> bool:
    """Whether the authors' files are there."""
    return (weights_folder() / "NNmGGA").is_file()


def convert(folder: Path) -> None:
    """Convert the four networks into a folder that other processes see only when complete."""
    from xcnet.training import nagai2020

    making = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir()
    nagai2020.convert(weights_folder(), making)
    shutil.rmtree(folder, ignore_errors=True)
    making.rename(folder)


if __name__ == "__main__":
    if have_weights():
        convert(Path(sys.argv[1]))
    else:
        print(f"no published weights in {weights_folder()}", file=sys.stderr)
