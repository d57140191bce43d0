"""What Kohn-Sham objects print about neural functionals before they start."""

from __future__ import annotations

from functools import wraps
from textwrap import indent
from typing import Any
from weakref import WeakSet

from pyscf.lib import logger

from xcnet.adapters.pyscf.makers import Function, plan_of_object

_warned: WeakSet[Any] = WeakSet()


def with_advice(original: Function) -> Function:
    """Warn in ``dump_flags``, once per object, of a grid below the one that a record asks for."""

    @wraps(original)
    def dump_flags(mf: Any, verbose: Any = None) -> Any:
        result = original(mf, verbose)
        plan, grids = plan_of_object(mf), mf.grids
        if plan is None or mf in _warned or getattr(grids, "atom_grid", None):
            return result
        level = getattr(grids, "level", plan.grid_level)
        if level < plan.grid_level:
            _warned.add(mf)
            logger.new_logger(mf, verbose).warn(
                "%s is made for grid level %d or finer, and this is level %d: its energy carries "
                "noise of the grid. Set mf.grids.level = %d.",
                plan.names,
                plan.grid_level,
                level,
                plan.grid_level,
            )
        return result

    return dump_flags


def with_references(original: Function) -> Function:
    """Print references, as PySCF does for molecules but not for crystals."""

    @wraps(original)
    def dump_flags(mf: Any, verbose: Any = None) -> Any:
        result = original(mf, verbose)
        log = logger.new_logger(mf, verbose)
        if plan_of_object(mf) is not None and log.verbose >= logger.INFO:
            log.info("%s", indent("\n".join(mf._numint.libxc.xc_reference(mf.xc)), "    "))
        return result

    return dump_flags
