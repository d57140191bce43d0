"""Nonlocal descriptors of the density, known by name: one module each.

To add one is to add one module (or package) here, and its test. The module has an attribute
``DESCRIPTOR``, a frozen dataclass derived from `base.GridOperator` or `fields.OrbitalField`, whose
fields are the parameters that records give. Nothing else names it: its label, width, clipping,
schema, uniform-gas value and samples are asked of it. For instance, a smeared density::

    @dataclass(frozen=True)
    class Smeared(GridOperator):
        label = "smeared"
        floor = 0.0
        schema = {"type": "object", "additionalProperties": False, "required": ["width_bohr"],
                  "properties": {"width_bohr": {"type": "number", "exclusiveMinimum": 0}}}
        width_bohr: float

        def on(self, points): ...            # a base.LinearMap: apply, transpose, motion
        def uniform_gas(self, rho): ...
        def sample(self, n, rho, rng, wide): ...

    DESCRIPTOR = Smeared

Modules import numpy and this package only; what is heavy (numba) is imported when a map is made
(`compiled.loops`). A functional reads it by ``"descriptors": {"smeared": {"width_bohr": 0.3}}``
in its record and an input ``smeared`` of its graphs; with ``"channels"`` in the record a pointwise
graph makes what the operator acts on (docs/format.md).

The chain of an evaluation, for all hosts in `xcnet.grid.evaluate`: channels, map, graphs, slopes,
transpose.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType

from xcnet.operators.base import (
    Array,
    Descriptor,
    GridOperator,
    LinearMap,
    Motion,
)
from xcnet.operators.fields import DensityMatrices, OrbitalField, Orbitals
from xcnet.operators.points import Atoms, Points, read_points, read_values

__all__ = [
    "Array",
    "Atoms",
    "DensityMatrices",
    "Descriptor",
    "GridOperator",
    "LinearMap",
    "Motion",
    "OrbitalField",
    "Orbitals",
    "Points",
    "known",
    "read_points",
    "read_values",
]


@cache
def known() -> Mapping[str, type[Descriptor]]:
    """All descriptors by label."""
    modules = (import_module(f"{__name__}.{info.name}") for info in iter_modules(__path__))
    classes = [module.DESCRIPTOR for module in modules if hasattr(module, "DESCRIPTOR")]
    return MappingProxyType({operator.label: operator for operator in classes})
