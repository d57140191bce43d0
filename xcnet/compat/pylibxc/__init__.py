"""The modules and names of pylibxc, libxc's Python binding, over all of xcnet's functionals.

``import xcnet.compat.pylibxc as pylibxc`` is the only line that a pylibxc program changes: libxc's
functionals give the same results, and the names and numbers of neural ones work beside them.
"""

from __future__ import annotations

from xcnet import libxc

from . import flags, functional, util, version
from .functional import LibXCFunctional

__all__ = [
    "LibXCFunctional",
    "flags",
    "functional",
    "get_core_path",
    "util",
    "version",
]


def get_core_path() -> str:
    """Return the path of the libxc that is in use."""
    return libxc.library().path


def __getattr__(name: str) -> object:
    # The loaded library itself; late, so that neural functionals work without any libxc.
    if name == "core":
        return libxc.library().core
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
