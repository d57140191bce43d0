"""The authors' files of a collection, from the network or a folder, checked against their hash."""

from __future__ import annotations

from pathlib import Path

from xcnet import download
from xcnet.catalogue import HOST, Collection, File
from xcnet.errors import InstallError


def files(
    collection: Collection, folder: Path | None = None, base_url: str = HOST
) -> dict[str, bytes]:
    """All files of a collection by name.

    Parameters
    ----------
    collection : Collection
        What is wanted.
    folder : path, optional
        Where the files lie by name, or in a folder with the collection's, instead of downloading
        them.
    base_url : str
        Where the authors' repositories lie on the network.

    Raises
    ------
    InstallError
        A file cannot be had, or is not the published one.
    """
    if folder is not None and (folder / collection.name).is_dir():
        folder = folder / collection.name
    return {file.name: content(collection, file, folder, base_url) for file in collection.files}


def content(
    collection: Collection, file: File, folder: Path | None = None, base_url: str = HOST
) -> bytes:
    """One file of a collection; see `files`."""
    if folder is not None:
        return download.read(folder / file.name, file.sha256, file.size)
    try:
        return download.fetch(f"{base_url}/{file.path}", file.sha256, file.size)
    except InstallError as error:
        names = ", ".join(file.name for file in collection.files)
        places = " and ".join(sorted({_commit(file) for file in collection.files}))
        raise InstallError(
            f"{error.message.rstrip('.')}. Without a network: get {places} some other way, put "
            f"the files into a folder as {names} and use `xcnet models install "
            f"{collection.name} --from FOLDER`.",
            **error.context,
        ) from error


def _commit(file: File) -> str:
    owner, repository, commit, path = file.path.split("/", 3)
    parent = path.rpartition("/")[0]
    return f"{owner}/{repository} at {commit[:12]}" + (f", {parent}" if parent else "")
