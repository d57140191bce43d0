"""Neural functionals in PySCF's variables."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from xcnet import registry
from xcnet.adapters.pyscf import expressions, layout
from xcnet.adapters.pyscf.layout import Array
from xcnet.functionals import LibXCFunctional


def values(
    entry: registry.Entry, rho: Array, deriv: int, near_region: Array | None = None
) -> dict[str, Array]:
    """Labelled outputs (N, width) of one functional for density rows (spins, rows, N).

    A nonlocal one gives its partial derivatives at the descriptor `near_region` (N, 1).
    """
    inputs = layout.libxc_inputs(rho, expressions.kind_of(entry))
    if near_region is not None:
        inputs["near_region"] = near_region
    wanted = [order <= deriv for order in range(4)]
    return _functional(entry, len(rho) - 1).compute(inputs, None, *wanted)


def flat(outputs: dict[str, Array], kind: str, spin: int, deriv: int) -> Array:
    """Flat array, in the rows of the functional's own type, from labelled outputs."""
    result = np.empty((len(layout.derivatives(kind, spin, deriv)), len(outputs["zk"])))
    for label, rows in layout.label_rows(kind, spin, deriv).items():
        result[rows] = outputs[label].T
    return result


@lru_cache(maxsize=64)
def _functional(entry: registry.Entry, spin: int) -> LibXCFunctional:
    return LibXCFunctional(entry.name, "polarized" if spin else "unpolarized")
