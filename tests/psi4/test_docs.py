"""Every Psi4 input of the documentation runs."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("psi4", reason="these tests need Psi4")

from tests.docs_pages import blocks, pages

INPUTS = [block.content for page in pages() for block in blocks(page) if block.language == "psi4"]


def test_there_is_something_to_run() -> None:
    assert len(INPUTS) >= 2


@pytest.mark.parametrize("text", INPUTS, ids=range(len(INPUTS)))
def test_inputs_run(text: str, tmp_path: Path) -> None:
    """By the program itself where the input names the adapter, else by the command."""
    (tmp_path / "water.dat").write_text(text)
    itself = text.startswith("import xcnet.adapters.psi4\n")
    words = [str(shutil.which("psi4"))] if itself else ["-m", "xcnet.cli", "psi4"]
    done = subprocess.run(
        [sys.executable, *words, "water.dat", "-n", "2"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"Final Energy:\s+-\d", (tmp_path / "water.out").read_text())
