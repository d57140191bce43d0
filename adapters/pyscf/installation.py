"""Where the stand-in for ``pyscf.dft.libxc`` is put: under all objects, or under one."""

from __future__ import annotations

import copyreg
import threading
import weakref
from importlib import import_module
from types import ModuleType
from typing import Any

from pyscf.dft import numint

import xcnet
from xcnet.adapters.pyscf import hooks, startup
from xcnet.adapters.pyscf.facade import StandIn
from xcnet.errors import ArgumentTypeError, UnsupportedError

_lock = threading.RLock()
_installed: StandIn | None = None
_attached: set[weakref.finalize[..., StandIn]] = set()


def install() -> None:
    """Make every Kohn-Sham object of PySCF in this process know the registry's functionals.

    Calling it again changes nothing. Whatever stood in for libxc before keeps its work.
    """
    global _installed
    with _lock:
        startup.check()
        mixin = numint.LibXCMixin
        _refuse_another_copy(mixin.libxc)
        if _installed is None or mixin.libxc is _installed.previous:
            _installed = StandIn(mixin.libxc)
            mixin.libxc = _installed
        hooks.put()
        hooks.put_in_module()


def uninstall() -> None:
    """Undo `install` and each `attach`: PySCF is as it was before the first of them.

    Objects that were attached refuse neural functionals from then on.
    """
    global _installed
    with _lock:
        if _installed is not None:
            if numint.LibXCMixin.libxc is _installed:
                numint.LibXCMixin.libxc = _installed.previous
            _installed.retired = True  # another plug-in on top of it may still hand on requests
        _installed = None
        for finalizer in list(_attached):
            alive = finalizer.detach()
            if alive is not None:
                alive[0].detached = True
        _attached.clear()
        hooks.remove()


def attach(mf: Any) -> Any:
    """Make one Kohn-Sham object, and the objects made from it, know the registry's functionals.

    While any of them exists, the methods of PySCF that have to be told about neural functionals
    ask each object's functional first (`hooks`); others are answered as before.

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
    _refuse_another_copy(mf._numint.libxc)
    previous = mf._numint.libxc
    while isinstance(previous, StandIn):
        previous = previous.previous
    mf._numint.libxc = restored(previous)
    return mf


def restored(previous: Any) -> StandIn:
    """Stand-in of attached objects, also of copies and of those unpickled in another process.

    Parameters
    ----------
    previous
        What it stands in for: a module or its name, or another plug-in's stand-in.
    """
    with _lock:
        startup.check()
        stand_in = StandIn(import_module(previous) if isinstance(previous, str) else previous)
        finalizer = weakref.finalize(stand_in, _leave)
        finalizer.atexit = False
        _attached.add(finalizer)
        hooks.put()
    return stand_in


def _leave() -> None:
    """Called when an attached stand-in has gone: the last one takes the hooks with it."""
    with _lock:
        _attached.difference_update([f for f in list(_attached) if not f.alive])
        if _installed is None and not _attached:
            hooks.remove()


def _reduced(stand_in: StandIn) -> tuple[Any, ...]:
    """How a stand-in is copied and pickled: modules cannot be; their names are enough."""
    if stand_in.detached:
        raise stand_in.refusal("a copy of this object")
    previous = stand_in.previous
    return restored, (previous.__name__ if isinstance(previous, ModuleType) else previous,)


copyreg.pickle(StandIn, _reduced)


def _refuse_another_copy(stand_in: Any) -> None:
    """Stop where another copy of this adapter, perhaps of another version, is at work."""
    while stand_in is not None:
        if type(stand_in).__module__ == StandIn.__module__ and not isinstance(stand_in, StandIn):
            raise UnsupportedError(
                f"{stand_in.__name__} is installed in this process already, and this is another "
                f"copy, xcnet {xcnet.__version__}: start a new process, or call uninstall() of "
                "that one first"
            )
        stand_in = getattr(stand_in, "previous", None)
