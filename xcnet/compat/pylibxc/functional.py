"""``pylibxc.functional``."""

from __future__ import annotations

from xcnet.functional import LibXCFunctional

__all__ = ["LibXCFunctional"]
