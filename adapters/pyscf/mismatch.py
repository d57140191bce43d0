"""The error for a PySCF whose internals are not where this adapter looks for them."""

from __future__ import annotations

import re

import pyscf

import xcnet
from xcnet.errors import UnsupportedError

OLDEST = 2, 8


def refuse_old() -> None:
    """Stop at a PySCF older than the oldest that is tested, whether it would work or not."""
    if tuple(map(int, re.findall(r"\d+", pyscf.__version__)[:2])) < OLDEST:
        raise moved(f"it needs PySCF {'.'.join(map(str, OLDEST))} or newer")


def moved(problem: str) -> UnsupportedError:
    """Error with both versions and what to do."""
    return UnsupportedError(
        f"the PySCF adapter does not fit: {problem}. xcnet {xcnet.__version__} is not made for "
        f"PySCF {pyscf.__version__} as it is installed: install another version of one of them "
        "(xcnet is tested with PySCF 2.8, 2.11 and 2.14), and tell xcnet's developers if that is "
        "a newer PySCF",
        host=f"PySCF {pyscf.__version__}",
    )
