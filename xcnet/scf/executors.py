"""Where tasks run: a pool of this machine, or a Dask cluster. Both are plain executors."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from xcnet import extras
from xcnet.errors import BenchmarkError, MissingPackageError

LOCAL = "local"
CONNECT_SECONDS = 15
RETRIES = 2  # of a task whose worker died


@contextmanager
def threads(jobs: int) -> Iterator[Executor]:
    """A pool of this machine: each thread waits for the process of one calculation."""
    pool = ThreadPoolExecutor(jobs)
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def dask(address: str, jobs: int) -> Iterator[Executor]:
    """Executor of a running Dask scheduler at ``address``, or of a local cluster for ``local``.

    Tasks of a worker that dies are done again by another one.

    Raises
    ------
    MissingPackageError
        Without ``distributed``.
    BenchmarkError
        If the scheduler cannot be reached.
    """
    try:
        import distributed
    except ImportError as error:
        raise MissingPackageError(
            f"--dask needs Dask: {extras.hint('bench')}", package="distributed"
        ) from error
    with _cluster(distributed, address, jobs) as target:
        try:
            client = distributed.Client(target, timeout=CONNECT_SECONDS, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise BenchmarkError(
                f"no Dask scheduler answers at {address} ({type(error).__name__}); start one with "
                "'dask scheduler' and workers with 'dask worker ADDRESS'",
                address=address,
            ) from error
        with client:
            yield client.get_executor(retries=RETRIES, pure=False)


@contextmanager
def _cluster(distributed: Any, address: str, jobs: int) -> Iterator[Any]:
    """Local cluster of one-thread workers, or the address itself."""
    if address != LOCAL:
        yield address
        return
    with distributed.LocalCluster(
        n_workers=jobs, threads_per_worker=1, dashboard_address=None
    ) as cluster:
        yield cluster
