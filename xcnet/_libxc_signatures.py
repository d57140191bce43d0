"""Argument types of the libxc functions that :mod:`xcnet.libxc` calls, for libxc 5, 6 and 7.

The generic ``xc_lda``, ``xc_gga`` and ``xc_mgga`` take one pointer per input and per label of
:func:`xcnet.variables.labels`, in that order, NULL for what is not wanted; their argument lists
have been the same since 5.0. Only accessors are listed, no structure: layouts differ between
versions.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from ctypes import POINTER, c_char_p, c_double, c_int, c_size_t, c_void_p
from types import MappingProxyType
from typing import Any

from . import variables

Signature = tuple[Any, tuple[Any, ...]]

#: Inputs in the argument list of each generic function, also where a functional needs fewer.
ALL_INPUTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "lda": variables.family_variables("lda"),
        "gga": variables.family_variables("gga"),
        "mgga": variables.family_variables("mgga", laplacian=True),
    }
)
#: Outputs in the argument list of each generic function.
ALL_OUTPUTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        family: tuple(variables.requested_labels(inputs, (True,) * len(variables.ORDERS)))
        for family, inputs in ALL_INPUTS.items()
    }
)

_HANDLE = _INFO = _REFERENCE = c_void_p
_STRING = c_char_p

REQUIRED: Mapping[str, Signature] = MappingProxyType(
    {
        "xc_version": (None, (POINTER(c_int),) * 3),
        "xc_version_string": (_STRING, ()),
        "xc_reference": (_STRING, ()),
        "xc_reference_doi": (_STRING, ()),
        "xc_number_of_functionals": (c_int, ()),
        "xc_maximum_name_length": (c_int, ()),
        "xc_available_functional_numbers_by_name": (None, (POINTER(c_int),)),
        "xc_available_functional_names": (None, (POINTER(c_void_p),)),
        "xc_family_from_id": (c_int, (c_int, POINTER(c_int), POINTER(c_int))),
        "xc_func_alloc": (_HANDLE, ()),
        "xc_func_init": (c_int, (_HANDLE, c_int, c_int)),
        "xc_func_end": (None, (_HANDLE,)),
        "xc_func_free": (None, (_HANDLE,)),
        "xc_func_get_info": (_INFO, (_HANDLE,)),
        "xc_func_info_get_kind": (c_int, (_INFO,)),
        "xc_func_info_get_name": (_STRING, (_INFO,)),
        "xc_func_info_get_family": (c_int, (_INFO,)),
        "xc_func_info_get_flags": (c_int, (_INFO,)),
        "xc_func_info_get_references": (_REFERENCE, (_INFO, c_int)),
        "xc_func_reference_get_ref": (_STRING, (_REFERENCE,)),
        "xc_func_reference_get_doi": (_STRING, (_REFERENCE,)),
        "xc_func_reference_get_bibtex": (_STRING, (_REFERENCE,)),
        "xc_func_info_get_n_ext_params": (c_int, (_INFO,)),
        "xc_func_info_get_ext_params_name": (_STRING, (_INFO, c_int)),
        "xc_func_info_get_ext_params_description": (_STRING, (_INFO, c_int)),
        "xc_func_info_get_ext_params_default_value": (c_double, (_INFO, c_int)),
        "xc_func_set_ext_params": (None, (_HANDLE, POINTER(c_double))),
        "xc_func_set_dens_threshold": (None, (_HANDLE, c_double)),
        "xc_func_set_zeta_threshold": (None, (_HANDLE, c_double)),
        "xc_func_set_sigma_threshold": (None, (_HANDLE, c_double)),
        "xc_func_set_tau_threshold": (None, (_HANDLE, c_double)),
        "xc_hyb_cam_coef": (None, (_HANDLE, *(POINTER(c_double),) * 3)),
        "xc_nlc_coef": (None, (_HANDLE, *(POINTER(c_double),) * 2)),
        "xc_num_aux_funcs": (c_int, (_HANDLE,)),
        "xc_aux_func_ids": (None, (_HANDLE, POINTER(c_int))),
        "xc_aux_func_weights": (None, (_HANDLE, POINTER(c_double))),
        **{
            f"xc_{family}": (
                None,
                (_HANDLE, c_size_t)
                + (c_void_p,) * (len(ALL_INPUTS[family]) + len(ALL_OUTPUTS[family])),
            )
            for family in ALL_INPUTS
        },
    }
)
#: Functions that older versions lack: keys came with libxc 6, the last one with 7.
OPTIONAL: Mapping[str, Signature] = MappingProxyType(
    {
        "xc_reference_key": (_STRING, ()),
        "xc_func_reference_get_key": (_STRING, (_REFERENCE,)),
        "xc_func_set_fhc_enforcement": (None, (_HANDLE, c_int)),
    }
)


def declare(core: ctypes.CDLL) -> frozenset[str]:
    """Set the types of all functions; return the optional ones that are there.

    Raises
    ------
    AttributeError
        A required function is missing: not libxc, or libxc older than 5.
    """
    present = {name for name in OPTIONAL if hasattr(core, name)}
    for name, (result, arguments) in {**REQUIRED, **OPTIONAL}.items():
        if name in REQUIRED or name in present:
            function = getattr(core, name)
            function.restype, function.argtypes = result, arguments
    return frozenset(present)
