"""A functional folder of one's own, sealed: graphs without metadata, hashes of all files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xcnet.graphs import wire
from xcnet.spec import (
    FunctionalSpec,
    load_spec,
    record_bytes,
    write_record,
)

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
        The record is wrong, or a file is missing.
    """
    return write(json.loads(record_bytes(folder)), folder)


def write(record: Mapping[str, Any], folder: Path) -> FunctionalSpec:
    """The same with this record in place of the folder's."""
    for filename in record["files"]:
        path = folder / filename
        if path.suffix == ".onnx":
            content = path.read_bytes()
            bare = without_metadata(content)
            if bare != content:
                path.write_bytes(bare)
    hashes = {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in record["files"]
    }
    write_record({**record, "files": hashes}, folder)
    return load_spec(folder)


def without_metadata(graph: bytes) -> bytes:
    """ONNX file without its metadata, all other bytes as they are."""
    kept, at = b"", 0
    for number, _, _, end in wire.fields(graph, 0, len(graph)):
        if number != METADATA_PROPS:
            kept += graph[at:end]
        at = end
    return kept
