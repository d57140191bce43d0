"""The functional that is checked, in both spins, with what the checks ask of it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import numpy.typing as npt

from xcnet import enhancement, registry, sample, variables
from xcnet.density import Array
from xcnet.errors import UnsupportedError
from xcnet.functionals import LibXCFunctional
from xcnet.operators import Descriptor
from xcnet.spec import FunctionalSpec


class Subject:
    """A functional under test.

    Parameters
    ----------
    what : FunctionalSpec or str
        A functional folder, or anything that `xcnet.functional` takes.
    """

    def __init__(self, what: FunctionalSpec | str) -> None:
        self.spec = what if isinstance(what, FunctionalSpec) else registry.record(what)
        source = self.spec if self.spec is not None else str(what)
        self.polarized = LibXCFunctional(source, variables.POLARIZED)
        self.unpolarized = LibXCFunctional(source, variables.UNPOLARIZED)
        self.name = self.polarized._xc_func_name
        if "exc" not in self.polarized.orders:
            raise UnsupportedError(
                f"{self.name} has a potential and no energy: there is nothing to check",
                functional=self.name,
            )

    @property
    def inputs(self) -> tuple[str, ...]:
        """Variables that it reads, descriptors included."""
        return self.polarized.inputs

    @property
    def kind(self) -> int:
        """libxc's kind."""
        return self.polarized.get_kind()

    @property
    def has_exchange(self) -> bool:
        """Whether exchange is (part of) what it gives."""
        return self.kind in (variables.KINDS["exchange"], variables.KINDS["exchange-correlation"])

    @property
    def is_nonlocal(self) -> bool:
        """Whether it reads descriptors, which depend on the whole density."""
        return bool(self.descriptors)

    @property
    def descriptors(self) -> Mapping[str, Descriptor]:
        """Nonlocal descriptors that it reads, by label."""
        return self.polarized.descriptors

    @property
    def scales(self) -> bool:
        """Whether the values at a point give those of uniformly scaled densities."""
        return all(descriptor.scales for descriptor in self.descriptors.values())

    def scaled(self, points: Mapping[str, Array], gamma: Array | float) -> dict[str, Array]:
        """Uniformly scaled densities, see `sample.scaled`."""
        return sample.scaled(points, gamma, self.descriptors)

    def moderate(self, n: int, seed: int = 0) -> dict[str, Array]:
        """Points inside every bound, see `sample.moderate`."""
        return sample.moderate(self.inputs, n, seed, descriptors=self.descriptors)

    def at(
        self,
        rs: npt.ArrayLike = 1.0,
        s: npt.ArrayLike = 0.0,
        alpha: npt.ArrayLike = 1.0,
        zeta: npt.ArrayLike = 0.0,
    ) -> dict[str, Array]:
        """Points of dimensionless variables, see `enhancement.points`."""
        return enhancement.points(self.inputs, rs, s, alpha, zeta, self.descriptors)

    @cached_property
    def highest_order(self) -> int:
        """Highest derivative order offered."""
        return min(self.polarized.highest_order, len(variables.ORDERS) - 2)

    def labels(self, order: int) -> tuple[str, ...]:
        """Output labels of one derivative order."""
        return variables.labels(self.polarized._label_variables, order)

    def compute(
        self, points: Mapping[str, Array], order: int, spin: int = variables.POLARIZED
    ) -> dict[str, Array]:
        """All derivatives up to an order, from the graph of this order."""
        functional = self.polarized if spin == variables.POLARIZED else self.unpolarized
        flags = {f"do_{name}": i <= order for i, name in enumerate(variables.ORDERS[:4])}
        return functional.compute(points, **flags)

    def energy(self, points: Mapping[str, Array]) -> Array:
        """Energy per particle ``(N,)`` at spin-resolved points."""
        result: Array = self.compute(points, 0)["zk"][:, 0]
        return result
