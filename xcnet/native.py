"""The C library ``libxcnet.so``: where it is, what it reads, and the calls that Python makes.

The library has libxc's entry points and evaluates the graphs as `xcnet.engine` chooses, by tapes
or through ONNX Runtime's C API. It finds functionals through an index, a text file written here:
one line ``key<TAB>value...`` per fact of a functional, with backslash, tab and newline escaped. The
graphs of each functional and their tapes are listed in a file of their own, which `prepare` writes
once they are verified: the library calls it (`xcnet.preparation`) when a functional is asked for
and there is no such file yet.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from ctypes import byref, c_int
from pathlib import Path
from types import MappingProxyType

import xcnet
from xcnet import engine, files, graphs, paths, registry, shared_library, tape, variables
from xcnet.errors import EngineError, MissingPackageError, NativeError
from xcnet.operators import OrbitalField
from xcnet.spec import FunctionalSpec
from xcnet.terms import NeuralTerm

INDEX_VERSION = 1
#: More have no room in libxc's structures.
MAX_REFERENCES = 5
#: Highest derivative order with a tape: few programs that are linked to libxc ask for the third
#: derivatives, whose tapes take longest to make; ONNX Runtime evaluates them.
HIGHEST_TAPE = 2
#: Takes the place of the library of the installed onnxruntime.
RUNTIME_VARIABLE = "XCNET_ONNXRUNTIME"
_NONE: Mapping[str, int] = MappingProxyType({})


def runtime_path() -> Path:
    """File of ONNX Runtime's shared library, in the installed package unless XCNET_ONNXRUNTIME.

    Raises
    ------
    MissingPackageError, NativeError
        The package is not installed; it has no such library.
    """
    named = os.environ.get(RUNTIME_VARIABLE)
    if named:
        return shared_library.existing(named, RUNTIME_VARIABLE)
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


def index_text(
    numbers: Mapping[str, int] = _NONE, functionals: Sequence[FunctionalSpec] | None = None
) -> str:
    """Index of neural functionals.

    Parameters
    ----------
    numbers : Mapping[str, int]
        Numbers that functionals have in the place of their ids, by their names.
    functionals : Sequence[FunctionalSpec], optional
        Those of the registry if left out.
    """
    chosen = specs() if functionals is None else functionals
    return _text(
        [
            ("xcnet-index", str(INDEX_VERSION)),
            ("onnxruntime", str(runtime_path())),
            ("python", sys.executable, str(Path(__file__).resolve().parent.parent)),
            ("version", xcnet.__version__),
            *(row for spec in chosen for row in _rows(spec, numbers.get(spec.name, spec.id))),
        ]
    )


def write_index(
    numbers: Mapping[str, int] = _NONE, functionals: Sequence[FunctionalSpec] | None = None
) -> Path:
    """Index file in the user's cache folder, named after its content; see `index_text`.

    A running program keeps the file that it was started with, and processes that write at the
    same time write the same bytes.

    Raises
    ------
    NativeError
        The folder cannot be written.
    """
    text = index_text(numbers, functionals)
    digest = hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()
    return _keep(paths.cache_folder() / f"index-{digest[:32]}.txt", text)


def prepare(spec: FunctionalSpec) -> Path:
    """File that lists the verified graphs of a functional, in the user's cache folder.

    Its name stands for the record, which has the graphs' hashes, for the code that verifies them
    and makes their tapes, and for the engine if one is named: where it is there, nothing is
    verified again. The library hashes each graph before use.

    Raises
    ------
    ModelError
        A graph is refused, or not the record's.
    NativeError
        The folder cannot be written.
    """
    path = graphs_file(spec)
    if not path.is_file():
        for which in spec.all_graphs:
            graphs.verify(spec, *which)
        _keep(path, _text([("xcnet-graphs", str(INDEX_VERSION)), *_graph_rows(spec)]))
    return path


def graphs_file(spec: FunctionalSpec) -> Path:
    """Place of a functional's list of verified graphs; the file need not be there."""
    code = graphs.revision(), tape.revision(), xcnet.__version__
    facts = [str(spec.folder.resolve()), spec.record, *code, engine.wish()]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    return paths.cache_folder().absolute() / f"graphs-{digest[:32]}.txt"


def _keep(path: Path, text: str) -> Path:
    content = text.encode(errors="surrogateescape")  # as in paths that are not UTF-8
    try:
        if path.is_file() and path.read_bytes() == content:
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
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
    index = write_index(functionals=functionals)
    count: int = shared_library.load().xcnet_load_index(os.fsencode(index))
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
    if shared_library.load().xcnet_patch_object(os.fsencode(path_part), byref(slots)) != 0:
        raise NativeError(f"{path_part}: {take_error()}", file=path_part)
    return slots.value


def unpatch(path_part: str) -> None:
    """Undo `patch` (NativeError when it cannot)."""
    if shared_library.load().xcnet_unpatch_object(os.fsencode(path_part)) != 0:
        raise NativeError(f"{path_part}: {take_error()}", file=path_part)


def take_error() -> str:
    """First failure since the last call, which is forgotten then; empty when there was none."""
    message: bytes | None = shared_library.load().xcnet_last_error()
    shared_library.load().xcnet_clear_error()
    return (message or b"").decode(errors="replace")


def check() -> None:
    """Raise EngineError if an evaluation has failed: a C function cannot, and gave NaN."""
    message = take_error()
    if message:
        raise EngineError(message)


def evaluations() -> int:
    """Points at which the library has evaluated graphs."""
    count: int = shared_library.load().xcnet_evaluations()
    return count


def _rows(spec: FunctionalSpec, number: int) -> Iterator[tuple[str, ...]]:
    """Facts of one functional for the index; numbers in a form that C reads back exactly."""
    yield "functional", spec.name
    yield "number", str(number)
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
        fields = any(isinstance(kind, OrbitalField) for kind in spec.descriptors.values())
        psi4 = "" if fields else f', Psi4 (energy("{name.lower()}"))'
        yield "nonlocal", f'PySCF (mf.xc = "{name}"){psi4}'
    yield "folder", str(spec.folder.resolve()), str(graphs_file(spec))


def _graph_rows(spec: FunctionalSpec) -> Iterator[tuple[str, ...]]:
    for order, spin in spec.graphs:
        filename = spec.graphs[order, spin]
        key = "graph" if spin == variables.POLARIZED else "closed_shell"
        path = str(spec.folder.resolve() / filename)
        row: tuple[str, ...] = (key, order, spec.files[filename], path)
        level = variables.ORDERS.index(order)
        if level <= HIGHEST_TAPE and engine.choose(spec, level, spin).engine == engine.TAPE:
            digest = hashlib.sha256(tape.content(spec, order, spin)).hexdigest()
            row = (*row, digest, str(tape.file(spec, order, spin).absolute()))
        yield row


def _text(rows: Iterable[tuple[str, ...]]) -> str:
    return "".join("\t".join(map(_escape, row)) + "\n" for row in rows)


def _escape(value: str) -> str:
    value = value.replace("\0", " ")  # ends a text in C
    return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
