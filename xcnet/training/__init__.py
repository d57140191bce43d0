"""Training and export of functionals: the only part of the package that imports torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xcnet.training.exporter import export

__all__ = ["export"]


def __getattr__(name: str) -> Any:
    # Lazy, so that the torch-free parts of training (data sets, records) load fast.
    if name != "export":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from xcnet.training.exporter import export

    return export
