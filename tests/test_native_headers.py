"""The argument lists that libxcnet is built with are those of libxc's headers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.hosts import need_libxc_headers, run
from tests.native_client import SOURCES, libxc_of

_DECLARED = re.compile(r"\bvoid\s+(xc_(?:lda|gga|mgga)(?:_[evfkl]xc)*)\s*\(([^)]*)\)\s*;")


def evaluations(header: Path) -> dict[str, tuple[int, list[str]]]:
    """Functions of a header that evaluate: how many inputs, and the names of the outputs.

    Inputs have different names in different declarations.
    """
    done = run("gcc", "-E", "-P", header)
    assert done.returncode == 0, done.stderr
    lists = {}
    for name, arguments in _DECLARED.findall(done.stdout):
        words = arguments.split(",")
        outputs = [word for word in words if "const" not in word and "*" in word]
        names = [word.replace("*", " ").split()[-1] for word in outputs]
        lists[name] = (len(words) - len(names), names)
    return lists


@pytest.mark.parametrize("version", [5, 7])
def test_arguments_are_in_the_places_of_libxcs_headers(version: int) -> None:
    need_libxc_headers()
    header = Path("/usr/include/xc.h")
    if version == 7:
        header = libxc_of(version).parents[1] / "include" / "xc.h"
    ours = evaluations(SOURCES / "libxc_api.h")
    assert len(ours) == 33
    assert ours == evaluations(header)
