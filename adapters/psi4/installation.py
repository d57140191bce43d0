"""What importing the adapter does to Psi4: checks, patch, names, guards."""

from __future__ import annotations

import logging

import numpy as np
import psi4
from psi4 import core

from xcnet import native, registry
from xcnet.adapters._patch import Patches
from xcnet.adapters.psi4 import (
    announcement,
    dispersion,
    guards,
    nonlocal_hooks,
    recovery,
    registration,
)
from xcnet.errors import UnsupportedError

_logger = logging.getLogger(__name__)
_patches = Patches()


def install() -> None:
    """Make Psi4 know the registry's functionals, as they are now.

    Done when the package is imported, and again whenever the registry is told to look anew
    (`xcnet.registry.refresh`). Calling it again is harmless.

    Raises
    ------
    UnsupportedError
        This Psi4 misreads numpy's arrays, or holds its libxc in a way that cannot be reached.
    EngineError
        The native library or ONNX Runtime cannot be used.
    """
    check_arrays()
    native.load()
    if not _patches:
        slots = native.patch(core.__file__)
        _logger.debug("%d entry points of %s patched", slots, core.__file__)
        for part in (guards, nonlocal_hooks, dispersion, announcement, recovery):
            part.put(_patches)
        registry.on_change(install)
    registration.register()


def uninstall() -> None:
    """Put Psi4 back as it was before `install`; wavefunctions made before are not to be used.

    Its calls of libxc still go through our library, where existing wavefunctions end theirs: it
    knows no functional any more, and hands on all calls.
    """
    if _patches:
        registry.no_change(install)
        registration.clear()
        _patches.remove()
        native.load([])


def check_arrays() -> None:
    """Stop if Psi4 misreads numpy's arrays, as builds made for numpy 1 do under numpy 2.

    Raises
    ------
    UnsupportedError
        With the versions and the remedy.
    """
    array = np.arange(1.0, 7.0).reshape(2, 3)
    read = np.array(core.Matrix.from_array(array))
    if read.shape != array.shape or not np.array_equal(read, array):
        raise UnsupportedError(
            f"Psi4 {psi4.__version__} misreads the arrays of numpy {np.__version__}: it was built "
            "for numpy 1, and its results would be silently wrong. Install an older numpy beside "
            "it: pip install 'numpy<2'",
            host=f"Psi4 {psi4.__version__}",
            given=np.__version__,
        )
