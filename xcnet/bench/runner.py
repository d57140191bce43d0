"""Run the tasks that have no result yet, and store each result when it comes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import CancelledError, Executor, Future, as_completed, wait
from typing import Any

from xcnet.bench import launch
from xcnet.bench.machine import machine
from xcnet.bench.store import Record, Store
from xcnet.bench.tasks import Task, head, key
from xcnet.errors import BenchmarkError

Report = Callable[[Task, Record], None]


def remaining(tasks: Iterable[Task], records: Iterable[Record], retry: bool) -> list[Task]:
    """Tasks without a result; with `retry` also those whose last result is not converged."""
    last = {key(record): record["status"] for record in records}
    return [
        task for task in tasks if task.key not in last or (retry and last[task.key] != "converged")
    ]


def run(
    tasks: Sequence[Task], store: Store, executor: Executor, threads: int, report: Report
) -> None:
    """Run all tasks; `report` gets each with its record, after that is on the disk.

    Raises
    ------
    BenchmarkError
        If a result cannot be stored, or the cluster is gone. What is stored stays.
    KeyboardInterrupt
        After the calculations were ended.
    """
    futures: dict[Future[Record], Task] = {}
    try:
        for task in tasks:
            futures[executor.submit(launch.calculate, task.to_json(), threads)] = task
        for future in as_completed(futures):
            task = futures[future]
            record = _record(task, future)
            store.append(record)
            report(task, record)
    finally:
        _abandon(futures)


def _record(task: Task, future: Future[Record]) -> Record:
    try:
        return future.result()
    except (CancelledError, OSError) as error:
        raise BenchmarkError(
            f"the cluster is gone ({type(error).__name__}); finished results are stored, run the "
            "same command again to go on"
        ) from error
    except Exception as error:  # of Dask: the task's workers died again and again
        return {
            "format": 1,
            **head(task),
            **{"status": "failed", "error": f"{type(error).__name__}: {error}"},
            "machine": dict(machine()),
        }


def _abandon(futures: Iterable[Future[Any]]) -> None:
    """Cancel what waits and end what runs here."""
    left = {future for future in futures if not future.cancel() and not future.done()}
    while left:
        launch.stop()
        left = wait(left, timeout=0.2).not_done
