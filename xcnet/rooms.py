"""Memory for what is kept within an evaluation, half of it held for the next one.

A system that is short of memory takes up to 2 s to provide a gigabyte anew, as long as it takes to
evaluate the layers that are kept there; calculations evaluate the same grid again and again.
"""

from __future__ import annotations

import mmap
from threading import Lock

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Bytes that a process holds between evaluations, at most; half of a room in any case, since hosts
#: need memory of their own then.
MOST_HELD = 1 << 29

_lock = Lock()
_held: mmap.mmap | None = None


class Room:
    """Uninitialized memory that arrays are cut from; `leave` it when none of them is used.

    Parameters
    ----------
    size : int
        Float64 numbers.
    """

    def __init__(self, size: int) -> None:
        global _held
        with _lock:
            memory, _held = _held, None
        if memory is None or len(memory) < 8 * size:
            memory = _new(8 * size)
        self._memory, self._free = memory, np.frombuffer(memory, count=size)
        self._held = min(MOST_HELD, 4 * size) // mmap.PAGESIZE * mmap.PAGESIZE

    def cut(self, points: int, width: int) -> Array:
        """Return an array (points, width) of what is free."""
        size = points * width
        result, self._free = self._free[:size], self._free[size:]
        return result.reshape(points, width)

    def leave(self) -> None:
        """Hold the memory for the next room, as much of it as may be."""
        global _held
        if not hasattr(self._memory, "madvise"):
            return
        self._memory.madvise(mmap.MADV_DONTNEED, self._held)
        with _lock:
            _held = self._memory


def release() -> None:
    """Give back the memory that is held."""
    global _held
    with _lock:
        _held = None


def _new(size: int) -> mmap.mmap:
    """Memory of the process's own, in large pages where they are."""
    if not hasattr(mmap, "MAP_PRIVATE"):
        return mmap.mmap(-1, max(size, 8))
    memory = mmap.mmap(-1, max(size, 8), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE)
    return memory
