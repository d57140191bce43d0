"""Where the stand-in for ``pyscf.dft.libxc`` is put: under all objects, or under one."""

from __future__ import annotations

import threading
from typing import Any

import pyscf
from pyscf.dft import numint

from xcnet.adapters.pyscf import hooks, startup
from xcnet.adapters.pyscf.facade import Libxc
from xcnet.errors import ArgumentTypeError, UnsupportedError

_lock = threading.RLock()
_installed: Libxc | None = None
_attached = False


def install() -> None:
    """Make every Kohn-Sham object of PySCF in this process know the registry's functionals.

    Calling it again changes nothing. Whatever stood in for libxc before keeps its work.
    """
    global _installed
    with _lock:
        mixin = _mixin()
        startup.check()
        if _installed is None or mixin.libxc is _installed.previous:
            _installed = Libxc(mixin.libxc)
            mixin.libxc = _installed
        hooks.put()


def uninstall() -> None:
    """Undo `install`. Objects that were attached one by one keep their functionals."""
    global _installed
    with _lock:
        mixin = _mixin()
        if _installed is not None:
            if mixin.libxc is _installed:
                mixin.libxc = _installed.previous
            _installed.retired = True  # another plug-in on top of it may still hand on requests
        _installed = None
        if not _attached:
            hooks.remove()


def attach(mf: Any) -> Any:
    """Make one Kohn-Sham object, and the objects made from it, know the registry's functionals.

    Parameters
    ----------
    mf
        RKS, UKS, ROKS, GKS ... object. Its copies, ``density_fit()``, ``newton()``, ``to_uks()``,
        ``to_gks()`` and whatever else is made from it keep the functional.

    Returns
    -------
    object
        The same object.
    """
    if not hasattr(mf, "_numint"):
        raise ArgumentTypeError(
            f"attach() takes a Kohn-Sham object of PySCF, not {type(mf).__name__}"
        )
    _mixin()
    startup.check()
    previous = mf._numint.libxc
    while isinstance(previous, Libxc):
        previous = previous.previous
    mf._numint.libxc = Libxc(previous)
    global _attached
    with _lock:
        _attached = True
        hooks.put()
    return mf


def _mixin() -> Any:
    mixin = getattr(numint, "LibXCMixin", None)
    if mixin is None:
        raise UnsupportedError(
            f"PySCF {pyscf.__version__} is too old for this adapter: pip install 'pyscf>=2.8'"
        )
    return mixin
