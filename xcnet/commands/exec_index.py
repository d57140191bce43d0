"""The index that ``xcnet exec`` gives to programs, kept while nothing that it tells of changes.

Making an index reads all records, which takes longer than many programs do. What is kept is named
after the environment that chooses the functionals, and holds a hash of all that was seen: records
by their content, installed packages and xcnet's code by their times. Whoever looks imports next to
nothing; numpy and the registry are for those who find a change.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import xcnet
from xcnet import files, paths

#: Environment variables that choose the functionals and the files of the index.
VARIABLES = ("XCNET_MODEL_PATH", "XCNET_LIBXC", "XCNET_ONNXRUNTIME", "XDG_DATA_HOME", "HOME")


@dataclass(frozen=True)
class Index:
    """An index file and what its making said.

    ``roots`` are the folders of functionals, ``seen`` and ``content`` the hashes of what was there
    and of the file.
    """

    path: str
    warnings: list[str]
    roots: list[str]
    seen: str
    content: str


def index(numbers: Sequence[str]) -> Index:
    """Index of the functionals as they are now, kept from an earlier start where it still holds.

    Parameters
    ----------
    numbers : sequence of str
        ``NUMBER=NAME`` for each functional that gets a number of its own.

    Raises
    ------
    NativeError, MissingPackageError
        The cache folder cannot be written; there is no ONNX Runtime.
    UnknownFunctionalError, UnsupportedError
        A number is taken, or a name means nothing.
    """
    facts = [xcnet.__version__, sys.executable, *numbers, *map(os.environ.get, VARIABLES)]
    key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]
    place = paths.cache_folder() / f"exec-{key}.json"
    kept = _read(place)
    if kept is not None and kept.seen == _seen(kept.roots) and kept.content == _hash(kept.path):
        return kept
    made = _make(numbers)
    files.write(place, json.dumps(asdict(made)))
    return made


def _read(place: Path) -> Index | None:
    try:
        return Index(**json.loads(place.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None  # never made, or damaged


def _make(numbers: Sequence[str]) -> Index:
    from xcnet import native, registry
    from xcnet.commands.exec_numbers import chosen

    roots = [str(root.absolute()) for root in registry.roots()]
    seen = _seen(roots)
    path = native.write_index(chosen(numbers))
    left_out = [str(error) for error in registry.broken()]
    return Index(str(path.absolute()), left_out, roots, seen, _hash(str(path)))


def _seen(roots: Sequence[str]) -> str:
    """Hash of the functionals' records, the packages that may bring more, and xcnet's code."""
    digest = hashlib.sha256()
    for fact in (*_records(roots), *_packages(), *_code()):
        digest.update(f"{fact}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _records(roots: Sequence[str]) -> Iterator[str]:
    for root in roots:
        yield f"{root} {_hash(f'{root}/model.json')}"
        for name in sorted(os.listdir(root)) if os.path.isdir(root) else ():
            yield f"{root}/{name} {_hash(f'{root}/{name}/model.json')}"


def _packages() -> Iterator[str]:
    for folder in sys.path:
        if not os.path.isdir(folder):
            continue
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if entry.name.endswith((".dist-info", ".egg-info")):
                    yield f"{entry.path} {entry.stat().st_mtime_ns}"


def _code() -> Iterator[str]:
    for file in sorted(Path(xcnet.__file__).parent.rglob("*.py")):
        facts = file.stat()
        yield f"{file} {facts.st_size} {facts.st_mtime_ns}"


def _hash(path: str) -> str:
    """Hash of a file's content; empty where it cannot be read."""
    try:
        # A pipe in a record's place would block.
        if not os.path.isfile(path):
            return ""
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return ""
