"""Psi4 beside a numpy that it was not built for, which only this environment may have."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

CODE = """
import sys
sys.path += {folders}
import psi4
psi4.core.be_quiet()
import xcnet.adapters.psi4
"""


def _python_path() -> str:
    """Folder of Psi4's package, where it is built for this Python; else the test is skipped."""
    program = shutil.which("psi4")
    if program is None:
        pytest.skip("Psi4 is not installed")
    printed = subprocess.run(
        [program, "--psiapi-path"], capture_output=True, text=True, check=True
    ).stdout
    (folder,) = re.findall(r"PYTHONPATH=([^:\n]+):", printed)
    return str(folder)


def test_numpy_that_psi4_misreads_is_explained() -> None:
    if int(np.__version__.split(".")[0]) < 2:
        pytest.skip("numpy 1 is the one that Psi4 reads rightly")
    folders = [_python_path(), "/usr/lib/python3/dist-packages"]
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(folders=folders)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    if "ImportError" in done.stderr or "ModuleNotFoundError" in done.stderr:
        pytest.skip("Psi4 is built for another Python than this one")
    if done.returncode == 0:
        pytest.skip("this Psi4 reads the arrays of this numpy")
    assert f"misreads the arrays of numpy {np.__version__}" in done.stderr
    assert "pip install 'numpy<2'" in done.stderr
