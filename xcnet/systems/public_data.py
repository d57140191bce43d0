"""Data sets that are not shipped: downloaded or given by the user, checked, kept in the cache."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from xcnet import files
from xcnet.errors import InputError, InstallError
from xcnet.systems import kept_data, refdata, training_sets
from xcnet.systems.public_sets import PublicSet


def install(name: str, given: Path | None = None, base_url: str = refdata.BASE_URL) -> Path:
    """Put the data of a set into the user's cache; returns their path.

    Parameters
    ----------
    name : str
        Name of the set.
    given : path, optional
        JSON file of the set's records, or a folder that has it under the set's name, instead of
        downloading their public source.
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
    data = _download(source, base_url) if given is None else _given(source, given)
    if (digest := training_sets.digest(data)) != source.SHA256:
        raise InputError(
            f"{given or 'the download'}: not the data of {name} (SHA-256 of the records "
            f"{digest}, expected {source.SHA256}); nothing was changed",
            given=digest,
            expected=source.SHA256,
        )
    return _write(kept_data.location(name), json.dumps(data))


def _download(source: Any, base_url: str) -> Any:
    try:
        if isinstance(source.SOURCE, PublicSet):
            return source.SOURCE.fetch(base_url)
        return refdata.fetch(source.SOURCE, source.MOLECULES, base_url)
    except InstallError as error:
        raise InstallError(
            f"{error.message.rstrip('.')}. Without a network: run `xcnet train data {source.NAME}` "
            f"on another machine, bring its file {kept_data.location(source.NAME)} here and use "
            "--from FILE.",
            **error.context,
        ) from error


def _given(source: Any, given: Path) -> Any:
    """Records of a file, or of that file of a folder which has the set's name."""
    if not isinstance(source.SOURCE, PublicSet):
        return _records(given)
    path = given / f"{source.SOURCE.set}.json" if given.is_dir() else given
    return source.SOURCE.records(_records(path), str(path))


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
