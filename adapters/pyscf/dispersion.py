"""Dispersion corrections with the parameters of a functional's record: ``NN-name-D3BJ``, ``-D4``.

PySCF hands the name before the suffix, or all of ``mf.xc`` where ``mf.disp`` is set, to Grimme's
libraries, which know the parameters of the functionals in their lists only. One neural functional
alone has those of its record; for a mixture nobody has fitted any.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from functools import wraps
from typing import Any

from xcnet import dispersion
from xcnet.adapters.pyscf import expressions
from xcnet.errors import UnsupportedError

ADVICE = (
    "Leave out the suffix and mf.disp, or name a functional whose parameters suit: "
    "mf.disp = 'd3bj:pbe'."
)
LISTED = "pbe"  # in the libraries' lists; its parameters are replaced at once


def check(text: str) -> None:
    """Refuse a suffix that no record has parameters for (UnsupportedError)."""
    base, method = dispersion.split(text)
    if method:
        parameters(base, method)


def parameters(text: str, method: str) -> dict[str, float]:
    """Damping parameters of an expression (from `expressions.as_text`).

    Raises
    ------
    UnsupportedError
        For a mixture, and for a functional whose record has no parameters of this method.
    """
    entry = expressions.sole_neural(text)
    return dispersion.parameters(text, entry.spec if entry else None, method, ADVICE)


def asked_early(original: Callable[..., Any]) -> Callable[..., Any]:
    """Refuse ``mf.disp`` in ``dump_flags``: PySCF itself asks after the first energy."""

    @wraps(original)
    def dump_flags(mf: Any, verbose: Any = None) -> Any:
        if mf.disp and not isinstance(mf.disp, str) and expressions.holds_neural(str(mf.xc)):
            raise UnsupportedError(
                f"mf.disp = {mf.disp!r} names no dispersion correction: write 'd3bj' or 'd4', for "
                "which the functional's record needs parameters, or 'd3bj:pbe' to choose others",
                functional=str(mf.xc),
                given=mf.disp,
            )
        asked = str(mf.disp or "")
        text = expressions.as_text(mf.xc) if asked and ":" not in asked else ""
        if text and expressions.holds_neural(text):
            method = re.sub(r"(2B|ATM)$", "", asked.upper())
            parameters(dispersion.split(text)[0], method)
        return original(mf, verbose)

    return dump_flags


def with_record(original: Callable[..., None]) -> Callable[..., None]:
    """Constructor of PySCF's ``DFTD3Dispersion`` or ``DFTD4Dispersion`` that asks records too."""

    @wraps(original)
    def init(self: Any, mol: Any, xc: str, *args: Any, **kwargs: Any) -> None:
        self._mol = self._disp = self._param = None  # for __del__, should there be an error
        text = expressions.as_text(xc)
        if not expressions.holds_neural(text):
            original(self, mol, xc, *args, **kwargs)
            return
        is_d4 = hasattr(self, "set_param")
        version = "D4" if is_d4 else str(kwargs.get("version", args[0] if args else "D3BJ")).upper()
        values = parameters(text, version)
        original(self, mol, LISTED, *args, **kwargs)
        if is_d4:
            self.set_param(**values)
        else:
            _set_d3(self, **{"s9": float(kwargs.get("atm", False)), **values})

    return init


def _set_d3(
    model: Any, s8: float, a1: float, a2: float, s9: float, s6: float = 1.0, alp: float = 14.0
) -> None:
    """Rational damping of PySCF's D3 model, which has no ``set_param`` as D4's has."""
    from pyscf.dispersion.dftd3 import error_check, libdftd3

    new = libdftd3.dftd3_new_rational_damping
    new.restype = ctypes.c_void_p
    error = libdftd3.dftd3_new_error()
    try:
        created = new(error, *map(ctypes.c_double, (s6, s8, s9, a1, a2, alp)))
        error_check(error)
    finally:
        libdftd3.dftd3_delete_error(ctypes.byref(error))
    libdftd3.dftd3_delete_param(ctypes.byref(model._param))
    model._param = ctypes.c_void_p(created)
