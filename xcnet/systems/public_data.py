"""Data sets that are not shipped: downloaded or given by the user, checked, kept in the cache."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from xcnet import files
from xcnet.errors import InputError, InstallError
from xcnet.systems import kept_data, refdata, training_sets
from xcnet.systems.public_sets import PublicSet
from xcnet.systems.training_sets.described import DescribedSet


def install(name: str, path: Path | None = None, base_url: str = refdata.BASE_URL) -> Path:
    """Put the data of a set into the user's cache; returns their path.

    Parameters
    ----------
    name : str
        Name of the set.
    path : path, optional
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
    source = training_sets.source(name)
    if source.is_shipped:
        raise InputError(f"the training set {name} comes with xcnet: nothing to get", given=name)
    data = _download(source, base_url) if path is None else source.read_file(path)
    if (digest := training_sets.digest(data)) != source.sha256:
        raise InputError(
            f"{path or 'the download'}: not the data of {name} (SHA-256 of the records "
            f"{digest}, expected {source.sha256}); nothing was changed",
            given=digest,
            expected=source.sha256,
        )
    return _write(kept_data.location(name), json.dumps(data))


def _download(source: DescribedSet | PublicSet, base_url: str) -> Any:
    try:
        return source.fetch(base_url)
    except InstallError as error:
        raise InstallError(
            f"{error.message.rstrip('.')}. Without a network: run `xcnet train data {source.name}` "
            f"on another machine, bring its file {kept_data.location(source.name)} here and use "
            "--from FILE.",
            **error.context,
        ) from error


def _write(path: Path, text: str) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, text)
    except OSError as error:
        raise InstallError(f"{path} cannot be written: {error.strerror}", file=str(path)) from error
    return path
