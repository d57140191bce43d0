"""The shared library ``libxcnet.so``: where it is, and its functions."""

from __future__ import annotations

import ctypes
import os
from ctypes import POINTER, c_char_p, c_int, c_long, c_size_t, c_void_p
from functools import cache
from pathlib import Path

import xcnet
from xcnet.errors import NativeError

#: Takes the place of the installed library.
LIBRARY_VARIABLE = "XCNET_LIBRARY"
LIBRARY = "libxcnet.so"
_POINTERS = POINTER(c_void_p)
_SIGNATURES: dict[str, tuple[type | None, list[type]]] = {
    "xcnet_load_index": (c_int, [c_char_p]),
    "xcnet_patch_object": (c_int, [c_char_p, POINTER(c_int)]),
    "xcnet_unpatch_object": (c_int, [c_char_p]),
    "xcnet_last_error": (c_char_p, []),
    "xcnet_clear_error": (None, []),
    "xcnet_evaluations": (c_long, []),
    "xcnet_tape_open": (c_void_p, [c_char_p, c_size_t, POINTER(c_char_p)]),
    "xcnet_tape_close": (None, [c_void_p]),
    "xcnet_tape_run": (c_int, [c_void_p, c_size_t, _POINTERS, _POINTERS]),
    "xcnet_tape_instructions": (c_char_p, []),
    "xcnet_stop_on_failure": (None, [c_int]),
}


def path() -> Path:
    """File of the library.

    Raises
    ------
    NativeError
        It was not built or is not where XCNET_LIBRARY says.
    """
    named = os.environ.get(LIBRARY_VARIABLE)
    if named:
        return existing(named, LIBRARY_VARIABLE)
    # An editable install keeps the sources and what was built in different folders.
    for folder in xcnet.__path__:
        library = Path(folder, "adapters", "libxc", LIBRARY)
        if library.is_file():
            return library.resolve()
    raise NativeError(
        f"{LIBRARY} is missing in this installation of xcnet: it is built on Linux when xcnet is "
        "installed with pip; install xcnet again",
        expected=LIBRARY,
    )


def existing(path: str, variable: str) -> Path:
    """Absolute path of the file that a variable names (NativeError if there is none)."""
    library = Path(path).absolute()
    if not library.is_file():
        raise NativeError(f"{variable}={path}: no such file", argument=variable, given=path)
    return library


@cache
def load() -> ctypes.CDLL:
    """Functions of the library.

    Raises
    ------
    NativeError
        It is missing, or no library of this version.
    """
    file = path()
    try:
        # RTLD_LOCAL: its libxc symbols must not take the place of another library's.
        library = ctypes.CDLL(str(file), mode=ctypes.RTLD_LOCAL)
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
        library.xcnet_stop_on_failure(0)  # Python looks at the error, and at NaN until it does
    except (OSError, AttributeError) as error:
        raise NativeError(f"{file} is not a usable library: {error}", file=str(file)) from error
    return library
