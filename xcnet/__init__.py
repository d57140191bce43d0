"""xcnet: neural exchange-correlation functionals behind libxc's interface."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xcnet.errors import XCNetError

if TYPE_CHECKING:
    from xcnet.engine import set_num_threads
    from xcnet.functionals import LibXCFunctional, functional

__all__ = ["LibXCFunctional", "XCNetError", "__version__", "functional", "set_num_threads"]

__version__ = "0.1.0"

# A checkout's root, which holds adapters/, is among the places of an editable installation.
if __name__ != "xcnet":
    raise ImportError(f"{__name__} would be a second copy of xcnet: import xcnet", name=__name__)

_HOMES = {
    "LibXCFunctional": "xcnet.functionals",
    "functional": "xcnet.functionals",
    "set_num_threads": "xcnet.engine",
}


def __getattr__(name: str) -> Any:
    """Import what is used when it is first used, so that ``import xcnet`` stays light."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
