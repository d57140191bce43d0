"""Functions of Psi4's driver, replaced in all modules that hold them.

Psi4's modules import functions from one another by name, so that one function stands in many.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any


def replace(replacements: Mapping[Callable[..., Any], Callable[..., Any]]) -> None:
    """Put other functions in the place of functions, under all names that Psi4 has for them."""
    for module in [m for name, m in sys.modules.items() if name.split(".")[0] == "psi4"]:
        for name, value in list(vars(module).items()):
            if isinstance(value, FunctionType) and value in replacements:
                setattr(module, name, replacements[value])
