"""Families of functionals that rows are fitted by: what their factors depend on.

All have the parts and the Legendre polynomials of `expansion.Orders`, in two features from 0 to 1:
meta-GGAs in u and beta (`expansion`), GGAs in u and d (`gradient`). Correlation of meta-GGAs with
the near-region density has its contrast as a third (`near_region`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from xcnet.operators import GridOperator
from xcnet.training.form.bounded import Bounded, ThreeFactors
from xcnet.training.form.bounded_gga import BoundedGGA
from xcnet.training.form.bounded_near_region import BoundedNearRegion
from xcnet.training.form.features.correlation import NEAR_REGION
from xcnet.training.linear import expansion, gradient, near_region
from xcnet.training.linear.expansion import Orders

Array = npt.NDArray[np.float64]
R2SCAN = ("MGGA_X_R2SCAN", "MGGA_C_R2SCAN")


@dataclass(frozen=True)
class RowsFamily:
    """One family.

    Parameters
    ----------
    name : str
        As recipes call it.
    record : str
        As records call it.
    kept : Orders
        What is integrated of every system.
    integrate : function
        Columns of ``kept``, see `expansion.integrate`.
    functionals : mapping
        Whose energies stand beside the columns, by libxc's names. The prior is one of them, and
        r2SCAN has the force constants of bonds.
    beside : tuple of str
        Those of them that reports name.
    gas : function
        Second features (k,) where a factor of so many polynomials is that of the uniform gas.
    exchange : function
        The prior's exchange factor (N,) at features (N,) and (N,).
    module : function
        Networks instead of polynomials: hidden widths, seed, share of exact exchange.
    inputs : tuple of str
        What the module is given.
    descriptor : GridOperator or None
        Given to module and ``integrate``, too, as their last variable but the orders.
    """

    name: str
    record: str
    kept: Orders
    integrate: Callable[..., Array]
    functionals: Mapping[str, tuple[str, ...]]
    beside: tuple[str, ...]
    gas: Callable[[int], Array]
    exchange: Callable[[Array, Array], Array]
    module: Callable[[Sequence[int], Sequence[int], float], ThreeFactors]
    inputs: tuple[str, ...]
    descriptor: GridOperator | None = None


MGGA = RowsFamily(
    "mgga",
    "mgga",
    expansion.KEPT,
    expansion.integrate,
    {
        "r2SCAN": R2SCAN,
        "TPSS": ("MGGA_X_TPSS", "MGGA_C_TPSS"),
        "M06-L": ("MGGA_X_M06_L", "MGGA_C_M06_L"),
        "PBE": ("GGA_X_PBE", "GGA_C_PBE"),
        "B97M-V, without VV10": ("MGGA_XC_B97M_V",),
    },
    ("r2SCAN", "M06-L", "TPSS"),
    lambda order: np.full(1, 0.5),
    expansion.r2scan_exchange,
    Bounded,
    ("rho", "sigma", "tau"),
)
GGA = RowsFamily(
    "gga",
    "gga",
    gradient.KEPT,
    gradient.integrate,
    {
        "r2SCAN": R2SCAN,
        "PBE": ("GGA_X_PBE", "GGA_C_PBE"),
        "revPBE": ("GGA_X_PBE_R", "GGA_C_PBE"),
        "HCTH/407": ("GGA_XC_HCTH_407",),
    },
    ("PBE", "revPBE", "HCTH/407", "r2SCAN"),
    gradient.gas,
    gradient.pbe_exchange,
    BoundedGGA,
    ("rho", "sigma"),
)
NEAR = replace(
    MGGA,
    name="near-region",
    kept=near_region.KEPT,
    integrate=near_region.integrate,
    module=BoundedNearRegion,
    descriptor=NEAR_REGION,
)
FAMILIES = {family.name: family for family in (MGGA, GGA, NEAR)}
