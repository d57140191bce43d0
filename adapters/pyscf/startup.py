"""Start-up self-test: a small clone of PBE gives libxc's values on PySCF's own paths.

PySCF has no interface for other functionals: the adapter stands on its internals. Whether these
are where they were is found out once in each process, before any calculation rests on them.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from pyscf import gto
from pyscf.dft import gen_grid, libxc, numint, numint2c

from xcnet import registry, rows, variables
from xcnet.adapters.pyscf import hooks, layout, neural
from xcnet.adapters.pyscf.expressions import Plan
from xcnet.adapters.pyscf.facade import Libxc
from xcnet.adapters.pyscf.mismatch import moved
from xcnet.errors import XCNetError
from xcnet.spec import load_spec
from xcnet.terms import NeuralTerm

FOLDER = Path(__file__).parent / "gga_xc_pbe_clone"
LIBXC = "PBE,PBE"
QUANTITIES = ("electrons", "energy", "potential")
POINTS = 16
TOLERANCE = 1e-10  # of the largest value; the clone and libxc differ by rounding


class Probe(Libxc):
    """Stand-in that answers every expression by the clone, and counts the evaluations."""

    def __init__(self, previous: Any) -> None:
        super().__init__(previous)
        spec = load_spec(FOLDER)
        entry = registry.Entry(spec.name, spec.id, (), spec.family, spec.kind, "package", spec)
        self._clone = Plan(spec.name, ((1.0, entry),), "", "GGA", "HF")
        self._spec = spec
        self.evaluations = 0

    def plan(self, xc_code: object) -> Plan:
        """Plan of the clone."""
        return self._clone

    def add_local(
        self, plan: Plan, rho: layout.Array, deriv: int, omega: float | None
    ) -> layout.Array:
        """Flat array of the clone."""
        self.evaluations += 1
        spin = len(rho) - 1
        labels = list(variables.requested_labels(self._spec.variables, [True] * (deriv + 1)))
        values = NeuralTerm(self._spec, spin + 1).evaluate(
            rows.variables_of(rho, layout.VARIABLES["GGA"]), labels
        )
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
    """What is different between the clone and libxc on PySCF's paths; empty if nothing is."""
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
        for what, clone, reference in zip(QUANTITIES, *results, strict=True):
            error = np.abs(np.asarray(clone) - reference).max() / np.abs(reference).max()
            if not error < TOLERANCE:
                return f"{method}: the {what} of a copy of PBE is {error:.1e} off libxc's PBE"
    return ""
