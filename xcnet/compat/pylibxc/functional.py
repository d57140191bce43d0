"""``pylibxc.functional``."""

from __future__ import annotations

from xcnet.functionals import LibXCFunctional

__all__ = ["LibXCFunctional"]
