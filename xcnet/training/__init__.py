"""Training of functionals: ``xcnet train`` from a recipe to a functional folder.

In: a recipe, training sets, ground states. Out: weights, and a functional folder with its report.
`form` holds features and networks, `loss` what is minimized, `publish` what is written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xcnet.export.exporter import export

__all__ = ["export"]


def __getattr__(name: str) -> Any:
    # Lazy, so that the torch-free parts of training (recipes, records) load fast.
    if name != "export":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from xcnet.export.exporter import export

    return export
