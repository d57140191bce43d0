"""Start-up self-test: PBE on our way gives PySCF's own values on PySCF's own paths.

PySCF has no interface for other functionals: the adapter stands on its internals. Whether these
are where they were is found out once in each process, before any calculation rests on them.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from pyscf import gto
from pyscf.dft import gen_grid, libxc, numint, numint2c

from xcnet import rows
from xcnet.adapters.pyscf import hooks, layout, neural
from xcnet.adapters.pyscf.expressions import Plan
from xcnet.adapters.pyscf.facade import StandIn
from xcnet.adapters.pyscf.mismatch import moved
from xcnet.errors import XCNetError
from xcnet.functionals import LibXCFunctional

XC, LIBXC = "PBE", "PBE,PBE"  # ours and PySCF's name
QUANTITIES = ("electrons", "energy", "potential")
POINTS = 16
TOLERANCE = 1e-10  # of the largest value; two builds of libxc differ by rounding


class Probe(StandIn):
    """Stand-in that answers every expression by libxc's PBE on our way, and counts evaluations."""

    def __init__(self, previous: Any) -> None:
        super().__init__(previous)
        self.evaluations = 0

    def plan(self, xc_code: object) -> Plan:
        """Plan of PBE, as one that holds a functional of ours."""
        return Plan(XC, (), LIBXC, "GGA", "GGA")

    def add_local(
        self, plan: Plan, rho: layout.Array, deriv: int, omega: float | None
    ) -> layout.Array:
        """Flat array of PBE."""
        self.evaluations += 1
        spin = len(rho) - 1
        inputs = rows.variables_of(rho, layout.VARIABLES["GGA"])
        values = LibXCFunctional(XC, spin + 1).compute(inputs)
        return neural.flat(values, "GGA", spin, deriv)


@cache
def check() -> None:
    """Run the self-test, once in a process.

    Raises
    ------
    UnsupportedError
        PySCF's internals are not where this adapter looks for them.
    """
    try:
        problem = _difference()
    except XCNetError:
        raise
    except Exception as error:
        raise moved(f"{type(error).__name__}: {error}") from error
    if problem:
        raise moved(f"its self-test failed, {problem}")


def _difference() -> str:
    """What is different between both ways on PySCF's paths; empty if nothing is."""
    for owner, name, _ in hooks.TABLE:
        if name not in vars(owner):
            return f"{owner.__name__} has no {name}"
    for path in (numint.NumInt, numint2c.NumInt2C):
        if path().libxc is not numint.LibXCMixin.libxc:
            return f"{path.__name__} does not evaluate functionals through LibXCMixin.libxc"
    molecule = gto.M(atom="N", basis="sto-3g", spin=3, verbose=0)
    grids = gen_grid.Grids(molecule)
    rng = np.random.default_rng(5)
    grids.coords = rng.normal(size=(POINTS, 3))
    grids.weights = rng.uniform(0.5, 1.0, POINTS)
    closed = np.diag([2.0, 2.0, 1.0, 0.5, 0.25])
    open_shell = np.array([closed, np.diag([1.0, 0.5, 0.0, 1.0, 0.5])])
    probe = Probe(libxc)
    for method, density in (("nr_rks", closed), ("nr_uks", open_shell)):
        probe.evaluations = 0
        results = []
        for stand_in in (probe, libxc):
            ni = numint.NumInt()
            ni.libxc = stand_in
            results.append(getattr(ni, method)(molecule, grids, LIBXC, density))
        if not probe.evaluations:
            return f"{method} does not ask NumInt.libxc for the values of a functional"
        for what, ours, reference in zip(QUANTITIES, *results, strict=True):
            error = np.abs(np.asarray(ours) - reference).max() / np.abs(reference).max()
            if not error < TOLERANCE:
                return f"{method}: the {what} of PBE is {error:.1e} off its own"
    return ""
