"""Data of sets that are not shipped, in the user's cache: where they are, and what is there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from xcnet.errors import InputError
from xcnet.paths import training_folder


def read(name: str) -> Any:
    """Data of a set from the user's cache, unchecked (InputError if they are not there)."""
    path = location(name)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(
            f"the training set {name} is not on this machine ({path}): run `xcnet train data "
            f"{name}`, or `xcnet train data {name} --from FILE` with its file at hand",
            file=str(path),
        ) from error
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read ({error}): run `xcnet train data {name}` to get it again",
            file=str(path),
        ) from error


def location(name: str) -> Path:
    """Where a set's data are kept."""
    return training_folder() / f"{name}.json"


def read_json(path: Path) -> Any:
    """Content of a JSON file (InputError if it is none)."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as JSON: {error}", file=str(path)) from error
