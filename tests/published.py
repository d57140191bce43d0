"""The published functionals for tests: as converted from the authors' files, or as installed.

``python -m tests.published FOLDER`` prepares them for an environment that has no torch, whose
tests find them through ``XCNET_TEST_MODELS``.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from xcnet import registry

#: Folder of converted functionals, for environments that cannot convert.
CONVERTED_VARIABLE = "XCNET_TEST_MODELS"
ROOT = Path(__file__).resolve().parent.parent
#: Models folder of the person who runs the tests, which themselves are given an empty one.
INSTALLED = registry.user_folder()
NAMES = (
    "lda_xc_nn_lsda_nagai2020",
    "gga_xc_nn_gga_nagai2020",
    "mgga_xc_nn_metagga_nagai2020",
    "mgga_xc_nn_nra_nagai2020",
)


def weights_folder() -> Path:
    """Folder of the authors' four files: XCNET_NAGAI2020, or shared/ beside the checkout."""
    given = os.environ.get("XCNET_NAGAI2020")
    return Path(given) if given else ROOT.parent / "shared" / "nagai2020"


def have_weights() -> bool:
    """Whether the authors' files are there."""
    return (weights_folder() / "NNmGGA").is_file()


def are_installed() -> bool:
    """Whether ``xcnet models install nagai2020`` was called on this machine."""
    return all((INSTALLED / name / "model.json").is_file() for name in NAMES)


def prepare(folder: Path) -> None:
    """Put the four functionals into a folder that other processes see only when complete."""
    making = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir()
    if have_weights():
        from xcnet.training import nagai2020

        nagai2020.convert(weights_folder(), making)
    else:
        for name in NAMES:
            shutil.copytree(INSTALLED / name, making / name)
    shutil.rmtree(folder, ignore_errors=True)
    making.rename(folder)


if __name__ == "__main__":
    if have_weights() or are_installed():
        prepare(Path(sys.argv[1]))
    else:
        print(f"no published weights in {weights_folder()} or {INSTALLED}", file=sys.stderr)
