"""``pylibxc.version``: pylibxc has the version of its libxc."""

from __future__ import annotations

from xcnet import libxc


def __getattr__(name: str) -> str:
    if name == "__version__":
        return libxc.version_string()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
