"""Where PySCF hands the whole grid to a functional: methods that ask for nonlocal ones first."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from pyscf.dft import numint, numint2c
from pyscf.dft import rks as dft_rks
from pyscf.grad import rks as grad_rks
from pyscf.grad import uks as grad_uks
from pyscf.hessian import rhf as hessian_rhf
from pyscf.tdscf import rhf as tdscf_rhf

from xcnet.adapters.pyscf import nonlocal_gradient, nonlocal_numint
from xcnet.adapters.pyscf.expressions import Plan, unsupported
from xcnet.adapters.pyscf.facade import Libxc

Function = Callable[..., Any]

_originals: dict[tuple[Any, str], tuple[Any, Any]] = {}


def put() -> None:
    """Let the methods of `TABLE` ask for nonlocal functionals first; again changes nothing."""
    for owner, name, make in TABLE:
        if (owner, name) not in _originals:
            original = vars(owner)[name]
            ours = make(original)
            setattr(owner, name, ours)
            _originals[owner, name] = original, ours


def remove() -> None:
    """Undo `put`, but for what somebody else has replaced since."""
    for (owner, name), (original, ours) in _originals.items():
        if vars(owner)[name] is ours:
            setattr(owner, name, original)
    _originals.clear()


def nonlocal_plan(ni: Any, xc_code: object) -> Plan | None:
    """Plan of a nonlocal expression; None for any other, and where the adapter is not there."""
    libxc = getattr(ni, "libxc", None)
    plan = libxc.plan(xc_code) if isinstance(libxc, Libxc) else None
    return plan if plan is not None and plan.is_nonlocal else None


def _of_object(mf: Any) -> Plan | None:
    return nonlocal_plan(getattr(mf, "_numint", None), getattr(mf, "xc", None))


def _instead(ours: Function) -> Callable[[Function], Function]:
    """Replacement of a function of (ni, mol, grids, xc_code, ...) that gets the plan."""

    def make(original: Function) -> Function:
        @wraps(original)
        def call(ni: Any, mol: Any, grids: Any, xc_code: object, *args: Any, **kwargs: Any) -> Any:
            plan = nonlocal_plan(ni, xc_code)
            if plan is None:
                return original(ni, mol, grids, xc_code, *args, **kwargs)
            return ours(ni, mol, grids, plan, *args, **kwargs)

        return call

    return make


def _refused(method: str, instead: str = "") -> Callable[[Function], Function]:
    def refuse(ni: Any, mol: Any, grids: Any, plan: Plan, *args: Any, **kwargs: Any) -> Any:
        raise unsupported(plan, method, instead)

    return _instead(refuse)


def _refused_for(method: str, instead: str = "") -> Callable[[Function], Function]:
    """Replacement of the constructor of something made from a mean-field object."""

    def make(original: Function) -> Function:
        @wraps(original)
        def init(self: Any, mf: Any, *args: Any, **kwargs: Any) -> None:
            plan = _of_object(mf)
            if plan is not None:
                raise unsupported(plan, method, instead)
            original(self, mf, *args, **kwargs)

        return init

    return make


def _with_grid_response(original: Function) -> Function:
    return _instead(partial(nonlocal_gradient.full_response, original))(original)


def _whole_shells(original: Function) -> Function:
    """Keep points of little density: their shells carry descriptors."""

    @wraps(original)
    def prune(ks: Any, mol: Any, dm: Any, grids: Any) -> Any:
        return grids if _of_object(ks) is not None else original(ks, mol, dm, grids)

    return prune


class _GridResponse:
    """Default of ``grid_response`` of a gradient object: on for nonlocal functionals."""

    def __init__(self, default: bool) -> None:
        self._default = default

    def __get__(self, gradients: Any, owner: Any = None) -> bool:
        return self._default or _of_object(getattr(gradients, "base", None)) is not None


_RESPONSE = "Leave grid_response = True. "
_DIFFERENCES = "Use finite differences of gradients. "

#: Owner, name, and what makes the replacement from the original.
TABLE: tuple[tuple[Any, str, Callable[[Any], Any]], ...] = (
    (numint.NumInt, "nr_rks", _instead(nonlocal_numint.nr_rks)),
    (numint.NumInt, "nr_uks", _instead(nonlocal_numint.nr_uks)),
    (numint.NumInt, "nr_rks_fxc", _instead(nonlocal_numint.nr_rks_fxc)),
    (numint.NumInt, "nr_uks_fxc", _instead(nonlocal_numint.nr_uks_fxc)),
    (numint.NumInt, "nr_rks_fxc_st", _refused("a response between different spins")),
    (numint.NumInt, "cache_xc_kernel", _instead(nonlocal_numint.cache_xc_kernel)),
    (numint.NumInt, "cache_xc_kernel1", _instead(nonlocal_numint.cache_xc_kernel1)),
    (numint2c.NumInt2C, "nr_vxc", _refused("GKS")),
    (numint2c.NumInt2C, "get_vxc", _refused("GKS")),
    (dft_rks, "prune_small_rho_grids_", _whole_shells),
    (grad_rks, "get_vxc", _refused("a gradient without the response of the grid", _RESPONSE)),
    (grad_uks, "get_vxc", _refused("a gradient without the response of the grid", _RESPONSE)),
    (grad_rks, "get_vxc_full_response", _with_grid_response),
    (grad_uks, "get_vxc_full_response", _with_grid_response),
    (grad_rks.Gradients, "grid_response", _GridResponse),
    (grad_uks.Gradients, "grid_response", _GridResponse),
    (tdscf_rhf.TDBase, "__init__", _refused_for("TDDFT")),
    (hessian_rhf.HessianBase, "__init__", _refused_for("the analytic Hessian", _DIFFERENCES)),
)
