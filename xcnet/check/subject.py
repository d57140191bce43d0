"""The functional that is checked, in both spins, with what the checks ask of it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from xcnet import registry, variables
from xcnet.density import Array
from xcnet.errors import UnsupportedError
from xcnet.functional import LibXCFunctional
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
        if not self.polarized._have_exc:
            raise UnsupportedError(
                f"{self.name} has a potential and no energy: there is nothing to check",
                functional=self.name,
            )

    @property
    def inputs(self) -> tuple[str, ...]:
        """Variables that it reads, descriptors included."""
        return self.polarized._inputs

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
        """Whether a descriptor is an integral over the whole density."""
        return any(name in variables.DESCRIPTORS for name in self.inputs)

    @cached_property
    def highest_order(self) -> int:
        """Highest derivative order offered."""
        have = [getattr(self.polarized, f"_have_{order}") for order in variables.ORDERS[:4]]
        return have.index(False) - 1 if False in have else len(have) - 1

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
