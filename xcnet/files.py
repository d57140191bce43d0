"""Files that are either complete or not there: written beside their place, then renamed."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def whole(path: Path) -> Iterator[IO[bytes]]:
    """Binary stream whose content becomes the file when the block ends without an error.

    On any failure a file that was there before stays as it was. Processes that write the same path
    at the same time do not disturb each other. OSError where the folder cannot be written.
    """
    descriptor, unfinished = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "wb") as stream:
            # mkstemp's files are for the user alone, others get what the user allows.
            os.fchmod(stream.fileno(), 0o666 & ~_umask())
            yield stream
        os.replace(unfinished, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(unfinished)


def write(path: Path, content: str | bytes) -> None:
    """Write a text (UTF-8) or bytes as by `whole`."""
    with whole(path) as stream:
        stream.write(content.encode() if isinstance(content, str) else content)


def _umask() -> int:
    # There is no way to read it but to set it.
    mask = os.umask(0)
    os.umask(mask)
    return mask
