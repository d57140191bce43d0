"""Functionals in the user's folder: installed whole or not at all, removed by name."""

from __future__ import annotations

import importlib
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from xcnet import check, extras, registry
from xcnet.catalogue import Collection, collections
from xcnet.check import integrity
from xcnet.errors import InstallError, MissingPackageError, ModelError, UnknownFunctionalError
from xcnet.spec import RECORD, FunctionalSpec, load_spec, record_bytes, record_from


def install(
    source: str,
    *,
    folder: Path | None = None,
    force: bool = False,
    report: Callable[[str], None] = lambda line: None,
) -> list[FunctionalSpec]:
    """Install a published collection or a finished functional folder for this user.

    Parameters
    ----------
    source
        Name of a collection (``xcnet models available``), or path of a functional folder.
    folder
        Where the collection's original files lie, instead of downloading them.
    force
        Install again what is already installed.
    report
        Called with a line of text at each step.

    Raises
    ------
    InstallError
        Already installed, no network, no space, another installation under way, a name taken.
    ModelError
        The functional folder is incomplete or altered.
    MissingPackageError
        A collection is converted by torch, which is not installed.
    """
    if source.lower() in collections() and not (Path(source) / RECORD).exists():
        return _install_collection(collections()[source.lower()], folder, force, report)
    if folder is not None:
        raise InstallError(
            f"--from goes with a collection ({', '.join(collections())}), not with {source!r}",
            given=source,
        )
    if not Path(source).is_dir():
        raise InstallError(
            f"{source!r} is neither a collection ({', '.join(collections())}) nor a folder with a "
            f"{RECORD}",
            given=source,
        )
    return [_install_folder(Path(source), force, report)]


def remove(name: str) -> Path:
    """Remove a functional of the user's folder; returns where it was.

    Raises
    ------
    UnknownFunctionalError
        The user's folder has no functional of this name, alias or id.
    """
    root = registry.user_folder()
    folder = _installed(root, name)
    with _staging(root) as staging:
        # One rename takes it away whole; what is left of the staging folder is deleted later.
        folder.rename(staging / folder.name)
    registry.refresh()
    return folder


def _install_collection(
    collection: Collection, source: Path | None, force: bool, report: Callable[[str], None]
) -> list[FunctionalSpec]:
    try:
        conversion: Any = importlib.import_module("xcnet.published.conversion")
    except ImportError as error:
        raise MissingPackageError(
            f"converting {collection.name} needs torch and onnx ({error}): {extras.hint('train')}",
            package=error.name,
        ) from error
    root = registry.user_folder()
    if not force and all(_is_sound(root / target) for target in collection.names):
        raise InstallError(
            f"{collection.name} is already installed in {root}; --force installs it again",
            folder=str(root),
        )
    with _staging(root) as staging:
        conversion.convert(collection, source, staging, report)
        return _place([staging / target for target in collection.names], root)


def _install_folder(source: Path, force: bool, report: Callable[[str], None]) -> FunctionalSpec:
    source = source.absolute()
    record = record_bytes(source)
    spec = record_from(record, source)
    root = registry.user_folder()
    if (root / spec.name).exists() and not force:
        raise InstallError(
            f"{spec.name} is already installed in {root}; --force installs it again",
            functional=spec.name,
            folder=str(root),
        )
    # Before anything is copied or evaluated: a hostile folder is refused at once.
    integrity.inspect(spec)
    with _staging(root) as staging:
        copy = staging / spec.name
        copy.mkdir()
        # Bytes that were verified, not files that may change: what is checked is what is installed.
        (copy / RECORD).write_bytes(record)
        for filename in spec.files:
            (copy / filename).write_bytes(spec.read(filename))
        report(f"{spec.name}: checking what it promises")
        check.require(spec)  # not the copy, so that a failure names the user's folder
        return _place([copy], root)[0]


def _place(staged: Sequence[Path], root: Path) -> list[FunctionalSpec]:
    """Move staged folders into the user's folder, all or none."""
    for folder in staged:
        refuse_taken_names(load_spec(folder), root)
    replaced = staged[0].parent / ".replaced"
    replaced.mkdir()
    moves: list[tuple[Path, Path]] = []
    try:
        for folder in staged:
            target = root / folder.name
            steps = [(target, replaced / folder.name)] if target.exists() else []
            for start, end in (*steps, (folder, target)):
                start.rename(end)
                moves.append((start, end))
    except BaseException:
        for start, end in reversed(moves):
            end.rename(start)
        raise
    registry.refresh()
    return [load_spec(root / folder.name) for folder in staged]


def refuse_taken_names(spec: FunctionalSpec, root: Path) -> None:
    """Raise InstallError if another functional has this name, an alias or the id.

    Two claims to one name would make every later look-up fail.
    """
    keys: tuple[str | int, ...] = (spec.name, *spec.aliases, spec.id)
    for key in keys:
        try:
            other = registry.find(key)
        except (UnknownFunctionalError, ModelError):
            continue
        where = other.spec.folder if other.spec else Path("libxc")
        if where.resolve() == (root / spec.name).resolve():
            continue
        raise InstallError(
            f"{spec.name}: the name, alias or id {key!r} belongs to {other.name} ({where})",
            functional=spec.name,
            given=key,
        )


def _installed(root: Path, name: str) -> Path:
    """Folder in the user's folder with this name, alias or id; it may be a broken one."""
    wanted = registry.normalize(name)
    paths = root.iterdir() if root.is_dir() else ()
    folders = sorted(p for p in paths if p.is_dir() and not p.name.startswith("."))
    for folder in folders:
        if wanted in _names(folder):
            return folder
    raise UnknownFunctionalError(
        f"{name!r} is not installed in {root}; installed: "
        f"{', '.join(p.name for p in folders) or 'nothing'}",
        functional=name,
        folder=str(root),
    )


def _names(folder: Path) -> Iterable[str]:
    names: list[str] = [folder.name]
    try:
        spec = load_spec(folder)
        names += [spec.name, *spec.aliases, str(spec.id)]
    except ModelError:
        pass
    return {registry.normalize(text) for text in names}


def _is_sound(folder: Path) -> bool:
    try:
        load_spec(folder).verify()
    except ModelError:
        return False
    return True


@contextmanager
def _staging(root: Path) -> Iterator[Path]:
    """Hidden folder in ``root``, locked against other processes and removed whatever happens."""
    import fcntl

    try:
        root.mkdir(parents=True, exist_ok=True)
        with (root / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise InstallError(
                    f"another process is changing {root}; try again when it has finished",
                    folder=str(root),
                ) from error
            # What a killed process left behind.
            for folder in root.glob(".staging-*"):
                shutil.rmtree(folder, ignore_errors=True)
            staging = Path(tempfile.mkdtemp(prefix=".staging-", dir=root))
            try:
                yield staging
            finally:
                shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        raise InstallError(
            f"{error.filename or root}: {error.strerror or error}. Nothing was changed.",
            folder=str(root),
        ) from error
