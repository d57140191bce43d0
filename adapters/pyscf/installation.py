"""Where the stand-in for ``pyscf.dft.libxc`` is put: under all objects, or under one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from typing import Any

import pyscf
from pyscf.dft import libxc as pyscf_libxc
from pyscf.dft import numint

from xcnet.adapters.pyscf import hooks
from xcnet.adapters.pyscf.facade import Libxc
from xcnet.errors import ArgumentTypeError, UnsupportedError

_lock = threading.RLock()
_installed: Libxc | None = None
_hook: Callable[[object], bool] | None = None
_attached = False


def install() -> None:
    """Make every Kohn-Sham object of PySCF in this process know the registry's functionals.

    Calling it again changes nothing. Whatever stood in for libxc before keeps its work.
    """
    global _installed
    with _lock:
        mixin = _mixin()
        if _installed is None or mixin.libxc is _installed.previous:
            _installed = Libxc(mixin.libxc)
            mixin.libxc = _installed
        _hook_module()
        hooks.put()


def uninstall() -> None:
    """Undo `install`. Objects that were attached one by one keep their functionals."""
    global _installed, _hook
    with _lock:
        mixin = _mixin()
        if _installed is not None:
            if mixin.libxc is _installed:
                mixin.libxc = _installed.previous
            _installed.retired = True  # another plug-in on top of it may still hand on requests
        if _hook is not None and pyscf_libxc.is_hybrid_xc is _hook:
            pyscf_libxc.is_hybrid_xc = _hook.__wrapped__  # type: ignore[attr-defined]
        _installed = _hook = None
        if not _attached:
            hooks.remove()


def attach(mf: Any) -> Any:
    """Make one Kohn-Sham object, and the objects made from it, know the registry's functionals.

    Parameters
    ----------
    mf
        RKS, UKS, ROKS, GKS ... object. Its copies, ``density_fit()``, ``to_uks()`` and
        ``newton()`` keep the functional. ``to_gks()`` starts anew: use `install` for it.

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
    previous = mf._numint.libxc
    while isinstance(previous, Libxc):
        previous = previous.previous
    mf._numint.libxc = Libxc(previous)
    global _attached
    with _lock:
        _attached = True
        _hook_module()
        hooks.put()
    return mf


def _mixin() -> Any:
    mixin = getattr(numint, "LibXCMixin", None)
    if mixin is None:
        raise UnsupportedError(
            f"PySCF {pyscf.__version__} is too old for this adapter: pip install 'pyscf>=2.8'"
        )
    return mixin


def _hook_module() -> None:
    """Answer ``pyscf.dft.libxc.is_hybrid_xc`` too, which density fitting asks by this name."""
    global _hook
    if _hook is not None:
        return
    own, original = Libxc(pyscf_libxc), pyscf_libxc.is_hybrid_xc

    @wraps(original)
    def is_hybrid_xc(xc_code: object) -> bool:
        return bool(original(xc_code) if own.plan(xc_code) is None else own.is_hybrid_xc(xc_code))

    pyscf_libxc.is_hybrid_xc = _hook = is_hybrid_xc
