"""The machine that a number belongs to, without anything that identifies its owner."""

from __future__ import annotations

import os
import platform
import resource
from functools import cache
from pathlib import Path


@cache
def machine() -> dict[str, str | int]:
    """Processor, its cores, and the operating system."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count() or 1,
        "system": f"{platform.system()} {platform.machine()}",
    }


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def peak_mb() -> float:
    """Largest resident memory of this process so far, MB.

    Linux hands ``ru_maxrss`` on from the process that started this one, however large that was.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return float(line.split()[1]) / 1024.0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
