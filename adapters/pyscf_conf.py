"""One line that installs the PySCF adapter: ``import xcnet.adapters.pyscf_conf``.

In ``~/.pyscf_conf.py`` it serves every script of PySCF, unchanged; in a script, that script. PySCF
reads that file in the middle of its own import, when nothing of it can be used yet: the adapter is
installed right after the first import from a script that brings ``pyscf.dft``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

NEEDED = "pyscf.dft.numint"


class _OnImport(MetaPathFinder):
    """Finds no module itself; looks on when a script imports one of PySCF's."""

    def __init__(self) -> None:
        self._inside = False

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Spec that others find, which installs the adapter once its module is there."""
        if self._inside or not name.startswith("pyscf.") or _is_loading("pyscf"):
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        spec = next(filter(None, (f.find_spec(name, path, target) for f in others)), None)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            self._inside = True
            try:
                execute(module)
            finally:
                self._inside = False
            parent, _, child = name.rpartition(".")
            setattr(sys.modules[parent], child, module)  # as the import does next
            _install_if_ready()

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _is_loading(name: str) -> bool:
    spec = getattr(sys.modules.get(name), "__spec__", None)
    return bool(getattr(spec, "_initializing", False))


def _install_if_ready() -> None:
    """Install where PySCF has been imported, and nobody is importing the adapter right now."""
    if NEEDED not in sys.modules or _is_loading("pyscf") or _is_loading("xcnet.adapters.pyscf"):
        return
    if _watch in sys.meta_path:
        sys.meta_path.remove(_watch)
    from xcnet.adapters.pyscf import install

    install()


_watch = _OnImport()
sys.meta_path.insert(0, _watch)
_install_if_ready()
