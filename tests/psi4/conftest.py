"""Tests in Psi4's own environment (`make test-psi4`), where CI=true makes its absence a failure.

Every module here begins with ``psi4 = pytest.importorskip("psi4")``.
"""

from __future__ import annotations

import importlib.util
import os

if importlib.util.find_spec("psi4") is None and os.environ.get("CI", "").lower() == "true":
    raise RuntimeError("psi4 cannot be imported: tests/psi4 runs in its environment")
