"""Finding and loading libxc for :mod:`xcnet.libxc`."""

from __future__ import annotations

import ctypes
import ctypes.util
import difflib
import importlib.util
import os
import re
import sys
import weakref
from collections.abc import Iterator, Mapping
from ctypes import byref, c_int
from functools import cache, cached_property
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from . import variables
from ._libxc_signatures import declare
from .errors import (
    ArgumentTypeError,
    EngineError,
    LibxcNotFoundError,
    UnknownFunctionalError,
)

ENVIRONMENT_VARIABLE = "XCNET_LIBXC"
OLDEST_MAJOR = 5
#: The shared library's names of libxc 7, 6 and 5 (the ABI number is not the version).
_SYSTEM_NAMES = ("libxc.so.15", "libxc.so.12", "libxc.so.9")


class RawCitation(NamedTuple):
    """One citation of a functional, as libxc gives it."""

    ref: str
    bibtex: str
    doi: str
    key: str


def _package_folder(name: str) -> Path | None:
    """Folder of an installed package, which is not imported."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    return Path(spec.origin).parent if spec is not None and spec.origin else None


def _candidates() -> Iterator[str]:
    """Libraries to try where XCNET_LIBXC is not set, best first."""
    for package, pattern in (("pylibxc", "libxc.*"), ("pyscf", "lib/deps/lib*/libxc.*")):
        folder = _package_folder(package)
        if folder is not None:
            yield from (
                str(path)
                for path in sorted(folder.glob(pattern))
                if re.search(r"\.(so|dylib|dll)(\.|$)", path.name)
            )
    yield from (str(path) for path in sorted(Path(sys.prefix, "lib").glob("libxc.[sd]*")))
    yield from _SYSTEM_NAMES
    system = ctypes.util.find_library("xc")
    if system is not None:
        yield system


class Library:
    """A loaded libxc.

    Parameters
    ----------
    path : str
        File, or a name that the system's loader knows.

    Raises
    ------
    LibxcNotFoundError
        The file cannot be loaded, is not libxc, or is older than 5.0.

    Attributes
    ----------
    version : tuple of int
        (major, minor, micro).
    names : Mapping[str, int]
        Number of every functional by its lower-case name, in libxc's order (family, then name).
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            # RTLD_LOCAL: a host program may have another libxc of its own in this process.
            self.core = ctypes.CDLL(path, mode=ctypes.RTLD_LOCAL)
            self._optional = declare(self.core)
        except (OSError, AttributeError) as error:
            reason = f"{path} is not a usable libxc: {error}"
            raise LibxcNotFoundError(reason, file=path) from error
        parts = [c_int() for _ in range(3)]
        self.core.xc_version(*(byref(part) for part in parts))
        self.version = tuple(part.value for part in parts)
        if self.version[0] < OLDEST_MAJOR:
            reason = f"{path} is libxc {self.version_string}; {OLDEST_MAJOR}.0 or newer is needed"
            raise LibxcNotFoundError(reason, file=path, given=self.version_string)
        self.names = MappingProxyType(self._read_names())

    def __repr__(self) -> str:
        return f"<libxc {self.version_string} at {self.path}>"

    @property
    def version_string(self) -> str:
        """Version as libxc writes it."""
        return decode(self.core.xc_version_string())

    def has(self, function: str) -> bool:
        """Whether one of the functions that only newer versions have is there."""
        return function in self._optional

    @cached_property
    def numbers(self) -> Mapping[int, str]:
        """Name of every functional by its number."""
        return MappingProxyType({number: name for name, number in self.names.items()})

    @cached_property
    def marks_tau(self) -> bool:
        """Whether meta-GGAs have the flag NEEDS_TAU; libxc 5 is older than the flag."""
        handle = Handle(self.core, self.names["mgga_x_tpss"], variables.UNPOLARIZED)
        return bool(self.core.xc_func_info_get_flags(handle.info) & variables.FLAG_NEEDS_TAU)

    def find(self, name_or_id: str | int) -> int:
        """Return the number of a functional; names in any case, with or without ``XC_``.

        Raises
        ------
        UnknownFunctionalError, ArgumentTypeError
            There is none, or the argument is neither a string nor an integer.
        """
        hint = ""
        if isinstance(name_or_id, str):
            name = name_or_id.strip().lower().removeprefix("xc_")
            if name in self.names:
                return self.names[name]
            near = difflib.get_close_matches(name, self.names, n=3)
            hint = f"; near matches: {', '.join(near)}" if near else ""
        elif isinstance(name_or_id, int | np.integer) and not isinstance(name_or_id, bool):
            if name_or_id in self.numbers:
                return int(name_or_id)
        else:
            reason = f"a functional is given by name or number, not {type(name_or_id).__name__}"
            raise ArgumentTypeError(reason, argument="name_or_id")
        reason = f"libxc {self.version_string} has no functional {name_or_id!r}{hint}"
        raise UnknownFunctionalError(reason, functional=name_or_id)

    def _read_names(self) -> dict[str, int]:
        count, length = self.core.xc_number_of_functionals(), self.core.xc_maximum_name_length()
        numbers = (c_int * count)()
        self.core.xc_available_functional_numbers_by_name(numbers)
        buffers = [ctypes.create_string_buffer(length + 1) for _ in range(count)]
        self.core.xc_available_functional_names(
            (ctypes.c_void_p * count)(*(ctypes.addressof(buffer) for buffer in buffers))
        )
        names = (decode(buffer.value).lower() for buffer in buffers)
        return dict(zip(names, numbers, strict=True))


@cache
def library() -> Library:
    """Load libxc once.

    Looked for in this order: the path in the environment variable XCNET_LIBXC, the library of
    an installed pylibxc, the one that PySCF's wheel brings, the system's.

    Raises
    ------
    LibxcNotFoundError
        None is usable, or the one that XCNET_LIBXC names is not.
    """
    named = os.environ.get(ENVIRONMENT_VARIABLE)
    if named:
        return _load_given(named)
    failures = []
    for path in _candidates():
        try:
            return Library(path)
        except LibxcNotFoundError as error:
            failures.append(error.message)
    raise LibxcNotFoundError(
        f"no usable libxc was found. Set {ENVIRONMENT_VARIABLE} to the path of libxc.so (5.0 or "
        "newer), or install one: 'pip install pyscf' brings it, so does 'apt install libxc9'. "
        "Tried: " + "; ".join(failures),
        tried=failures,
    )


def _load_given(path: str) -> Library:
    """Load the library that the user named, and no other."""
    advice = f"correct the environment variable {ENVIRONMENT_VARIABLE} or unset it"
    if not Path(path).is_file():
        reason = f"{ENVIRONMENT_VARIABLE} names {path}, which is not a file; {advice}"
        raise LibxcNotFoundError(reason, file=path)
    try:
        return Library(path)
    except LibxcNotFoundError as error:
        reason = f"{ENVIRONMENT_VARIABLE}: {error.message}; {advice}"
        raise LibxcNotFoundError(reason, file=path) from error


def decode(value: bytes | None) -> str:
    """Decode a string of libxc; NULL is empty."""
    return "" if value is None else value.decode("utf-8", "replace")


def names() -> Mapping[str, int]:
    """Return the number of every functional of libxc by its lower-case name."""
    return library().names


def version() -> tuple[int, ...]:
    """Version of libxc: (major, minor, micro)."""
    return library().version


def version_string() -> str:
    """Version of libxc as it writes it."""
    return library().version_string


def reference() -> RawCitation:
    """Citation of libxc itself; its BibTeX entry is not in the library."""
    core = library().core
    # libxc 5 lacks the key; the article is the same.
    key = core.xc_reference_key() if library().has("xc_reference_key") else b"Lehtola2018_1"
    return RawCitation(
        decode(core.xc_reference()), "", decode(core.xc_reference_doi()), decode(key)
    )


def family_from_id(number: int) -> tuple[int, int]:
    """Family constant and libxc's position inside it; (0, 0) for an unknown number."""
    family, position = c_int(), c_int()
    library().core.xc_family_from_id(number, byref(family), byref(position))
    return family.value, position.value


class Handle:
    """One initialized functional of libxc, freed when nobody uses it any more."""

    def __init__(self, core: ctypes.CDLL, number: int, spin: int) -> None:
        self.pointer = core.xc_func_alloc()
        if not self.pointer or core.xc_func_init(self.pointer, number, spin) != 0:
            core.xc_func_free(self.pointer)
            raise EngineError(f"libxc could not initialize functional {number}", functional=number)
        self.info = core.xc_func_get_info(self.pointer)
        # At exit the process gives the memory back; libxc may be gone by then.
        weakref.finalize(self, _free, core, self.pointer).atexit = False


def _free(core: ctypes.CDLL, pointer: int) -> None:
    core.xc_func_end(pointer)
    core.xc_func_free(pointer)
