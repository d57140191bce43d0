"""Arrays kept in ``.npz`` files, each with its own hash: what is read is what was written."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xcnet import files
from xcnet.errors import InputError

Arrays = dict[str, npt.NDArray[Any]]


def digest(arrays: Mapping[str, npt.NDArray[Any]]) -> str:
    """SHA-256 of arrays, in the order of their names."""
    whole = hashlib.sha256()
    for name in sorted(arrays):
        whole.update(np.ascontiguousarray(arrays[name]).tobytes())
    return whole.hexdigest()


def write(path: Path, arrays: Arrays) -> None:
    """Keep arrays in a file."""
    write_arrays(path, arrays | {"sha256": np.array(digest(arrays))})


def read(path: Path, names: Iterable[str], what: str) -> Arrays:
    """Arrays of these names from a file that `write` made; ``what`` it holds is for errors.

    Raises
    ------
    InputError
        The file was altered.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in names}
            expected = str(stored["sha256"])
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(_altered(path, what, str(error)), file=str(path)) from error
    if (actual := digest(arrays)) != expected:
        raise InputError(
            _altered(path, what, "hash"), file=str(path), expected=expected, given=actual
        )
    return arrays


def write_arrays(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write an ``.npz`` file that is either complete or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.whole(path) as stream:
        np.savez(stream, allow_pickle=False, **arrays)


def _altered(path: Path, what: str, reason: str) -> str:
    return f"the {what} {path} was altered ({reason}): delete it, and it is made again"
