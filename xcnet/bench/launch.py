"""Run one task in a process of its own, within its limits, and always come back with a record."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any

from xcnet.bench.machine import machine
from xcnet.bench.tasks import Task, head

COMMAND = (sys.executable, "-m", "xcnet.bench.worker")
LAST_WORDS = 400  # characters of a crashed process's stderr that its record keeps

_running: set[subprocess.Popen[str]] = set()
_lock = threading.Lock()


def calculate(text: str, threads: int = 1) -> dict[str, Any]:
    """Record of a task given as JSON; a crash, a limit or an error is recorded as ``failed``.

    Module-level and of plain arguments, so that any executor can run it anywhere.
    """
    task = Task.from_json(text)
    start = time.perf_counter()
    outcome = _outcome(task, text, threads)
    return {
        "format": 1,
        **head(task),
        **outcome,
        "seconds": round(time.perf_counter() - start, 2),
        "machine": {**machine(), "threads": threads},
    }


def _outcome(task: Task, text: str, threads: int) -> dict[str, Any]:
    with tempfile.TemporaryFile("w+") as errors, _process(task, threads, errors) as process:
        with _lock:
            _running.add(process)
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            # stdin stays open: its end tells the process that this one is gone.
            _say(process, text)
            try:
                code = process.wait(task.limits.seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                return {"status": "failed", "error": f"more than {task.limits.seconds:g} s"}
            printed = process.stdout.read()
        finally:
            with _lock:
                _running.discard(process)
        if code == 0 and printed:
            record: dict[str, Any] = json.loads(printed)
            return record
        errors.seek(0)
        return {"status": "failed", "error": _reason(code, errors.read())}


def _process(task: Task, threads: int, errors: Any) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),
        # The rest is for Python, the grid and what PySCF does not count.
        "PYSCF_MAX_MEMORY": str(int(500 * task.limits.memory_gb)),
    }
    return subprocess.Popen(
        COMMAND,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        env=environment,
        start_new_session=True,  # Ctrl-C is for the runner, which ends its processes itself
    )


def _say(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(text + "\n")
        process.stdin.flush()
    except BrokenPipeError:
        pass  # it died at once; its exit code says more


def _reason(code: int, words: str) -> str:
    how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return f"{how}. {words.strip()[-LAST_WORDS:]}".strip()


def stop() -> None:
    """End all calculations that this process started."""
    with _lock:
        for process in _running:
            process.kill()
