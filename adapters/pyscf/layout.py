"""The flat array of derivatives that PySCF expects, and libxc's labelled blocks.

PySCF's ``eval_xc1`` returns (derivatives, N): the energy per particle, then for each order k the
derivatives of n times it in the order of ``combinations_with_replacement(variables, k)``, the
variables being (rho, sigma, tau) or (rho a, rho b, sigma aa, ab, bb, tau a, tau b).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xcnet import variables
from xcnet.errors import InputError

Array = NDArray[np.float64]

#: PySCF's ``xc_type``, in the order of what they need.
KINDS = ("HF", "LDA", "GGA", "MGGA")
VARIABLES = {kind: variables.family_variables(kind.lower()) for kind in KINDS[1:]}
ROWS = {"LDA": 1, "GGA": 4, "MGGA": 5}  # n, its gradient, tau

_MGGA_FXC = (
    "v2rho2 v2rhosigma v2sigma2 v2lapl2 v2tau2 v2rholapl v2rhotau v2lapltau v2sigmalapl v2sigmatau"
)
_MGGA_KXC = (
    "v3rho3 v3rho2sigma v3rhosigma2 v3sigma3 v3rho2lapl v3rho2tau v3rhosigmalapl v3rhosigmatau "
    "v3rholapl2 v3rholapltau v3rhotau2 v3sigma2lapl v3sigma2tau v3sigmalapl2 v3sigmalapltau "
    "v3sigmatau2 v3lapl3 v3lapl2tau v3lapltau2 v3tau3"
)
#: Order of the blocks in PySCF's older ``eval_xc``; it has None for those with the Laplacian.
TUPLES: dict[str, list[Sequence[str]]] = {
    "LDA": [variables.labels(VARIABLES["LDA"], order) for order in (1, 2, 3)],
    "GGA": [variables.labels(VARIABLES["GGA"], order) for order in (1, 2, 3)],
    "MGGA": [("vrho", "vsigma", "vlapl", "vtau"), _MGGA_FXC.split(), _MGGA_KXC.split()],
}

Derivative = tuple[tuple[str, int], ...]  # the (variable, component) pairs it is taken by


@cache
def derivatives(kind: str, spin: int, deriv: int) -> tuple[Derivative, ...]:
    """Rows of ``eval_xc1`` for a type of functional, PySCF's spin (0, 1) and highest order."""
    single = [(name, i) for name in VARIABLES[kind] for i in range(variables.width(name, spin + 1))]
    return tuple(
        row for order in range(deriv + 1) for row in combinations_with_replacement(single, order)
    )


@cache
def embed(source: str, target: str, spin: int, deriv: int) -> NDArray[np.intp]:
    """Row in the array of type `target` of each row in that of the simpler type `source`."""
    place = {row: i for i, row in enumerate(derivatives(target, spin, deriv))}
    return np.array([place[row] for row in derivatives(source, spin, deriv)])


@cache
def label_rows(kind: str, spin: int, deriv: int) -> dict[str, NDArray[np.intp]]:
    """Rows of the flat array that hold the components of each of libxc's labels."""
    place = {row: i for i, row in enumerate(derivatives(kind, spin, deriv))}
    return {
        label: np.array([place[row] for row in variables.components(label, spin + 1)])
        for order in range(deriv + 1)
        for label in variables.labels(VARIABLES[kind], order)
    }


def density_rows(rho: Any, kind: str, spin: int) -> Array:
    """PySCF's density as (spins, rows, N), without the Laplacian that older callers give.

    Raises
    ------
    InputError
        It has other rows than a functional of this type needs.
    """
    rho = np.asarray(rho, dtype=np.float64)
    if kind == "MGGA" and rho.ndim > 1 and rho.shape[-2] == 6:
        rho = rho[..., [0, 1, 2, 3, 5], :]
    shape = spin + 1, ROWS[kind], rho.shape[-1]
    if rho.size != np.prod(shape):
        raise InputError(
            f"the density has the shape {rho.shape}; a functional that is used as {kind} needs "
            f"{shape}: n, and with GGA its gradient, with MGGA tau too, of one or two spins",
            argument="rho",
            expected=shape,
            given=rho.shape,
        )
    return rho.reshape(shape)


def older_form(flat: Array, kind: str, spin: int, deriv: int) -> tuple[Any, ...]:
    """Flat array as ``eval_xc`` returns it: exc, then a tuple of blocks or None per order."""
    rows = label_rows(kind, spin, deriv)

    def block(label: str) -> Array | None:
        if label not in rows:
            return None
        return flat[rows[label]].T if spin else flat[rows[label][0]]

    blocks = [tuple(block(label) for label in labels) for labels in TUPLES[kind]]
    return flat[0], *blocks[:deriv], *[None] * (3 - deriv)
