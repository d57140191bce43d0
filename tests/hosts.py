"""Programs outside Python that tests need: compilers with libxc's headers, GPAW."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def need(reason: str, present: bool) -> None:
    """Skip the test where something is absent; with CI=true that is a failure."""
    if present:
        return
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def need_libxc_headers() -> None:
    """A C compiler and libxc's headers."""
    need("gcc is not installed", shutil.which("gcc") is not None)
    done = run("gcc", "-E", "-", input="#include <xc.h>")
    need("libxc's headers (libxc-dev) are not installed", done.returncode == 0)


def run(
    *words: str | Path, input: str | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a program with additions to the environment."""
    return subprocess.run(
        [str(word) for word in words],
        input=input,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, **environment},
    )


def build(*words: str | Path) -> None:
    """Run a compiler, which must succeed without a warning."""
    done = run(*words)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def xcnet(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``xcnet`` in a process of its own."""
    return run(sys.executable, "-m", "xcnet.cli", *words, **environment)
