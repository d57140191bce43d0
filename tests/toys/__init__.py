"""Descriptors for tests: each is one module, which the package finds when its folder is listed.

``python -m tests.toys.functionals`` makes the functional in `models` again, for environments that
have no torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xcnet import operators

FOLDER = Path(__file__).resolve().parent


@contextmanager
def known() -> Iterator[None]:
    """Let the package of operators find the modules in this folder as well."""
    folder = str(FOLDER / "descriptors")
    operators.__path__.append(folder)
    operators.known.cache_clear()
    try:
        yield
    finally:
        operators.__path__.remove(folder)
        operators.known.cache_clear()
