"""Threads of a training: with one, the same recipe gives the same bits on one machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from xcnet.errors import InputError


@contextmanager
def limited(count: int) -> Iterator[None]:
    """Let PySCF and torch use so many threads for a while.

    Both add up in the order in which their threads finish. What the functionals give does not
    depend on their threads, which are those of `xcnet.engine.num_threads`.

    Raises
    ------
    InputError
        The number is not positive.
    """
    from pyscf import lib

    if count < 1:
        raise InputError(
            f"--threads {count}: the number of threads must be positive",
            argument="threads",
            given=count,
        )
    before = lib.num_threads(), torch.get_num_threads()
    lib.num_threads(count)
    torch.set_num_threads(count)
    try:
        yield
    finally:
        lib.num_threads(before[0])
        torch.set_num_threads(before[1])
