"""Training sets for tests: one made of text, and where the W4-17 data are."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

import pytest

from xcnet.systems import training_sets

ROOT = Path(__file__).resolve().parent.parent


@contextmanager
def added(folder: Path, source: str, name: str) -> Iterator[None]:
    """Training set whose module is this text, found in one more folder for a while."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(dedent(source), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_sets, "__path__", [*training_sets.__path__, str(folder)])
        training_sets._modules.cache_clear()
        try:
            yield
        finally:
            training_sets._modules.cache_clear()
            # Another test may have another set of this name.
            sys.modules.pop(f"{training_sets.__name__}.{name}", None)


def w4_17_file() -> Path:
    """The converted data: XCNET_W4_17, or shared/ beside the checkout; skips without them."""
    given = os.environ.get("XCNET_W4_17")
    path = Path(given) if given else ROOT.parent / "shared/data/w4-17/molecules.json"
    if not path.is_file():
        pytest.skip(f"no W4-17 data in {path}; XCNET_W4_17 names another file")
    return path
