"""What takes the place of PySCF's methods, made from the original.

Each asks whether the expression holds a neural functional, and hands on all others unchanged.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import numpy as np
from pyscf.dft import libxc as pyscf_libxc
from pyscf.hessian.rhf import HessianBase

from xcnet.adapters._patch import Maker
from xcnet.adapters.pyscf import gradient_differences, hessian, layout, nonlocal_gradient, plain
from xcnet.adapters.pyscf.expressions import Plan
from xcnet.adapters.pyscf.facade import StandIn
from xcnet.adapters.pyscf.grid_response import with_right_radii
from xcnet.adapters.pyscf.refusals import Needs
from xcnet.errors import InputError, UnknownFunctionalError

Function = Callable[..., Any]


def plan_of(ni: Any, xc_code: object) -> Plan | None:
    """Plan of a neural expression; None for any other, and where the adapter is not there.

    Others have plans too where the adapter reads names for PySCF, such as ``PBE_x``.
    """
    libxc = getattr(ni, "libxc", None)
    if not isinstance(libxc, StandIn) or "eval_xc1" in vars(ni):  # set by define_xc_, of any name
        return None
    try:
        plan = libxc.plan(xc_code)
    except UnknownFunctionalError:  # an error for whoever evaluates it
        return None
    return plan if plan is not None and plan.neural else None


def plan_of_object(mf: Any) -> Plan | None:
    """Plan of a mean-field object's expression."""
    return plan_of(getattr(mf, "_numint", None), getattr(mf, "xc", None))


def answered(original: Function) -> Function:
    """Answer what is asked of PySCF's module ``libxc`` by name, past all objects."""
    own = StandIn(pyscf_libxc)

    @wraps(original)
    def answer(xc_code: object, *args: Any, **kwargs: Any) -> Any:
        if plain.is_plain():
            return original(xc_code, *args, **kwargs)
        try:
            neural = own.plan(xc_code) is not None
        except UnknownFunctionalError:
            if isinstance(xc_code, str):
                raise
            neural = False  # PySCF reads the parts of a tuple one by one here, unlike elsewhere
        return (getattr(own, original.__name__) if neural else original)(xc_code, *args, **kwargs)

    return answer


# -- functions of (ni, mol, grids, xc_code, ...) ---------------------------------------------------


def whole_grid(ours: Function) -> Maker:
    """Let `ours` answer for nonlocal functionals; it gets the plan in place of the expression."""

    def make(original: Function) -> Function:
        @wraps(original)
        def call(ni: Any, mol: Any, grids: Any, xc_code: object, *args: Any, **kwargs: Any) -> Any:
            plan = plan_of(ni, xc_code)
            if plan is None or not plan.is_nonlocal:
                return original(ni, mol, grids, xc_code, *args, **kwargs)
            return ours(ni, mol, grids, plan, *args, **kwargs)

        return call

    return make


def whole_grid_response(original: Function) -> Function:
    """PySCF's ``get_vxc_full_response`` with the right grid, and for nonlocal functionals."""
    nonlocal_too = whole_grid(partial(nonlocal_gradient.full_response, original))(original)

    @wraps(original)
    def call(ni: Any, mol: Any, grids: Any, xc_code: object, *args: Any, **kwargs: Any) -> Any:
        if plan_of(ni, xc_code) is None:
            return original(ni, mol, grids, xc_code, *args, **kwargs)
        return nonlocal_too(ni, mol, with_right_radii(grids), xc_code, *args, **kwargs)

    return call


def checked_values(needs: Needs, applies: Callable[[Any], bool] | None = None) -> Maker:
    """Refuse what lacks something, for the ``ni`` that it applies to (all of them)."""

    def make(original: Function) -> Function:
        @wraps(original)
        def call(ni: Any, mol: Any, grids: Any, xc_code: object, *args: Any, **kwargs: Any) -> Any:
            plan = plan_of(ni, xc_code)
            if plan is not None and (applies is None or applies(ni)):
                needs.check(ni.libxc, plan)
            return original(ni, mol, grids, xc_code, *args, **kwargs)

        return call

    return make


def right_type(original: Function) -> Function:
    """Refuse densities and an ``xctype`` of another type than the functional's."""

    @wraps(original)
    def eval_xc_eff(
        ni: Any,
        xc_code: object,
        rho: Any,
        deriv: int = 1,
        omega: float | None = None,
        xctype: str | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        plan = plan_of(ni, xc_code)
        if plan is not None:
            if xctype not in (None, plan.kind):
                raise InputError(
                    f"{plan.names} is used as {plan.kind}, not as {xctype}: give "
                    f"xctype={plan.kind!r}, or leave it out",
                    functional=plan.names,
                    argument="xctype",
                    expected=plan.kind,
                    given=xctype,
                )
            rho = np.asarray(rho, dtype=np.float64)
            layout.density_rows(rho, plan.kind, int(rho.ndim > 1 and len(rho) == 2))
        return original(ni, xc_code, rho, deriv, omega, xctype, *args, **kwargs)

    return eval_xc_eff


# -- methods of mean-field objects, and of what is made from them ----------------------------------


def checked(needs: Needs) -> Maker:
    """Refuse what lacks something in a method of a mean-field object."""

    def make(original: Function) -> Function:
        @wraps(original)
        def call(mf: Any, *args: Any, **kwargs: Any) -> Any:
            _check(needs, mf)
            return original(mf, *args, **kwargs)

        return call

    return make


def checked_origin(needs: Needs, warn: Callable[[Plan], None] | None = None) -> Maker:
    """Refuse it in the constructor of something made from such an object, or from that.

    What is not refused can still be warned of.
    """

    def make(original: Function) -> Function:
        @wraps(original)
        def init(self: Any, origin: Any, *args: Any, **kwargs: Any) -> None:
            mf = getattr(origin, "_scf", origin)
            _check(needs, mf)
            original(self, origin, *args, **kwargs)
            plan = plan_of_object(mf)
            if plan is not None and warn is not None:
                warn(plan)

        return init

    return make


def _check(needs: Needs, mf: Any) -> None:
    plan = plan_of_object(mf)
    if plan is not None:
        needs.check(mf._numint.libxc, plan)


def whole_shells(original: Function) -> Function:
    """Keep points of little density where their shells carry descriptors."""

    @wraps(original)
    def prune(ks: Any, mol: Any, dm: Any, grids: Any) -> Any:
        plan = plan_of_object(ks)
        keep = plan is not None and plan.is_nonlocal
        return grids if keep else original(ks, mol, dm, grids)

    return prune


class GridResponse:
    """Default of ``grid_response`` of a gradient object: on for neural functionals."""

    def __init__(self, default: bool) -> None:
        self._default = default

    def __get__(self, gradients: Any, owner: Any = None) -> bool:
        return self._default or plan_of_object(getattr(gradients, "base", None)) is not None


class Missing:
    """Method that PySCF has for no functional, with None in its place; refused for neural ones."""

    def __init__(self, needs: Needs, original: Any) -> None:
        self._needs = needs
        self._original = original

    def __get__(self, mf: Any, owner: Any = None) -> Any:
        if plan_of_object(mf) is None:
            return self._original
        return lambda *args, **kwargs: _check(self._needs, mf)


def same_functionals(original: Function) -> Function:
    """Conversions to methods with another ``NumInt`` keep what was attached to the old one."""

    @wraps(original)
    def convert(mf: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(mf, *args, **kwargs)
        attached = vars(getattr(mf, "_numint", mf)).get("libxc")
        if attached is not None:
            result._numint.libxc = attached
        return result

    return convert


def differences_for_fields(original: Function) -> Function:
    """Take differences of energies where a functional reads orbital fields."""

    @wraps(original)
    def kernel(self: Any, *args: Any, **kwargs: Any) -> Any:
        mf = self.base
        plan = plan_of_object(mf)
        if plan is None or not plan.has_orbital_fields:
            return original(self, *args, **kwargs)
        if mf.mo_coeff is None:
            mf.run()
        atoms = kwargs.get("atmlst", args[3] if len(args) > 3 else None)
        self.atmlst = self.atmlst if atoms is None else atoms
        self.de = gradient_differences.gradient(self, plan.names)
        self._finalize()
        return self.de

    return kernel


def hessian_of_roks(original: Function) -> Function:
    """Give ROKS, which PySCF has no Hessian for, one to take by finite differences."""

    @wraps(original)
    def make(mf: Any, *args: Any, **kwargs: Any) -> Any:
        if plan_of_object(mf) is None:
            return original(mf, *args, **kwargs)
        return HessianBase(mf)

    return make


def reliable_hessian(original: Function) -> Function:
    """Take finite differences of gradients where PySCF's analytic Hessian is not good enough."""

    @wraps(original)
    def kernel(self: Any, *args: Any, **kwargs: Any) -> Any:
        mf, plan = self.base, plan_of_object(self.base)
        if plan is not None and mf.mo_coeff is None:
            mf.run()
        why = hessian.reason(mf, plan) if plan is not None else ""
        if not why:
            return original(self, *args, **kwargs)
        atoms = kwargs.get("atmlst", args[3] if len(args) > 3 else None)
        self.atmlst = self.atmlst if atoms is None else atoms
        self.de = hessian.finite_differences(mf, self.atmlst, why)
        return self.de

    return kernel
