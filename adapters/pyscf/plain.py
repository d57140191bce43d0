"""Whether PySCF's module ``libxc`` knows neural functionals: not while this adapter asks it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _State(threading.local):
    plain = False


_state = _State()


def is_plain() -> bool:
    """Whether the module answers this thread as it does without the adapter."""
    return _state.plain


@contextmanager
def libxc() -> Iterator[None]:
    """Let the module answer this thread as it does without the adapter."""
    before, _state.plain = _state.plain, True
    try:
        yield
    finally:
        _state.plain = before
