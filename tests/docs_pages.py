"""The examples in docs/: collected from a page, run in its order, held to the output shown.

``python -m tests.docs_pages PAGE FOLDER`` runs one page in a folder of its own, as a reader would:
all Python blocks in one session, all commands in a shell. A ``text`` block after a Python block is
what that prints; what follows a command in a ``console`` block is what it prints, if anything is
shown. ``...`` stands for anything, and numbers may differ by two in the last digit that is shown.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
_FENCE = re.compile(r"^ *```([\w{}-]+)[^\n]*\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
_NUMBER = re.compile(r"[-+]?\d+\.\d+(?:e[-+]?\d+)?")
#: Commands that a page's test does not run: environments, installations, hours of computing,
#: programs with tests of their own. `tests.test_docs` holds them to the parsers and the extras.
NOT_RUN = re.compile(
    r"(?:/usr/bin/)?python3 -m venv|\. env|pip |make |grep |"
    r"xcnet (?:bench|psi4|train|models install (?:nagai2020|pcnn|xcdiff|dm21|skala))|mpirun |"
    r"xcnet exec (?:--id \S+ )?-- (?:gpaw|cp2k|abinit|/usr/bin/python3 /usr/bin/pymolcas|mpirun)"
)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its content, and the line it starts at."""

    language: str
    content: str
    line: int


def pages() -> list[Path]:
    """All pages."""
    return sorted(DOCS.rglob("*.md"))


def blocks(page: Path) -> list[Block]:
    """Fenced blocks of a page."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(match[1], dedent(match[2]), text.count("\n", 0, match.start()) + 1)
        for match in _FENCE.finditer(text)
    ]


def commands(block: Block) -> Iterator[tuple[str, str]]:
    """Commands of a console block, each with what it prints."""
    for part in re.split(r"^\$ ", block.content, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield command, output


def agrees(expected: str, given: str) -> bool:
    """Whether an output is the one that is shown, word by word."""
    wanted, words = expected.split(), given.split()
    # Positions in the output at which the words so far can end; "..." alone is any number of words.
    ends = {0}
    for word in wanted:
        if word == "...":
            ends = set(range(min(ends, default=len(words) + 1), len(words) + 1))
        else:
            ends = {end + 1 for end in ends if end < len(words) and _same(word, words[end])}
    return len(words) in ends


def _same(expected: str, given: str) -> bool:
    """Whether two words agree; one that ends in "..." is shown in part."""
    shown = expected.removesuffix("...")
    if _NUMBER.fullmatch(shown) and _NUMBER.fullmatch(given):
        decimals = len(re.split("[.e]", shown)[1])
        return abs(float(shown) - float(given)) <= 2.01 * 10.0**-decimals
    pattern = ".*".join(map(re.escape, expected.split("...")))
    return re.fullmatch(pattern, given) is not None


def run(page: Path, folder: Path) -> None:
    """Run a page's examples; AssertionError at the first that is not as shown."""
    shutil.copytree(ROOT / "examples", folder / "examples")
    names: dict[str, Any] = {"__name__": "__main__"}
    printed: str | None = None
    for block in [*blocks(page), Block("end", "", 0)]:
        where = f"{page.relative_to(ROOT)}, line {block.line}"
        if printed is not None:
            expected = block.content if block.language == "text" else ""
            assert agrees(expected, printed), f"{where}: it prints\n{printed}\nnot\n{expected}"
            printed = None
        elif block.language == "text":
            raise AssertionError(f"{where}: this is the output of nothing")
        if block.language == "python":
            with contextlib.redirect_stdout(io.StringIO()) as stream:
                exec(compile(block.content, where, "exec"), names)
            printed = stream.getvalue()
        elif block.language == "console":
            for command, output in commands(block):
                _run_command(command, output, where)


def _run_command(command: str, output: str, where: str) -> None:
    if NOT_RUN.match(command):
        return
    done = subprocess.run(
        ["bash", "-c", command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{where}: {command}: status {done.returncode}\n{done.stdout}"
    if output.strip():
        assert agrees(output, done.stdout), (
            f"{where}: {command} prints\n{done.stdout}\nnot\n{output}"
        )


if __name__ == "__main__":
    os.chdir(sys.argv[2])
    run(Path(sys.argv[1]), Path(sys.argv[2]))
