"""How many threads of this process compute, and chunks of points spread over them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar

from xcnet.errors import InputError

THREADS_VARIABLE = "XCNET_NUM_THREADS"

_threads: int | None = None
_host_threads: ContextVar[int | None] = ContextVar("host_threads", default=None)


def num_threads() -> int:
    """Threads used: the first of what says how many.

    ``set_num_threads``, XCNET_NUM_THREADS, the host's number (`of_host`), OMP_NUM_THREADS; else
    all cores.
    """
    if _threads is not None:
        return _threads
    text = _first(THREADS_VARIABLE)
    if text and _number(text) is None:
        raise InputError(
            f"{THREADS_VARIABLE}={text!r} is not a positive number of threads",
            argument=THREADS_VARIABLE,
            given=text,
        )
    host = _host_threads.get()
    return _number(text) or host or _number(_first("OMP_NUM_THREADS")) or _cores()


def _first(variable: str) -> str:
    return os.environ.get(variable, "").split(",")[0].strip()


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() and int(text) > 0 else None


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def of_host(threads: int) -> Iterator[None]:
    """Compute with a host's number of threads inside, where xcnet was not told another."""
    token = _host_threads.set(threads)
    try:
        yield
    finally:
        _host_threads.reset(token)


def set_num_threads(threads: int | None) -> None:
    """Set the number of threads of this process; None returns to the environment's choice."""
    global _threads
    if threads is not None and (not isinstance(threads, int) or threads < 1):
        raise InputError(
            f"the number of threads must be a positive integer, not {threads!r}",
            argument="threads",
            given=threads,
        )
    _threads = threads


def for_each_chunk(points: int, chunk: int, work: Callable[[slice], None]) -> None:
    """Call ``work`` on slices that cover ``points``, in parallel where it pays."""
    if points <= chunk:
        work(slice(0, points))
        return
    slices = [slice(i, min(i + chunk, points)) for i in range(0, points, chunk)]
    threads = min(num_threads(), len(slices))
    if threads < 2:
        for part in slices:
            work(part)
        return
    # A pool per call: starting threads costs 0.1 ms against milliseconds of work, and nothing
    # is left over that a fork could break.
    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(work, part) for part in slices]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
