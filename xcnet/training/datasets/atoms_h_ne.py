"""The atoms H to Ne in their ground-state multiplicities."""

from __future__ import annotations

from xcnet.training.datasets import System

_UNPAIRED = {"H": 1, "He": 0, "Li": 1, "Be": 0, "B": 1, "C": 2, "N": 3, "O": 2, "F": 1, "Ne": 0}

SYSTEMS = tuple(System(symbol, f"{symbol} 0 0 0", spin) for symbol, spin in _UNPAIRED.items())
