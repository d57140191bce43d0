"""From the authors' files to functional folders."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from xcnet.catalogue import HOST, Collection
from xcnet.export.exporter import export
from xcnet.published import sources
from xcnet.published.functional import Published


def convert(
    collection: Collection,
    source: Path | None,
    folder: Path,
    report: Callable[[str], None] = lambda line: None,
    base_url: str = HOST,
) -> list[Path]:
    """Fetch and check all files of a collection, then export each functional.

    Parameters
    ----------
    collection : Collection
        What is converted.
    source : path, optional
        Folder with the authors' files, instead of downloading them.
    folder : path
        Where the functional folders are made, each with its functional's name.
    report
        Called with a line of text at each step.
    base_url : str
        Where the authors' repositories lie on the network.

    Raises
    ------
    InstallError
        A file cannot be had, is not the published one, or cannot be read.
    """
    files = sources.files(collection, source, base_url)
    notices = {name: files[name] for name in collection.notices}
    made = []
    for published in functionals(collection, files):
        name = published.record["name"]
        report(f"{published.record['aliases'][0]}: exporting")
        export(
            published.module,
            published.record,
            folder / name,
            published.orders,
            published.card,
            channels=published.channels,
            hidden=published.hidden,
            notices=notices,
        )
        made.append(folder / name)
    return made


def family(collection: Collection) -> Any:
    """Module that knows the functional form of a collection."""
    return importlib.import_module(f"xcnet.published.{collection.module}")


def functionals(collection: Collection, files: dict[str, bytes]) -> list[Published]:
    """Functionals of a collection as torch modules with their records."""
    published: list[Published] = family(collection).functionals(collection, files)
    return published
