"""The C library ``libxcnet.so``: where it is, what it reads, and the calls that Python makes.

The library has libxc's entry points and evaluates the graphs through ONNX Runtime's C API. It
finds functionals through an index, a text file written here: one line ``key<TAB>value...`` per
fact of a functional, with backslash, tab and newline escaped.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import os
from collections.abc import Iterator, Sequence
from ctypes import byref, c_char_p, c_int, c_long
from functools import cache
from pathlib import Path

import xcnet
from xcnet import files, graphs, registry, variables
from xcnet.errors import EngineError, MissingPackageError, ModelError, NativeError
from xcnet.spec import FunctionalSpec
from xcnet.terms import NeuralTerm

INDEX_VERSION = 1
#: More have no room in libxc's structures.
MAX_REFERENCES = 5
#: Names the index for a program that the library is preloaded into.
INDEX_VARIABLE = "XCNET_INDEX"
#: Takes the place of the installed library and of onnxruntime's.
LIBRARY_VARIABLE = "XCNET_LIBRARY"
RUNTIME_VARIABLE = "XCNET_ONNXRUNTIME"
LIBRARY = "libxcnet.so"


def library_path() -> Path:
    """File of the C library.

    Raises
    ------
    NativeError
        It was not built or is not where XCNET_LIBRARY says.
    """
    given = os.environ.get(LIBRARY_VARIABLE)
    if given:
        return _existing(given, LIBRARY_VARIABLE)
    # An editable install keeps the sources and what was built in different folders.
    for folder in xcnet.__path__:
        path = Path(folder, "adapters", "libxc", LIBRARY)
        if path.is_file():
            return path.resolve()
    raise NativeError(
        f"{LIBRARY} is missing in this installation of xcnet: it is built on Linux when xcnet is "
        "installed with pip; install xcnet again",
        expected=LIBRARY,
    )


def runtime_path() -> Path:
    """File of ONNX Runtime's shared library, in the installed package unless XCNET_ONNXRUNTIME.

    Raises
    ------
    MissingPackageError, NativeError
        The package is not installed; it has no such library.
    """
    given = os.environ.get(RUNTIME_VARIABLE)
    if given:
        return _existing(given, RUNTIME_VARIABLE)
    package = importlib.util.find_spec("onnxruntime")
    if package is None or package.origin is None:
        raise MissingPackageError(
            "neural functionals need the package onnxruntime: pip install onnxruntime",
            package="onnxruntime",
        )
    folder = Path(package.origin).parent / "capi"
    for path in sorted(folder.glob("libonnxruntime.so*")):
        return path.resolve()
    raise NativeError(
        f"{folder} holds no libonnxruntime.so: install the package onnxruntime again, "
        f"or name the library with {RUNTIME_VARIABLE}",
        file=str(folder),
    )


def specs() -> list[FunctionalSpec]:
    """Neural functionals of the registry, those of the index."""
    return [entry.spec for entry in registry.entries() if entry.spec is not None]


def index_text(functionals: Sequence[FunctionalSpec] | None = None) -> str:
    """Index of functionals: the registry's neural ones, or those given."""
    rows = [
        ("xcnet-index", str(INDEX_VERSION)),
        ("onnxruntime", str(runtime_path())),
        ("version", xcnet.__version__),
        *(row for spec in (specs() if functionals is None else functionals) for row in _rows(spec)),
    ]
    return "".join("\t".join(map(_escape, row)) + "\n" for row in rows)


def write_index(functionals: Sequence[FunctionalSpec] | None = None) -> Path:
    """Index file in the user's cache folder, named after its content.

    A running program keeps the file that it was started with, and processes that write at the
    same time write the same bytes.

    Raises
    ------
    NativeError
        The folder cannot be written.
    """
    import platformdirs

    content = index_text(functionals).encode(
        errors="surrogateescape"
    )  # as in paths that are not UTF-8
    folder = platformdirs.user_cache_path("xcnet", appauthor=False)
    path = folder / f"index-{hashlib.sha256(content).hexdigest()[:16]}.txt"
    try:
        if path.is_file() and path.read_bytes() == content:
            return path
        folder.mkdir(parents=True, exist_ok=True)
        files.write(path, content)
    except OSError as error:
        raise NativeError(
            f"{path} cannot be written: {error.strerror}. XDG_CACHE_HOME names another folder.",
            file=str(path),
        ) from error
    return path


def load(functionals: Sequence[FunctionalSpec] | None = None) -> int:
    """Write the index and let the library of this process read it; returns its functionals.

    Call it again after functionals were added, or with none to have libxc answer alone.

    Raises
    ------
    NativeError
        The library cannot be loaded or refuses the index.
    """
    index = write_index(functionals)
    count: int = _library().xcnet_load_index(os.fsencode(index))
    if count < 0:
        raise NativeError(f"{index}: {take_error()}", file=str(index))
    return count


def patch(path_part: str) -> int:
    """Send the libxc calls of a loaded shared object, named by a part of its path, through xcnet.

    Returns
    -------
    int
        Number of entry points that were replaced.

    Raises
    ------
    NativeError
        No loaded object has this name, it is not linked to libxc, or its libxc cannot be used.
    """
    slots = c_int()
    if _library().xcnet_patch_object(os.fsencode(path_part), byref(slots)) != 0:
        raise NativeError(f"{path_part}: {take_error()}", file=path_part)
    return slots.value


def unpatch(path_part: str) -> None:
    """Undo `patch` (NativeError when it cannot)."""
    if _library().xcnet_unpatch_object(os.fsencode(path_part)) != 0:
        raise NativeError(f"{path_part}: {take_error()}", file=path_part)


def take_error() -> str:
    """First failure since the last call, which is forgotten then; empty when there was none."""
    message: bytes | None = _library().xcnet_last_error()
    _library().xcnet_clear_error()
    return (message or b"").decode(errors="replace")


def check() -> None:
    """Raise EngineError if an evaluation has failed: a C function cannot, and gave zeros."""
    message = take_error()
    if message:
        raise EngineError(message)


def evaluations() -> int:
    """Points that the library has sent to ONNX Runtime."""
    count: int = _library().xcnet_evaluations()
    return count


def _rows(spec: FunctionalSpec) -> Iterator[tuple[str, ...]]:
    """Facts of one functional for the index; numbers in a form that C reads back exactly."""
    yield "functional", spec.name
    yield "number", str(spec.id)
    yield "kind", str(variables.KINDS[spec.kind])
    yield "family", str(variables.FAMILIES[spec.family])
    yield "flags", str(NeuralTerm(spec, variables.UNPOLARIZED).flags)
    for alias in spec.aliases:
        yield "alias", alias
    yield "description", spec.description
    for citation in spec.citations[:MAX_REFERENCES]:
        yield "reference", citation.text, citation.doi, citation.bibtex, citation.key
    yield "inputs", *spec.inputs
    floors = spec.thresholds
    yield "thresholds", *map(repr, (floors.density, floors.zeta, floors.sigma, floors.tau))
    yield "fhc", str(int(spec.enforce_fhc))
    exact = spec.exact_exchange
    yield "exchange", *map(repr, (exact.coefficient, exact.omega, exact.alpha, exact.beta))
    if spec.is_nonlocal:
        name = (*spec.aliases, spec.name)[0]
        yield "nonlocal", f'PySCF (mf.xc = "{name}"), Psi4 (energy("{name.lower()}"))'
    try:
        for order, spin in spec.graphs:
            graphs.verify(spec, order, spin)
    except ModelError as error:
        yield "refused", str(error)
        return
    for key, graph_files in (("graph", spec.derivatives), ("closed_shell", spec.closed_shell)):
        for order, filename in graph_files.items():
            yield key, order, spec.files[filename], str(spec.folder.resolve() / filename)


def _escape(value: str) -> str:
    value = value.replace("\0", " ")  # ends a text in C
    return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")


def _existing(given: str, variable: str) -> Path:
    path = Path(given).absolute()
    if not path.is_file():
        raise NativeError(f"{variable}={given}: no such file", argument=variable, given=given)
    return path


@cache
def _library() -> ctypes.CDLL:
    path = library_path()
    try:
        # RTLD_LOCAL: its libxc symbols must not take the place of another library's.
        library = ctypes.CDLL(str(path), mode=ctypes.RTLD_LOCAL)
        library.xcnet_load_index.argtypes = [c_char_p]
        library.xcnet_patch_object.argtypes = [c_char_p, ctypes.POINTER(c_int)]
        library.xcnet_unpatch_object.argtypes = [c_char_p]
        library.xcnet_last_error.restype = c_char_p
        library.xcnet_clear_error.restype = None
        library.xcnet_evaluations.restype = c_long
    except (OSError, AttributeError) as error:
        raise NativeError(f"{path} is not a usable library: {error}", file=str(path)) from error
    return library
