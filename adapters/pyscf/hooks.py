"""Methods of PySCF that are told about neural functionals first."""

from __future__ import annotations

import warnings
from functools import cache, partial
from importlib import import_module
from typing import Any

from pyscf.dft import dks, gks, gks_symm, libxc, numint, numint2c, rks, rks_symm, roks
from pyscf.grad import rhf as grad_rhf
from pyscf.grad import rks as grad_rks
from pyscf.grad import tdrhf as grad_tdrhf
from pyscf.grad import uks as grad_uks
from pyscf.hessian import rhf as hessian_rhf
from pyscf.pbc.dft import gks as pbc_gks
from pyscf.pbc.dft import kgks as pbc_kgks
from pyscf.pbc.dft import rks as pbc_rks
from pyscf.pbc.grad import krks as pbc_grad_krks
from pyscf.pbc.grad import kuks as pbc_grad_kuks
from pyscf.pbc.scf import hf as pbc_hf
from pyscf.scf import dhf, ghf, hf, uhf
from pyscf.solvent.hessian import pcm as hessian_pcm
from pyscf.soscf import newton_ah
from pyscf.tdscf import rhf as tdscf_rhf

from xcnet.adapters._patch import Maker, Patches
from xcnet.adapters.pyscf import announcement, dispersion, hessian, nonlocal_numint, states
from xcnet.adapters.pyscf.makers import (
    Function,
    GridResponse,
    Missing,
    answered,
    checked,
    checked_origin,
    checked_values,
    differences_for_fields,
    hessian_of_roks,
    reliable_hessian,
    right_type,
    same_functionals,
    whole_grid,
    whole_grid_response,
    whole_shells,
)
from xcnet.adapters.pyscf.refusals import Needs

#: What PySCF asks its module ``libxc`` about an object's functional, past the object.
OF_OBJECTS = ("is_hybrid_xc", "is_nlc")

_patches = Patches()
_of_module = Patches()


def put() -> None:
    """Put the replacements of `TABLE` and `OPTIONAL` in place; again changes nothing."""
    if _patches:
        return
    optional = [(_optional(module, owner), name, make) for module, owner, name, make in OPTIONAL]
    for owner, name, make in (*TABLE, *optional):
        if owner is not None:
            _patches.put(owner, name, make)


def put_in_module() -> None:
    """Let PySCF's module ``libxc`` know the functionals, for all objects; again changes nothing."""
    if not _of_module:
        for name in QUESTIONS:
            if name not in OF_OBJECTS:
                _of_module.put(libxc, name, answered)


def remove() -> None:
    """Undo `put`, but for what somebody else has replaced since."""
    _of_module.remove()
    _patches.remove()


@cache
def _optional(module: str, owner: str) -> Any:
    """Class in one of PySCF's other packages, or None where there is none that works."""
    with warnings.catch_warnings():  # they are "under testing"
        warnings.simplefilter("ignore")
        try:
            return getattr(import_module(module), owner)
        except (ImportError, AttributeError):  # absent, or made for another PySCF
            return None


_USE_UKS = "Use UKS: mf.to_uks()."
_USE_GGA = "Use a GGA for it."
_LEAVE_RESPONSE = "Leave grid_response = True."

_RESPONSE = Needs("a response between different spins", order=2)
_NO_GRID_RESPONSE = Needs("a gradient without the response of the grid", way_out=_LEAVE_RESPONSE)
_GKS = Needs("GKS")
_DKS = Needs("DKS")
_NONCOLLINEAR = Needs("noncollinear GKS", kinds=("LDA",), way_out="Use collinear = 'col'.")
_CRYSTALS = Needs("the Kohn-Sham method of crystals")
_SECOND_ORDER = Needs("newton()", order=2, whole_grid=True, way_out="Use DIIS.")
_TDDFT = Needs("TDDFT", order=2)
_ROKS_TDDFT = Needs("TDDFT of ROKS", kinds=(), way_out=_USE_UKS)
_TDDFT_GRADIENT = Needs("the gradient of excited states", order=3)
_GKS_GRADIENT = Needs("the gradient of GKS", kinds=(), way_out=_USE_UKS)
_DKS_GRADIENT = Needs("the gradient of DKS", kinds=(), way_out="Use x2c: mf.sfx2c1e().")
_CRYSTAL_GRADIENT = Needs("the gradient of crystals", kinds=("LDA", "GGA"), way_out=_USE_GGA)
_MCPDFT = Needs("MC-PDFT")
_NMR = Needs("NMR shielding", order=2, kinds=("LDA", "GGA"), way_out=_USE_GGA)
_MAGNETIZABILITY = Needs("magnetizability", order=2, kinds=("LDA", "GGA"), way_out=_USE_GGA)


def _advised(original: Function) -> Function:
    return announcement.with_advice(dispersion.asked_early(original))


def _advised_crystal(original: Function) -> Function:
    return announcement.with_advice(announcement.with_references(original))


def _is_noncollinear(ni: Any) -> bool:
    return bool(ni.collinear[0] == "n")


_ROKS = roks.ROKS, rks_symm.ROKS
#: Classes with an ending of their own; that of GHF came after PySCF 2.8.
_ENDING = [owner for owner in (hf.SCF, uhf.UHF, ghf.GHF) if "_finalize" in vars(owner)]

#: What PySCF's module ``libxc`` is asked about an expression, in the versions that are tested.
QUESTIONS = [
    name
    for name in (
        "parse_xc xc_type xc_reference is_lda is_gga is_meta_gga is_hybrid_xc is_nlc hybrid_coeff "
        "rsh_coeff nlc_coeff needs_laplacian max_deriv_order test_deriv_order eval_xc eval_xc1 "
        "eval_xc_eff"
    ).split()
    if hasattr(libxc, name)
]

#: Owner, name, and what makes the replacement from the original.
TABLE: list[tuple[Any, str, Maker]] = [
    # nonlocal functionals
    (numint.NumInt, "nr_rks", whole_grid(nonlocal_numint.nr_rks)),
    (numint.NumInt, "nr_uks", whole_grid(nonlocal_numint.nr_uks)),
    (numint.NumInt, "nr_rks_fxc", whole_grid(nonlocal_numint.nr_rks_fxc)),
    (numint.NumInt, "nr_uks_fxc", whole_grid(nonlocal_numint.nr_uks_fxc)),
    (numint.NumInt, "cache_xc_kernel", whole_grid(nonlocal_numint.cache_xc_kernel)),
    (numint.NumInt, "cache_xc_kernel1", whole_grid(nonlocal_numint.cache_xc_kernel1)),
    (rks, "prune_small_rho_grids_", whole_shells),
    (grad_rks, "get_vxc_full_response", whole_grid_response),
    (grad_uks, "get_vxc_full_response", whole_grid_response),
    # what a neural functional does differently
    *((libxc, name, answered) for name in OF_OBJECTS),
    (grad_rks.Gradients, "grid_response", GridResponse),
    (grad_uks.Gradients, "grid_response", GridResponse),
    (grad_rhf.SCF_GradScanner, "__call__", states.checked),
    (grad_rhf.GradientsBase, "kernel", differences_for_fields),
    *((owner, "Hessian", hessian_of_roks) for owner in _ROKS),
    (hessian_rhf.HessianBase, "kernel", reliable_hessian),
    (hessian_rhf.HessianBase, "hess", reliable_hessian),
    (hessian_pcm.WithSolventHess, "kernel", reliable_hessian),  # adds the solvent's part to it
    (rks.KohnShamDFT, "to_gks", same_functionals),
    (pbc_rks.KohnShamDFT, "to_gks", same_functionals),
    (pbc_hf.SCF, "to_kscf", same_functionals),
    (rks.KohnShamDFT, "dump_flags", _advised),
    *((owner, "_finalize", announcement.with_domain) for owner in _ENDING),
    (pbc_rks.KohnShamDFT, "dump_flags", _advised_crystal),
    # refused
    (numint.LibXCMixin, "eval_xc_eff", right_type),
    (numint.NumInt, "nr_rks_fxc_st", checked_values(_RESPONSE)),
    (grad_rks, "get_vxc", checked_values(_NO_GRID_RESPONSE)),
    (grad_uks, "get_vxc", checked_values(_NO_GRID_RESPONSE)),
    (numint2c.NumInt2C, "nr_vxc", checked_values(_GKS)),
    (numint2c.NumInt2C, "get_vxc", checked_values(_GKS)),
    (numint2c.NumInt2C, "_gks_mcol_vxc", checked_values(_NONCOLLINEAR, _is_noncollinear)),
    (dks.DKS, "dump_flags", checked(_DKS)),
    (pbc_rks.KohnShamDFT, "build", checked(_CRYSTALS)),
    (newton_ah._CIAH_SOSCF, "__init__", checked_origin(_SECOND_ORDER)),
    (tdscf_rhf.TDBase, "__init__", checked_origin(_TDDFT)),
    (grad_tdrhf.Gradients, "__init__", checked_origin(_TDDFT_GRADIENT, hessian.warn_of_grid)),
    *((owner, name, partial(Missing, _ROKS_TDDFT)) for owner in _ROKS for name in ("TDA", "TDDFT")),
    (gks.GKS, "nuc_grad_method", checked(_GKS_GRADIENT)),
    (gks_symm.GKS, "nuc_grad_method", checked(_GKS_GRADIENT)),
    (pbc_gks.GKS, "nuc_grad_method", checked(_GKS_GRADIENT)),
    (pbc_kgks.KGKS, "nuc_grad_method", checked(_GKS_GRADIENT)),
    (dhf.DHF, "nuc_grad_method", checked(_DKS_GRADIENT)),
    (pbc_grad_krks.Gradients, "__init__", checked_origin(_CRYSTAL_GRADIENT)),
    (pbc_grad_kuks.Gradients, "__init__", checked_origin(_CRYSTAL_GRADIENT)),
]

#: The same for PySCF's other packages, by module, where they are installed.
OPTIONAL: list[tuple[str, str, str, Maker]] = [
    ("pyscf.dispersion.dftd3", "DFTD3Dispersion", "__init__", dispersion.with_record),
    ("pyscf.dispersion.dftd4", "DFTD4Dispersion", "__init__", dispersion.with_record),
    ("pyscf.prop.nmr.rhf", "NMR", "__init__", checked_origin(_NMR)),
    (
        "pyscf.prop.magnetizability.rhf",
        "Magnetizability",
        "__init__",
        checked_origin(_MAGNETIZABILITY),
    ),
    # which holds two of the module's functions by their names
    ("pyscf.mcpdft", "_libxc", "hybrid_coeff", answered),
    ("pyscf.mcpdft", "_libxc", "rsh_coeff", answered),
    ("pyscf.mcpdft.otfnal", "transfnal", "__init__", checked_origin(_MCPDFT)),
    ("pyscf.mcpdft.otfnal", "ftransfnal", "__init__", checked_origin(_MCPDFT)),
]
