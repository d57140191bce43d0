"""A functional folder of one's own, sealed: graphs without metadata, hashes of all files."""

from __future__ import annotations

import hashlib
from pathlib import Path

from xcnet.errors import ModelError
from xcnet.graphs import wire
from xcnet.spec import FunctionalSpec, load_spec, write_record

#: Field of ONNX's model that holds the metadata.
METADATA_PROPS = 14


def seal(folder: Path) -> FunctionalSpec:
    """Take metadata out of the graphs and write the hashes of all files into the record.

    For folders whose record, card or format was changed; what is computed stays the same, and
    neither torch nor onnx is needed.

    Parameters
    ----------
    folder : path
        Holds the files that its ``model.json`` lists.

    Raises
    ------
    ModelError
        The record is wrong, or a file is missing or no ONNX file.
    """
    spec = load_spec(folder)
    hashes = {}
    for name in spec.files:
        path = folder / name
        if not path.is_file():
            raise ModelError(f"{path} is missing: nothing is sealed", file=str(path))
        content = path.read_bytes()
        bare = _bare(content, path) if path.suffix == ".onnx" else content
        if bare != content:
            path.write_bytes(bare)
        hashes[name] = hashlib.sha256(bare).hexdigest()
    write_record({**spec.record, "files": hashes}, folder)
    return load_spec(folder)


def _bare(content: bytes, path: Path) -> bytes:
    try:
        return without_metadata(content)
    except ValueError as error:
        raise ModelError(f"{path} is no ONNX file: {error}", file=str(path)) from error


def without_metadata(graph: bytes) -> bytes:
    """ONNX file without its metadata, all other bytes as they are; ValueError for another file."""
    kept, at = [], 0
    for number, _, _, end in wire.fields(graph, 0, len(graph)):
        if number != METADATA_PROPS:
            kept.append(graph[at:end])
        at = end
    return b"".join(kept)
