"""What methods of PySCF need of a functional, and the errors when it cannot give that."""

from __future__ import annotations

from dataclasses import dataclass

from xcnet import variables
from xcnet.adapters.pyscf import expressions
from xcnet.adapters.pyscf.expressions import Plan
from xcnet.adapters.pyscf.facade import StandIn
from xcnet.adapters.pyscf.layout import KINDS
from xcnet.errors import UnsupportedError

SEMILOCAL = KINDS[1:]


@dataclass(frozen=True)
class Needs:
    """What one method of PySCF needs of a functional.

    Attributes
    ----------
    method
        Its name, for messages.
    order
        Highest derivative order that it asks for.
    kinds
        PySCF's ``xc_type`` of the expressions that it can do; none means that it does not exist.
    whole_grid
        Whether it serves nonlocal functionals.
    way_out
        What to do instead, as a sentence.
    """

    method: str
    order: int = 1
    kinds: tuple[str, ...] = SEMILOCAL
    whole_grid: bool = False
    way_out: str = ""

    def check(self, libxc: StandIn, plan: Plan) -> None:
        """Refuse an expression that lacks something (UnsupportedError)."""
        if plan.kind not in self.kinds:
            raise self._of_other_kind(plan)
        if plan.is_nonlocal and not self.whole_grid:
            way_out = f"{self.way_out} " if self.way_out else ""
            raise expressions.unsupported(plan, self.method, way_out)
        # On a whole grid, the response of potentials can be their difference (`ByDifferences`).
        order = min(self.order, 1) if plan.is_nonlocal else self.order
        have = libxc.max_deriv_order(plan.xc)
        if have < order:
            highest, needed = variables.ORDERS[have], variables.ORDERS[order]
            raise UnsupportedError(
                f"{plan.names} has derivatives up to {highest}, and {self.method} needs {needed}. "
                f"{self.way_out or f'Use a functional with {needed}.'}",
                functional=plan.names,
                method=self.method,
                expected=needed,
                given=highest,
            )

    def _of_other_kind(self, plan: Plan) -> UnsupportedError:
        available = f"only for {' and '.join(self.kinds)}" if self.kinds else "for no functional"
        return UnsupportedError(
            f"{plan.names} is used as {plan.kind}, and PySCF has {self.method} {available}. "
            f"{self.way_out}",
            functional=plan.names,
            method=self.method,
        )
