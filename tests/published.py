"""The published functionals for tests: as converted from the authors' files, or as installed.

``python -m tests.published FOLDER`` prepares those of `FOR_PSI4` for an environment that has no
torch, whose tests find them through ``XCNET_TEST_MODELS``.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from benchmarks.published import VARIABLE, convert, have_weights, weights_folder
from xcnet import registry
from xcnet.catalogue import collections

#: Folder of converted functionals, for environments that cannot convert.
CONVERTED_VARIABLE = "XCNET_TEST_MODELS"
#: Collections that Psi4's tests want.
FOR_PSI4 = ("nagai2020", "skala-1.0")
#: Models folder of the person who runs the tests, which themselves are given an empty one.
INSTALLED = registry.user_folder()


def required_weights(collection: str) -> Path:
    """Folder of the authors' files; skips the test where they are absent."""
    folder = weights_folder(collection)
    if have_weights(collection):
        return folder
    reason = f"the authors' files are not in {folder}; {VARIABLE} names another place"
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def are_installed(collection: str) -> bool:
    """Whether ``xcnet models install`` was called for it on this machine."""
    names = collections()[collection].names
    return all((INSTALLED / name / "model.json").is_file() for name in names)


def converted(collection: str, shared: Path) -> Path:
    """Folder of a collection's functionals, from `CONVERTED_VARIABLE` if it has them."""
    ready = Path(os.environ.get(CONVERTED_VARIABLE, "")) / collection
    if os.environ.get(CONVERTED_VARIABLE) and ready.is_dir():
        return ready.absolute()
    return prepared(collection, shared)


def prepared(collection: str, shared: Path) -> Path:
    """Folder of a collection's functionals in a shared one, made once for all test processes."""
    import fcntl

    if not are_installed(collection):
        required_weights(collection)
    folder = shared / collection
    with (shared / f"{collection}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            _prepare(collection, folder)
    return folder


def _prepare(collection: str, folder: Path) -> None:
    """Put the functionals into a folder that other processes see only when complete."""
    if have_weights(collection):
        convert([collection], folder)
        return
    making = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir()
    for name in collections()[collection].names:
        shutil.copytree(INSTALLED / name, making / name)
    making.rename(folder)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for wanted in FOR_PSI4:
        if have_weights(wanted) or are_installed(wanted):
            _prepare(wanted, target / wanted)
        else:
            where = f"{weights_folder(wanted)} or {INSTALLED}"
            print(f"no published functionals in {where}", file=sys.stderr)
