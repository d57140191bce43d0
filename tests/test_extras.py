"""Hints on optional packages name commands that work, whatever index has or lacks xcnet."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from xcnet import extras

PROGRAM = "import runpy, sys; print(runpy.run_path(sys.argv[1])['hint'](sys.argv[2]))"


@pytest.mark.parametrize("extra", ["pyscf", "check", "train", "bench", "docs"])
def test_every_extra_has_its_packages(extra: str) -> None:
    words = extras.hint(extra).split()
    assert words[:2] == ["pip", "install"]
    assert len(words) > 4
    assert not any("xcnet" in word for word in words)


def _hint(folder: Path, extra: str) -> str:
    """In a Python that has no packages but those of a folder."""
    words = [sys.executable, "-S", "-E", "-c", f"import sys; sys.path.append({str(folder)!r})"]
    words[-1] += f"\n{PROGRAM}"
    done = subprocess.run(
        [*words, str(extras.__file__), extra], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_only_what_is_lacking_is_named(tmp_path: Path) -> None:
    for name in ("xcnet", "ase"):
        files = metadata.distribution(name).files or []
        (record,) = [file for file in files if file.name == "METADATA"]
        source = Path(str(record.locate())).parent
        shutil.copytree(source, tmp_path / source.name)
    words = _hint(tmp_path, "train").split()
    assert words[:2] == ["pip", "install"]
    assert "'torch>=2.6'" in words
    assert "ase" not in _hint(tmp_path, "pyscf")
    assert "numba" in _hint(tmp_path, "pyscf")


def test_a_source_folder_that_is_not_installed(tmp_path: Path) -> None:
    assert _hint(tmp_path, "train") == "pip install '.[train]' in xcnet's source folder"
