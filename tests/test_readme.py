"""What the README tells people to do: its Python blocks run, its commands exist."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).resolve().parent.parent / "README.md"
TEXT = README.read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
LOOKUPS = re.findall(r"^xcnet (?:list|info|cite) .*$", TEXT, re.MULTILINE)


def _run(words: list[str], folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("code", PYTHON, ids=range(len(PYTHON)))
def test_python_blocks_run(code: str, tmp_path: Path) -> None:
    _run(["-W", "error", "-c", code], tmp_path)


@pytest.mark.parametrize("command", LOOKUPS)
def test_lookups_run(command: str, tmp_path: Path) -> None:
    _run(["-m", "xcnet.cli", *shlex.split(command, comments=True)[1:]], tmp_path)


def test_there_is_something_to_run() -> None:
    assert len(PYTHON) >= 3
    assert len(LOOKUPS) >= 3


def test_files_exist() -> None:
    paths = re.findall(r"(?:\]\(|python |-o energy )((?:docs|examples)/[\w./-]+)", TEXT)
    assert len(paths) >= 10
    for path in paths:
        assert (README.parent / path).exists(), path


def test_readme_is_short() -> None:
    assert len(TEXT.splitlines()) <= 150
