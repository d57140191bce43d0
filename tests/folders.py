"""Functional folders for tests: copies of a committed clone, renamed or damaged."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from xcnet.spec import RECORD, write_record

MODELS = Path(__file__).resolve().parent / "models"
TEMPLATE = MODELS / "gga_x_pbe_clone"


def read_record(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    return record


def copy_folder(
    parent: Path, name: str = "gga_x_copy", template: str = TEMPLATE.name, **changes: Any
) -> Path:
    """Copy of a clone, the template, with its own name, id and aliases, and any fields changed.

    The graphs keep the template's metadata: the registry and the engine read the record only.
    """
    folder = parent / name
    shutil.copytree(MODELS / template, folder)
    changes = {"name": name, "id": 199001, "aliases": [], **changes}
    write_record({**read_record(folder), **changes}, folder)
    return folder
