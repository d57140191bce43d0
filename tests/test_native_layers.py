"""The files of libxcnet call each other in one direction."""

from __future__ import annotations

import subprocess
from graphlib import TopologicalSorter
from pathlib import Path

from tests.native_client import SOURCES, compile_c


def _symbols(compiled: Path, *options: str) -> set[str]:
    done = subprocess.run(
        ["nm", "--format=just-symbols", *options, str(compiled)],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_no_circles(tmp_path: Path) -> None:
    files = [
        compile_c(tmp_path / source.name, "-c", "-fPIC", str(source))
        for source in sorted(SOURCES.glob("*.c"))
    ]
    homes = {
        name: file.name for file in files for name in _symbols(file, "--defined-only", "--extern")
    }
    calls = {
        file.name: {homes[name] for name in _symbols(file, "--undefined-only") if name in homes}
        for file in files
    }
    order = list(TopologicalSorter(calls).static_order())  # CycleError names a circle
    assert sorted(order) == [file.name for file in files]
