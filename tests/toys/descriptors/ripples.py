"""An orbital field: |D chi|^2, and the potential of the density at long range."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from xcnet.operators.base import Array, Rng
from xcnet.operators.fields import OrbitalField, Orbitals


@dataclass(frozen=True)
class Ripples(OrbitalField):
    """The field; ``omega`` is the range of the potential, 1/bohr."""

    label = "ripples"
    width = 2
    floor = 0.0
    schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["omega"],
        "properties": {"omega": {"type": "number", "minimum": 0}},
    }

    omega: float

    def values(self, orbitals: Orbitals, matrix: Array) -> Array:
        result = np.empty((len(orbitals.coords), 2))
        for part, chi in orbitals.blocks():
            result[part, 0] = ((chi @ matrix) ** 2).sum(axis=1)
            result[part, 1] = np.einsum("pbd,bd->p", orbitals.coulomb(part, self.omega), matrix)
        return result

    def fock(self, orbitals: Orbitals, matrix: Array, slopes: Array) -> Array:
        result = np.zeros_like(matrix)
        for part, chi in orbitals.blocks():
            half = (chi @ matrix).T @ (slopes[part, :1] * chi)
            result += half + half.T
            potentials = orbitals.coulomb(part, self.omega)
            result += np.einsum("pbd,p->bd", potentials, slopes[part, 1])
        return result

    def uniform_gas(self, rho: Array) -> Array:
        return np.concatenate([rho, rho], axis=1)

    def sample(self, n: Array, rho: Array, rng: Rng, wide: bool) -> Array:
        return np.concatenate([rho, rho], axis=1) * rng.uniform(0.5, 2.0, (len(n), 4))


DESCRIPTOR = Ripples
