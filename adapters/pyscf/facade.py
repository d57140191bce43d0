"""The object that stands in for the module ``pyscf.dft.libxc``."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
from pyscf.dft import xc_deriv

import xcnet
from xcnet import registry, variables
from xcnet.adapters.pyscf import dispersion, expressions, layout, neural, plain
from xcnet.adapters.pyscf.expressions import Plan
from xcnet.errors import UnsupportedError
from xcnet.expression import ExchangeFractions, exact_exchange


def _ours(method: Callable[..., Any]) -> Callable[..., Any]:
    """Answer for expressions with a neural functional; all others go to the previous libxc."""

    @wraps(method)
    def answer(self: StandIn, xc_code: object, *args: Any, **kwargs: Any) -> Any:
        plan = self.plan(xc_code)
        if plan is None:
            return getattr(self.previous, method.__name__)(xc_code, *args, **kwargs)
        return method(self, plan, *args, **kwargs)

    return answer


class StandIn:
    """Looks like the module ``pyscf.dft.libxc`` and knows the registry's functionals too.

    Methods that PySCF calls with ``xc_code`` get the plan of that expression here; expressions
    without a neural functional are answered by what stood there before.

    Parameters
    ----------
    previous
        What stood there before: ``pyscf.dft.libxc`` or another plug-in's stand-in for it.

    Attributes
    ----------
    retired
        It hands on everything.
    detached
        It refuses neural functionals, without which its object must not silently go on.
    """

    def __init__(self, previous: Any) -> None:
        self.previous = previous
        self.retired = False
        self.detached = False
        self._plans: dict[str, Plan | None] = {}
        self._registered: object = None
        self.__name__ = f"xcnet {xcnet.__version__} over {previous.__name__}"

    def __getattr__(self, name: str) -> Any:
        if name == "previous":  # asked for while being copied, before it is set
            raise AttributeError(name)
        return getattr(self.previous, name)

    def plan(self, xc_code: object) -> Plan | None:
        """Plan of an expression; None where the previous libxc should answer alone."""
        if xc_code is None or self.retired:
            return None
        text = expressions.as_text(xc_code)
        if self.detached and expressions.holds_neural(text):
            raise self.refusal(text)
        if self._registered is not registry.state():
            self._registered, self._plans = registry.state(), {}
        if text not in self._plans:
            with plain.libxc():
                self._plans[text] = self._new_plan(xc_code, text)
        return self._plans[text]

    def refusal(self, text: str) -> UnsupportedError:
        """Error of an object that was attached before PySCF was put back as it was."""
        return UnsupportedError(
            f"{text}: uninstall() took neural functionals from all objects; call "
            "xcnet.adapters.pyscf.attach(mf) again",
            functional=text,
        )

    def _new_plan(self, xc_code: object, text: str) -> Plan | None:
        if not expressions.holds_neural(text):
            if text.isdecimal() and int(text) >= registry.FIRST_NEURAL_ID:
                registry.find(int(text))  # says that there is none
            try:
                self.previous.xc_type(text if isinstance(xc_code, (list, tuple)) else xc_code)
            except KeyError:  # libxc's name in another spelling, or nobody's
                return expressions.make_plan(text, self.previous)
            return None
        dispersion.check(text)
        return expressions.make_plan(text, self.previous)

    def parse_xc(self, description: object) -> Any:
        """Exact exchange and terms; ids from 100000 on are neural functionals."""
        if self.plan(description) is None:
            return self.previous.parse_xc(description)
        with plain.libxc():
            return expressions.parse(expressions.as_text(description), self.previous)

    @_ours
    def xc_type(self, plan: Plan) -> str:
        """``LDA``, ``GGA`` or ``MGGA``: what the most demanding term needs."""
        return plan.kind

    @_ours
    def is_lda(self, plan: Plan) -> bool:
        """Whether the expression needs nothing but the density."""
        return plan.kind == "LDA"

    @_ours
    def is_gga(self, plan: Plan) -> bool:
        """Whether the expression needs the gradient but not tau."""
        return plan.kind == "GGA"

    @_ours
    def is_meta_gga(self, plan: Plan) -> bool:
        """Whether the expression needs tau."""
        return plan.kind == "MGGA"

    @_ours
    def needs_laplacian(self, plan: Plan) -> bool:
        """Never: functionals of the Laplacian are refused."""
        return False

    @_ours
    def is_hybrid_xc(self, plan: Plan) -> bool:
        """Whether any exact exchange belongs to the expression."""
        return bool(_hybrid(plan, self.previous)) or any(_range_separation(plan, self.previous))

    @_ours
    def hybrid_coeff(self, plan: Plan, spin: int = 0) -> float:
        """Fraction of exact exchange (at short range, when it is range separated)."""
        return _hybrid(plan, self.previous)

    @_ours
    def rsh_coeff(self, plan: Plan) -> tuple[float, float, float]:
        """omega, alpha (fraction at long range), beta (short range minus long range)."""
        return _range_separation(plan, self.previous)

    @_ours
    def is_nlc(self, plan: Plan) -> bool:
        """Whether a VV10 term belongs to the expression."""
        return bool(plan.rest and self.previous.is_nlc(plan.rest))

    @_ours
    def nlc_coeff(self, plan: Plan) -> Any:
        """VV10 parameters with their weights."""
        return self.previous.nlc_coeff(plan.rest) if plan.rest else ()

    @_ours
    def max_deriv_order(self, plan: Plan) -> int:
        """Highest derivative that all terms have."""
        return _highest_order(plan, self.previous)

    @_ours
    def test_deriv_order(self, plan: Plan, deriv: int, raise_error: bool = False) -> bool:
        """Whether the derivative is available; UnsupportedError instead of False if asked.

        On a whole grid there are responses without second derivatives: `ByDifferences`.
        """
        if plan.is_nonlocal and deriv == 2:
            return True
        if raise_error:
            _require_order(plan, deriv, self.previous)
        return deriv <= _highest_order(plan, self.previous)

    @_ours
    def xc_reference(self, plan: Plan) -> list[str]:
        """Names, versions and references of all terms."""
        own = [line for _, entry in plan.neural for line in _description(entry)]
        return own + (self.previous.xc_reference(plan.rest) if plan.rest_kind != "HF" else [])

    @_ours
    def eval_xc1(
        self, plan: Plan, rho: Any, spin: int = 0, deriv: int = 1, omega: float | None = None
    ) -> layout.Array:
        """Energy per particle and the derivatives of n times it.

        Parameters
        ----------
        plan
            Of the expression that the caller gave.
        rho
            PySCF's density rows: (rows, N), or (2, rows, N) for spin 1.
        spin
            0 for closed shells, 1 for spin-resolved densities.
        deriv
            Highest derivative order.
        omega
            Range-separation parameter in place of libxc's own, for libxc's terms.

        Returns
        -------
        ndarray
            (derivatives, N) in the order of `layout.derivatives`.

        Raises
        ------
        UnsupportedError
            For a nonlocal functional: it has no values of a block of points.
        """
        if plan.is_nonlocal:  # whoever asks block by block
            raise expressions.unsupported(plan, "this method")
        _require_order(plan, deriv, self.previous)
        return self.add_local(plan, layout.density_rows(rho, plan.kind, spin), deriv, omega)

    def add_local(
        self, plan: Plan, rho: layout.Array, deriv: int, omega: float | None
    ) -> layout.Array:
        """Flat array of all terms, none of them nonlocal, for density rows (spins, rows, N)."""
        spin = len(rho) - 1
        result = np.zeros((len(layout.derivatives(plan.kind, spin, deriv)), rho.shape[-1]))
        for weight, entry in plan.neural:
            kind = expressions.kind_of(entry)
            own = neural.flat(neural.values(entry, rho, deriv), kind, spin, deriv)
            result[layout.embed(kind, plan.kind, spin, deriv)] += weight * own
        if plan.rest_kind != "HF":
            rest = self._rest(plan, rho, deriv, omega)
            result[layout.embed(plan.rest_kind, plan.kind, spin, deriv)] += rest
        return result

    def labelled_rest(
        self, plan: Plan, rho: layout.Array, deriv: int, omega: float | None
    ) -> dict[str, layout.Array]:
        """Outputs (N, width) by label of all that is not neural, for density rows (s, rows, N)."""
        if plan.rest_kind == "HF":
            return {}
        flat = self._rest(plan, rho, deriv, omega)
        rows = layout.label_rows(plan.rest_kind, len(rho) - 1, deriv)
        return {label: flat[place].T for label, place in rows.items()}

    def _rest(self, plan: Plan, rho: layout.Array, deriv: int, omega: float | None) -> layout.Array:
        """Flat array of what is not neural, in the rows of its own type."""
        spin = len(rho) - 1
        part = np.ascontiguousarray(rho[:, : layout.ROWS[plan.rest_kind]])
        flat = self.previous.eval_xc1(plan.rest, part if spin else part[0], spin, deriv, omega)
        return np.asarray(flat)

    def define_xc_(self, ni: Any, description: Any, *args: Any, **kwargs: Any) -> Any:
        """Refuse our names: a functional redefined by PySCF loses its variables."""
        if isinstance(description, str) and self.plan(description) is not None:
            raise UnsupportedError(f"set mf.xc = {description!r} instead of using define_xc_")
        return self.previous.define_xc_(ni, description, *args, **kwargs)

    def eval_xc(
        self,
        xc_code: object,
        rho: Any,
        spin: int = 0,
        relativity: int = 0,
        deriv: int = 1,
        omega: float | None = None,
        verbose: Any = None,
    ) -> Any:
        """Derivatives as PySCF's older tuples of blocks, (N, width) where spin is 1."""
        plan = self.plan(xc_code)
        if plan is None:
            return self.previous.eval_xc(xc_code, rho, spin, relativity, deriv, omega, verbose)
        flat = self.eval_xc1(xc_code, rho, spin, deriv, omega)
        return layout.older_form(flat, plan.kind, spin, deriv)

    def eval_xc_eff(
        self,
        xc_code: object,
        rho: Any,
        deriv: int = 1,
        omega: float | None = None,
        spin: int | None = None,
    ) -> Any:
        """Derivatives of order `deriv` by the density, its Cartesian gradient, and tau."""
        plan = self.plan(xc_code)
        if plan is None:
            return self.previous.eval_xc_eff(xc_code, rho, deriv, omega, spin)
        rho = np.asarray(rho, dtype=np.float64)
        if spin is None:
            spin = int(rho.ndim >= 2 and rho.shape[0] == 2)
        flat = self.eval_xc1(xc_code, rho, spin, deriv, omega)
        rows = layout.density_rows(rho, plan.kind, spin)
        return xc_deriv.transform_xc(rows if spin else rows[0], flat, plan.kind, spin, deriv)


def _description(entry: registry.Entry) -> list[str]:
    """Name and version of a neural functional, then its references."""
    assert entry.spec is not None  # of a plan's neural terms
    names = " = ".join((*entry.aliases[:1], entry.name))
    graph = entry.spec.files[entry.spec.derivatives["exc"]][:12]
    first = f"{names}, exc.onnx {graph}, xcnet {xcnet.__version__}: {entry.description}"
    return [first, *(f"{c.text} {c.doi}".rstrip() for c in entry.citations)]


def _highest_order(plan: Plan, previous: Any) -> int:
    orders = [entry.spec.highest_order for _, entry in plan.neural if entry.spec]
    if plan.rest_kind != "HF" or not orders:
        orders.append(int(previous.max_deriv_order(plan.rest)))
    return min(orders)


def _require_order(plan: Plan, deriv: int, previous: Any) -> None:
    highest = _highest_order(plan, previous)
    if deriv > highest:
        have, need = variables.ORDERS[highest], variables.ORDERS[deriv]
        raise UnsupportedError(
            f"{plan.names} has derivatives up to {have}, and this method needs {need}. Use a "
            f"method that needs less, or a functional with {need}.",
            functional=plan.names,
            expected=need,
            given=have,
        )


def _exchange(plan: Plan) -> list[tuple[float, ExchangeFractions]]:
    """Exact exchange that the neural functionals themselves hold, with their weights."""
    return [(weight, exact_exchange(entry)) for weight, entry in plan.neural]


def _hybrid(plan: Plan, previous: Any) -> float:
    own = sum(weight * (own.alpha + own.beta) for weight, own in _exchange(plan))
    return own + (previous.hybrid_coeff(plan.rest) if plan.rest else 0.0)


def _range_separation(plan: Plan, previous: Any) -> tuple[float, float, float]:
    omega, alpha, beta = previous.rsh_coeff(plan.rest) if plan.rest else (0.0, 0.0, 0.0)
    total = ExchangeFractions(alpha, beta, omega)
    for weight, own in _exchange(plan):
        total = total.plus(own.scaled(weight))
    return total.omega, total.alpha, total.beta
