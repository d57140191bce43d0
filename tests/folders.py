"""Functional folders for tests: copies of a committed clone, renamed or damaged."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xcnet import variables
from xcnet.graphs import wire
from xcnet.spec import RECORD, metadata, write_record

MODELS = Path(__file__).resolve().parent / "models"
TEMPLATE = MODELS / "gga_x_pbe_clone"
#: Field of ONNX's model that holds the metadata.
METADATA_PROPS = 14


def read_record(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    return record


def copy_folder(
    parent: Path, name: str = "gga_x_copy", template: str = TEMPLATE.name, **changes: Any
) -> Path:
    """Copy of a clone, the template, with its own name, id and aliases, and any fields changed."""
    folder = parent / name
    shutil.copytree(MODELS / template, folder)
    changes = {"name": name, "id": 199001, "aliases": [], **changes}
    seal({**read_record(folder), **changes}, folder)
    return folder


def up_to(record: Mapping[str, Any], last: str) -> dict[str, Any]:
    """Fields of a record without the graphs of higher derivative orders."""
    kept = variables.ORDERS[: variables.ORDERS.index(last) + 1]
    return {
        field: {order: record[field][order] for order in kept}
        for field in ("derivatives", "closed_shell")
    }


def seal(record: dict[str, Any], folder: Path) -> None:
    """Write a record, with its facts in the graphs' metadata and the hashes of all files."""
    for key, spin in (("derivatives", 2), ("closed_shell", 1)):
        for order, filename in record.get(key, {}).items():
            path = folder / filename
            path.write_bytes(with_metadata(path.read_bytes(), metadata(record, order, spin)))
    hashes = {f: hashlib.sha256((folder / f).read_bytes()).hexdigest() for f in record["files"]}
    write_record({**record, "files": hashes}, folder)


def with_metadata(graph: bytes, metadata: Mapping[str, str]) -> bytes:
    """ONNX file with other metadata (without the package onnx, which not every host has)."""
    kept, at = b"", 0
    for number, _, _, end in wire.fields(graph, 0, len(graph)):
        if number != METADATA_PROPS:
            kept += graph[at:end]
        at = end
    for pair in metadata.items():
        key, value = (text.encode() for text in pair)
        entry = b"\x0a" + _varint(len(key)) + key + b"\x12" + _varint(len(value)) + value
        kept += _varint(METADATA_PROPS << 3 | wire.BYTES) + _varint(len(entry)) + entry
    return kept


def _varint(number: int) -> bytes:
    content = b""
    while number > 0x7F:
        content += bytes([number & 0x7F | 0x80])
        number >>= 7
    return content + bytes([number])
