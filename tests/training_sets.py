"""Training sets for tests: one made of text, and where the W4-17 data are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from xcnet.systems import public_sets, training_sets
from xcnet.systems.training_sets import described

ROOT = Path(__file__).resolve().parent.parent


@contextmanager
def added(folder: Path, source: str, name: str) -> Iterator[None]:
    """Training set whose file is this text, found in one more folder for a while."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.toml"
    path.write_text(source, encoding="utf-8")
    if "sha256" not in source:
        digest = training_sets.digest(described.read(_hashed(path, "")).data())
        path.write_text(source, encoding="utf-8")
        _hashed(path, digest)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_sets, "FOLDERS", [*training_sets.FOLDERS, folder])
        training_sets._sources.cache_clear()
        try:
            yield
        finally:
            training_sets._sources.cache_clear()


def _hashed(path: Path, digest: str) -> Path:
    path.write_text(f'sha256 = "{digest}"\n{path.read_text()}', encoding="utf-8")
    return path


def w4_17_file() -> Path:
    """The converted data: XCNET_W4_17, or shared/ beside the checkout; skips without them."""
    given = os.environ.get("XCNET_W4_17")
    path = Path(given) if given else ROOT.parent / "shared/data/w4-17/molecules.json"
    if not path.is_file():
        pytest.skip(f"no W4-17 data in {path}; XCNET_W4_17 names another file")
    return path


def public_folder(name: str) -> Path:
    """Folder of a public set's file: XCNET_PUBLIC_SETS, or shared/ beside; skips without it."""
    source = public_sets.load(name)
    folder = "gscdb138" if source.format == "gscdb" else "diet_gmtkn55"
    given = os.environ.get("XCNET_PUBLIC_SETS")
    path = (Path(given) if given else ROOT.parent / "shared/data") / folder
    if not (path / f"{source.set}.json").is_file():
        pytest.skip(f"no data of {name} in {path}; XCNET_PUBLIC_SETS names another folder")
    return path
