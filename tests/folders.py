"""Functional folders for tests: copies of a committed clone, renamed or damaged."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xcnet import variables
from xcnet.spec import RECORD, write_record

MODELS = Path(__file__).resolve().parent / "models"
TEMPLATE = MODELS / "gga_x_pbe_clone"


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
    """Write a record with the hashes of all files."""
    hashes = {f: hashlib.sha256((folder / f).read_bytes()).hexdigest() for f in record["files"]}
    write_record({**record, "files": hashes}, folder)
