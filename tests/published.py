"""The published functionals for tests.

``python -m tests.published FOLDER`` converts those of 2020 for an environment that has no torch,
whose tests find them through ``XCNET_TEST_MODELS``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from benchmarks.published import VARIABLE, convert, have_weights, weights_folder

#: Folder of converted functionals, for environments that cannot convert.
CONVERTED_VARIABLE = "XCNET_TEST_MODELS"


def required_weights(collection: str) -> Path:
    """Folder of the authors' files; skips the test where they are absent."""
    folder = weights_folder(collection)
    if have_weights(collection):
        return folder
    reason = f"the weights of {collection} are not in {folder}; {VARIABLE} names another place"
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def converted(collection: str, shared: Path) -> Path:
    """Folder of a collection's functionals, converted once for all processes."""
    import fcntl

    required_weights(collection)
    folder = shared / collection
    with (shared / f"{collection}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            convert([collection], folder)
    return folder


if __name__ == "__main__":
    if have_weights("nagai2020"):
        convert(["nagai2020"], Path(sys.argv[1]))
    else:
        print(f"no published weights in {weights_folder('nagai2020')}", file=sys.stderr)
