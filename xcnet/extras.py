"""How to get the packages of an optional part of xcnet, however xcnet itself was installed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata

from xcnet.errors import MissingPackageError

_REQUIREMENT = re.compile(r"""([A-Za-z0-9._-]+)[^;]*;\s*extra\s*==\s*["']([^"']+)["']""")


def hint(extra: str) -> str:
    """Return the command that installs what an extra of this package lacks.

    It names the packages themselves, those that are not installed or, if all are, every one: a
    name of xcnet's own would mean something only where an index of packages has it.
    """
    wanted = _requirements(extra)
    lacking = [text for name, text in wanted.items() if not _is_installed(name)]
    if not wanted:
        return f"pip install '.[{extra}]' in xcnet's source folder"
    return shlex.join(["pip", "install", *(lacking or wanted.values())])


@contextmanager
def for_training() -> Iterator[None]:
    """Say how to get the package that an import inside lacks (MissingPackageError)."""
    try:
        yield
    except ImportError as error:
        raise MissingPackageError(
            f"training needs {error.name}: {hint('train')}", package=error.name
        ) from error


def _requirements(extra: str) -> dict[str, str]:
    """Requirements of an extra by the name of the package; none if xcnet is not installed."""
    try:
        lines = metadata.requires("xcnet") or []
    except metadata.PackageNotFoundError:
        return {}
    matches = filter(None, map(_REQUIREMENT.match, lines))
    return {m[1]: m.string.split(";")[0].strip() for m in matches if m[2] == extra}


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True
