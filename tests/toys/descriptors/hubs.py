"""A grid operator through the atoms: three channels are gathered there, two values spread.

U_gv = sum_a psi_v(r_g - X_a) sum_c M_cv sum_h w_h phi_c(r_h - X_a) p_hc with Gaussians phi and psi.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from xcnet.errors import MissingInputError
from xcnet.operators.base import Array, GridOperator, LinearMap, Motion, Points, Rng, exact_motion

IN, OUT = np.array([0.3, 0.7, 1.5]), np.array([0.5, 1.1])


@dataclass(frozen=True)
class Hubs(GridOperator):
    """The operator; ``mixing`` is M, (3, 2)."""

    label = "hubs"
    width = 2
    channels = 3
    schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["mixing"],
        "properties": {"mixing": {"type": "array", "minItems": 3, "maxItems": 3}},
    }

    mixing: tuple[tuple[float, ...], ...]

    @classmethod
    def from_record(cls, parameters: Mapping[str, Any]) -> Hubs:
        return cls(tuple(tuple(row) for row in parameters["mixing"]))

    def on(self, points: Points) -> LinearMap:
        if points.atoms is None:
            raise MissingInputError("hubs needs the atoms of the points", argument="centres")
        return HubsMap(points, points.atoms.centres, np.array(self.mixing))

    def uniform_gas(self, rho: Array) -> Array:
        return np.zeros((len(rho), 2))

    def sample(self, n: Array, rho: Array, rng: Rng, wide: bool) -> Array:
        return rng.normal(size=(len(n), 2)) * (3.0 if wide else 1.0)


class HubsMap:
    """The map for points (N, 3) and atoms (A, 3), all pairs kept."""

    def __init__(self, points: Points, centres: Array, mixing: Array) -> None:
        self._weights = points.weights[:, None]
        self._vectors = points.coords[:, None] - centres  # (N, A, 3)
        squares = (self._vectors**2).sum(axis=2)[..., None]
        self._in, self._out = np.exp(-IN * squares), np.exp(-OUT * squares)
        self._mixing = mixing

    def apply(self, charges: Array) -> Array:
        gathered = np.einsum("hac,hc->ac", self._in, charges)
        return np.asarray(np.einsum("gav,av->gv", self._out, gathered @ self._mixing))

    def transpose(self, slopes: Array) -> Array:
        gathered = np.einsum("gav,gv->av", self._out, slopes)
        return np.asarray(np.einsum("hac,ac->hc", self._in, gathered @ self._mixing.T))

    def motion(
        self, channels: Array, slopes: Array, adjoint: Array, gradient: Array | None
    ) -> Motion:
        charges, weighted = self._weights * channels, self._weights * slopes
        gathered = np.einsum("hac,hc->ac", self._in, charges) @ self._mixing
        spread = np.einsum("gav,gv->av", self._out, weighted) @ self._mixing.T
        # Derivatives by the squares of the distances.
        pairs = -np.einsum("c,hac,hc,ac->ha", IN, self._in, charges, spread)
        pairs -= np.einsum("v,gav,gv,av->ga", OUT, self._out, weighted, gathered)
        by_pair = 2.0 * pairs[..., None] * self._vectors
        return exact_motion(by_pair.sum(axis=1).T, -by_pair.sum(axis=0), channels, adjoint)


DESCRIPTOR = Hubs
