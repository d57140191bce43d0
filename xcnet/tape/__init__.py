"""Tapes: verified graphs as the C evaluator reads them, and that evaluator from Python.

A tape is made from a graph by `rows` (numbers per point), `selection` (instructions) and `writer`
(bytes), and kept in the user's cache folder under the hashes of the graph and of this code, so
that neither a changed graph nor another version of xcnet ever meets an old tape.
"""

from __future__ import annotations

import contextlib
import hashlib
from functools import cache, lru_cache
from pathlib import Path

from xcnet import files, graphs, paths, variables
from xcnet.graphs import model as onnx_file
from xcnet.spec import FunctionalSpec
from xcnet.tape import rows, writer
from xcnet.tape.evaluator import NOWHERE, Tape, instructions

__all__ = ["NOWHERE", "Tape", "content", "file", "folder", "instructions", "revision"]

_SUFFIX = ".tape"


def content(
    spec: FunctionalSpec, order: str, spin: int = variables.POLARIZED, of_channels: bool = False
) -> bytes:
    """Tape of one graph, from the cache folder if it is there whole.

    Parameters are those of `xcnet.graphs.verify`.

    Raises
    ------
    ModelError
        The graph is refused.
    ValueError
        It has something that tapes do not have; the message says what.
    """
    graph = graphs.verify(spec, order, spin, of_channels)
    path = file(spec, order, spin, of_channels)
    kept = _read(path)
    if kept is not None:
        return kept
    made = _make(graph)
    _keep(path, made)
    return made


@lru_cache(maxsize=64)  # another cache folder may want it too
def _make(graph: bytes) -> bytes:
    return writer.tape(rows.program(onnx_file.read(graph)))


def file(
    spec: FunctionalSpec, order: str, spin: int = variables.POLARIZED, of_channels: bool = False
) -> Path:
    """File of a graph's tape in the cache folder; it need not be there."""
    graph = spec.files[spec.graph(order, spin, of_channels)]
    return folder() / (hashlib.sha256(f"{graph} {revision()}".encode()).hexdigest() + _SUFFIX)


def folder() -> Path:
    """Folder of the tapes that were made before."""
    return paths.cache_folder() / "tapes"


@cache
def revision() -> str:
    """Hash of the code that makes tapes."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()


def _read(path: Path) -> bytes | None:
    """Kept tape; None if there is none, or a damaged one."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    return content if writer.is_whole(content) else None


def _keep(path: Path, made: bytes) -> None:
    """Write a file at once; a folder that cannot be written costs time, not results."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, made)
