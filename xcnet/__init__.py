"""xcnet: neural exchange-correlation functionals behind libxc's interface."""

from __future__ import annotations

import os
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from xcnet.errors import XCNetError

if TYPE_CHECKING:
    from xcnet.engine import set_num_threads
    from xcnet.functional import LibXCFunctional, functional

__all__ = ["LibXCFunctional", "XCNetError", "__version__", "functional", "set_num_threads"]

__version__ = "0.1.0"

# A script that is run in a checkout finds this folder there, whatever is installed: its adapters
# lie beside it.
_CHECKOUT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if os.path.isfile(os.path.join(_CHECKOUT, "adapters", "libxc", "CMakeLists.txt")):
    __path__.append(_CHECKOUT)

_HOMES = {
    "LibXCFunctional": "xcnet.functional",
    "functional": "xcnet.functional",
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


class _Package(ModuleType):
    """The package: its attribute ``functional`` is the function, never the module of that name."""

    def __setattr__(self, name: str, value: Any) -> None:
        # Importing xcnet.functional, anywhere, binds the module to the package's attribute.
        if name == "functional" and isinstance(value, ModuleType):
            value = value.functional
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
