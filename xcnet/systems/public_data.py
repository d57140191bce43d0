"""Data sets that are not shipped: downloaded or given by the user, checked, kept in the cache."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from xcnet import files
from xcnet.errors import InputError, InstallError
from xcnet.paths import training_folder
from xcnet.systems import refdata, training_sets


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


def install(name: str, given: Path | None = None, base_url: str = refdata.BASE_URL) -> Path:
    """Put the data of a set into the user's cache; returns their path.

    Parameters
    ----------
    name : str
        Name of the set.
    given : path, optional
        JSON file of the set's records, instead of downloading their public source.
    base_url : str
        Where the source's repositories lie on the network.

    Raises
    ------
    InputError
        There is no such set, it comes with the package, or the data are not its data.
    InstallError
        The source cannot be had, or the cache not be written.
    """
    source = training_sets.module(name)
    if not hasattr(source, "SOURCE"):
        raise InputError(f"the training set {name} comes with xcnet: nothing to get", given=name)
    data = _download(source, base_url) if given is None else _records(given)
    if (digest := training_sets.digest(data)) != source.SHA256:
        raise InputError(
            f"{given or refdata.REPOSITORY}: not the data of {name} (SHA-256 of the records "
            f"{digest}, expected {source.SHA256}); nothing was changed",
            given=digest,
            expected=source.SHA256,
        )
    return _write(location(name), json.dumps(data))


def location(name: str) -> Path:
    """Where a set's data are kept."""
    return training_folder() / f"{name}.json"


def _download(source: Any, base_url: str) -> Any:
    try:
        return refdata.fetch(source.SOURCE, source.MOLECULES, base_url)
    except InstallError as error:
        raise InstallError(
            f"{error.message.rstrip('.')}. Without a network: run `xcnet train data {source.NAME}` "
            f"on another machine, bring its file {location(source.NAME)} here and use --from FILE.",
            **error.context,
        ) from error


def _records(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as JSON: {error}", file=str(path)) from error


def _write(path: Path, text: str) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, text)
    except OSError as error:
        raise InstallError(f"{path} cannot be written: {error.strerror}", file=str(path)) from error
    return path
