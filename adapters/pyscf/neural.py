"""Neural functionals in PySCF's variables."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from xcnet import registry, rows
from xcnet.adapters.pyscf import expressions, layout
from xcnet.adapters.pyscf.layout import Array
from xcnet.functionals import LibXCFunctional


def values(entry: registry.Entry, rho: Array, deriv: int) -> dict[str, Array]:
    """Labelled outputs (N, width) of a local functional for density rows (spins, rows, N)."""
    inputs = rows.variables_of(rho, layout.VARIABLES[expressions.kind_of(entry)])
    wanted = [order <= deriv for order in range(4)]
    return _functional(entry, len(rho) - 1).compute(inputs, None, *wanted)


def flat(outputs: dict[str, Array], kind: str, spin: int, deriv: int) -> Array:
    """Flat array, in the rows of the functional's own type, from labelled outputs."""
    result = np.empty((len(layout.derivatives(kind, spin, deriv)), len(outputs["zk"])))
    for label, place in layout.label_rows(kind, spin, deriv).items():
        result[place] = outputs[label].T
    return result


@lru_cache(maxsize=64)
def _functional(entry: registry.Entry, spin: int) -> LibXCFunctional:
    return LibXCFunctional(entry.name, "polarized" if spin else "unpolarized")
