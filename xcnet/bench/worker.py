"""One calculation in a process of its own: a task comes in by stdin, its record goes out by stdout.

``python -m xcnet.bench.worker``; started by `launch`, which sets the environment and ends it when
the time is over. The process ends itself when its parent does.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from xcnet.bench.machine import peak_mb
from xcnet.bench.tasks import Task
from xcnet.systems.sets import ENERGY

if TYPE_CHECKING:
    from xcnet.scf.calculation import Progress, Settings

GIB = 1 << 30


def main() -> int:
    """Read, calculate, write."""
    # Whatever a library prints goes to stderr: stdout carries the record alone.
    record_file = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    task = Task.from_json(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _warm_up()
    limit = int(task.limits.memory_gb * GIB)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    with record_file:
        record_file.write(json.dumps(_guarded(task)))
    return 0


def _warm_up() -> None:
    """Load what calculates, and have it get its buffers: OpenBLAS waits for ever for memory."""
    import numpy as np
    from pyscf import lib

    from xcnet.scf import calculation  # noqa: F401

    matrix = np.eye(128)
    lib.cho_solve(matrix, matrix @ matrix)  # scipy has an OpenBLAS of its own
    np.linalg.eigh(matrix)


def _end_with_parent() -> None:
    """The parent holds the other end of stdin open as long as it lives."""
    sys.stdin.read()
    os._exit(1)


def _guarded(task: Task) -> dict[str, Any]:
    """Outcome of the task; failures become a part of it."""
    try:
        return calculate(task)
    except MemoryError:
        return {"status": "failed", "error": f"more than {task.limits.memory_gb:g} GB of memory"}
    except Exception as error:
        return {"status": "failed", "error": f"{type(error).__name__}: {error}"}


def calculate(task: Task, progress: Progress | None = None) -> dict[str, Any]:
    """Solve the task in this process.

    Returns
    -------
    dict
        ``status`` (converged, unconverged, failed), ``energy`` (Hartree), ``cycles`` on the final
        grid, ``guess_cycles``, the ``rungs`` that were tried, ``cpu_seconds``, ``peak_mb`` of
        memory and ``versions``. Of other quantities ``values`` in place of the energy, and all
        ``cycles``.
    """
    from xcnet.bench import plan
    from xcnet.scf import calculation

    functional = plan.describe(task.xc)
    if functional.model != task.model:
        return {"status": "failed", "error": f"{task.xc} is another model on this machine"}
    settings = calculation.Settings(
        basis=task.protocol.basis,
        grid_level=task.grid_level,
        density_fit=task.protocol.density_fit or False,
        tolerance=task.protocol.tolerance,
        guess_grid_level=task.protocol.guess_grid_level,
    )
    start = time.process_time()
    if task.protocol.density:
        record = _energy_at_density(task, settings)
    else:
        record = (_energy if task.quantity == ENERGY else _quantity)(task, settings, progress)
    record |= {
        "cpu_seconds": round(time.process_time() - start, 2),
        "peak_mb": int(peak_mb()),
        "versions": calculation.versions(),
    }
    return record


def _energy(task: Task, settings: Settings, progress: Progress | None) -> dict[str, Any]:
    from xcnet.scf import calculation

    result = calculation.solve(task.molecule, task.xc, settings, progress or (lambda *_: None))
    return {
        "status": "converged" if result.converged else "unconverged",
        "energy": result.energy,
        "cycles": result.cycles,
        "guess_cycles": result.guess_cycles,
        "rungs": [list(rung) for rung in result.rungs],
    }


def _energy_at_density(task: Task, settings: Settings) -> dict[str, Any]:
    from xcnet.scf import at_density

    energy = at_density.energy(task.molecule, task.xc, settings, task.protocol.density)
    return {"status": "converged", "energy": energy, "cycles": 0, "guess_cycles": 0, "rungs": []}


def _quantity(task: Task, settings: Settings, progress: Progress | None) -> dict[str, Any]:
    from xcnet.scf import quantities

    outcome = quantities.KINDS[task.quantity](task.molecule, task.xc, settings)
    return {
        "status": "converged",
        "values": list(outcome.values),
        "cycles": outcome.cycles,
        "guess_cycles": 0,
    }


if __name__ == "__main__":
    sys.exit(main())
