"""What Kohn-Sham objects print about neural functionals before they start, and at the end."""

from __future__ import annotations

import re
from functools import wraps
from textwrap import indent
from typing import Any, NoReturn
from weakref import WeakSet

import numpy as np
from pyscf import gto
from pyscf.lib import logger

from xcnet import domain, registry
from xcnet.adapters.pyscf.expressions import as_text
from xcnet.adapters.pyscf.makers import Function, plan_of_object
from xcnet.errors import ArgumentTypeError, UnknownFunctionalError
from xcnet.spec import FunctionalSpec

_warned: WeakSet[Any] = WeakSet()
_told: WeakSet[Any] = WeakSet()


def with_advice(original: Function) -> Function:
    """Warn in ``dump_flags``, once per object, of a grid below the one that a record asks for.

    PySCF reads ``mf.xc`` as a text in places: anything else is refused here.
    """

    @wraps(original)
    def dump_flags(mf: Any, verbose: Any = None) -> Any:
        plan, grids = plan_of_object(mf), mf.grids
        if plan is not None and not isinstance(mf.xc, str):
            raise ArgumentTypeError(
                f"mf.xc = {mf.xc!r}: PySCF needs a text, mf.xc = {as_text(mf.xc)!r}",
                argument="xc",
                given=mf.xc,
            )
        try:
            result = original(mf, verbose)
        except UnknownFunctionalError as error:
            _raise_as_typed(error, str(mf.xc))
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


def _raise_as_typed(error: UnknownFunctionalError, xc: str) -> NoReturn:
    """Raise again with the name as the user wrote it: PySCF asks in lower case."""
    typed = re.search(re.escape(str(error.context["functional"])), xc, re.IGNORECASE)
    if typed:
        registry.find(typed[0])
    raise error


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


def with_domain(original: Function) -> Function:
    """Warn at the end of a calculation, once per object, where functionals had to extrapolate."""

    @wraps(original)
    def finalize(mf: Any) -> Any:
        result = original(mf)
        log = logger.new_logger(mf)
        plan = plan_of_object(mf) if log.verbose >= logger.WARN else None
        if plan is not None and mf not in _told:
            _told.add(mf)
            for _, entry in plan.neural:
                sentence = entry.spec and _extrapolation(mf, entry.called, entry.spec)
                if sentence:
                    log.warn("%s.", sentence)
        return result

    return finalize


def _extrapolation(mf: Any, name: str, spec: FunctionalSpec) -> str:
    """Sentence about a molecule's density; empty if all is known.

    Of crystals and two-component orbitals the elements are looked at.
    """
    mol = mf.mol
    atoms = [i for i in range(mol.natm) if gto.charge(mol.atom_symbol(i))]  # no ghosts
    symbols = [mol.atom_pure_symbol(i) for i in atoms]
    density = np.asarray(mf.make_rdm1())
    if hasattr(mf, "cell") or density.shape[-1] != mol.nao:
        elements = domain.unknown_elements(spec, symbols)
        return f"{name} was not trained for this{domain.lacking(elements)}" if elements else ""
    grids, total = mf.grids, density.reshape(-1, mol.nao, mol.nao).sum(axis=0)
    n = mf._numint.get_rho(mol, total, grids)
    positions = mol.atom_coords()[atoms]
    outside = domain.outside(spec, n, grids.weights, grids.coords, symbols, positions)
    return outside.sentence(name) if outside.is_large else ""
