"""Published neural functionals that can be installed by name: where they are, on what terms.

The facts are those of ``catalogue.toml``. The weights themselves are no part of this package.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType

HOST = "https://raw.githubusercontent.com"


@dataclass(frozen=True)
class File:
    """A file of the authors: its name in a folder, its place below the host, and what it must be.

    ``path`` is owner, repository, commit and path; ``size`` in bytes.
    """

    name: str
    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Collection:
    """Published functionals that are installed together.

    ``functionals`` are their usual names, ``names`` those in libxc's style, ``doi`` the paper's,
    ``depends_on`` what of the density they read, ``cost`` what an evaluation costs beside a
    functional of libxc, ``notices`` the files of licences, which functional folders keep.
    """

    name: str
    title: str
    functionals: tuple[str, ...]
    names: tuple[str, ...]
    license: str
    doi: str
    depends_on: str
    cost: str
    notices: tuple[str, ...]
    files: tuple[File, ...]

    @property
    def size(self) -> int:
        """Bytes to download."""
        return sum(file.size for file in self.files)

    @property
    def module(self) -> str:
        """Name of the module that knows the functional form."""
        return self.name.partition("-")[0]

    @property
    def source(self) -> dict[str, str]:
        """Repository and commit of the weights, for records."""
        owner, repository, commit, _ = self.files[0].path.split("/", 3)
        return {"repository": f"{owner}/{repository}", "commit": commit}


@cache
def collections() -> Mapping[str, Collection]:
    """All collections by name."""
    text = resources.files("xcnet").joinpath("catalogue.toml").read_text(encoding="utf-8")
    by_name = {}
    for name, facts in tomllib.loads(text).items():
        lists = {key: tuple(facts[key]) for key in ("functionals", "names", "notices")}
        files = tuple(File(**file) for file in facts["files"])
        by_name[name] = Collection(name=name, **{**facts, **lists, "files": files})
    return MappingProxyType(by_name)


def functionals() -> tuple[str, ...]:
    """Usual names of all published functionals."""
    return tuple(name for c in collections().values() for name in c.functionals)
