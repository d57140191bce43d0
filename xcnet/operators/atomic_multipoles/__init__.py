"""Atomic multipoles: what a learned linear map through the atoms makes of 16 channels.

The channels p are gathered around each atom in radial functions phi_v times real spherical
harmonics up to l = 3, mixed there, and spread again over the points nearby:

    C_alm,v = n_l sum_h w_h phi_v(R_ha) Y_lm sum_c p_hc A^l_cv
    U_gv    = sum_a q_ga phi_v(R_ga) sum_l n_l sum_m Y_lm sum_c C_alm,c B^l_cv

with n_l = (2 l + 1)^(-1/2), shares q_ga of the atoms near a point, and A, B learned. Everything
ends smoothly at a cut-off. All centres of a grid count, ghosts too, as in the authors' program.

Source: G. Luise et al., arXiv:2506.14665 (2025), doi:10.48550/arXiv.2506.14665.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from xcnet.errors import MissingInputError
from xcnet.operators.atomic_multipoles.functions import CHANNELS, DEGREES
from xcnet.operators.base import Array, GridOperator, LinearMap, Points, Rng

#: Root mean square of samples; in molecules it is 0.2 to 2, and values reach 40.
MODERATE, WIDE = 0.3, 1.0

Matrices = tuple[tuple[tuple[float, ...], ...], ...]


def _list(size: int, items: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "minItems": size, "maxItems": size, "items": items}


_MATRICES = _list(DEGREES, _list(CHANNELS, _list(CHANNELS, {"type": "number"})))


@dataclass(frozen=True)
class AtomicMultipoles(GridOperator):
    """The descriptor with its parameters.

    Attributes
    ----------
    cutoff_bohr : float
        Distance from an atom at which its functions end, bohr.
    widths_bohr : (16,) tuple
        s_v of the radial functions, whose Gaussians are exp(-R^2/(2 s_v^2)), bohr.
    down, up : (4, 16, 16) nested tuples
        A^l_cv and B^l_cv by [l][c][v].
    """

    label = "atomic_multipoles"
    width = CHANNELS
    channels = CHANNELS
    schema: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {
            "description": "linear map of 16 channels through the atoms' multipoles",
            "type": "object",
            "additionalProperties": False,
            "required": ["cutoff_bohr", "widths_bohr", "down", "up"],
            "properties": {
                "cutoff_bohr": {"type": "number", "exclusiveMinimum": 0, "maximum": 20},
                "widths_bohr": _list(CHANNELS, {"type": "number", "exclusiveMinimum": 0}),
                "down": {**_MATRICES, "description": "A by l, c, v"},
                "up": {**_MATRICES, "description": "B by l, c, v"},
            },
        }
    )

    cutoff_bohr: float
    widths_bohr: tuple[float, ...]
    down: Matrices
    up: Matrices

    @classmethod
    def from_record(cls, parameters: Mapping[str, Any]) -> AtomicMultipoles:
        """See `Descriptor.from_record`."""
        matrices = {
            name: tuple(tuple(map(tuple, matrix)) for matrix in parameters[name])
            for name in ("down", "up")
        }
        widths = tuple(parameters["widths_bohr"])
        return cls(cutoff_bohr=parameters["cutoff_bohr"], widths_bohr=widths, **matrices)

    def on(self, points: Points) -> LinearMap:
        """See `GridOperator.on`; needs the centres of the points."""
        from xcnet.operators.atomic_multipoles.multipole_map import MultipoleMap

        if points.atoms is None:
            raise MissingInputError(
                f"{self.label} lie around the atoms: give centres, parents and volumes of the "
                "points",
                argument="centres",
            )
        radial = np.array(self.widths_bohr), self.cutoff_bohr
        mixing = np.array(self.down), np.array(self.up)
        return MultipoleMap(points, points.atoms.centres, *radial, *mixing)

    def uniform_gas(self, rho: Array) -> Array:
        """Zero: a uniform gas has no atoms."""
        return np.zeros((len(rho), self.width))

    def sample(self, n: Array, rho: Array, rng: Rng, wide: bool) -> Array:
        """Normal numbers."""
        return rng.normal(size=(len(n), self.width)) * (WIDE if wide else MODERATE)


DESCRIPTOR = AtomicMultipoles
