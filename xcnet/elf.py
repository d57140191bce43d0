"""What a 64-bit ELF file (a Linux program or shared library) says of itself."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

MAGIC = b"\x7fELF"
#: Kinds of sections, of a segment, and of an entry of the dynamic section.
_ALL_SYMBOLS, _DYNAMIC, _DYNAMIC_SYMBOLS = 2, 6, 11
_INTERPRETER = 3
_NEEDED = 1


class ElfFile:
    """An ELF file, read as far as its loader and its symbols.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    OSError, ValueError
        It cannot be read, or is not ELF for 64 bits.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as stream:
            start = stream.read(64)
            if start[:5] != MAGIC + b"\x02" or len(start) < 64:
                raise ValueError(f"{path} is not an ELF file for 64 bits")
            self._bytes = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        self._order = "<" if start[5] == 1 else ">"
        self._header = struct.unpack_from(self._order + "HHIQQQIHHHHHH", start, 16)
        #: Byte order and processor: what a library and its program must have in common.
        self.machine = (start[5], self._header[1])

    @property
    def interpreter(self) -> str | None:
        """Path of the loader that starts the program; None for a static one."""
        for kind, _, offset, _, _, size, _, _ in self._table("IIQQQQQQ", 4, 8, 9):
            if kind == _INTERPRETER:
                return _text(self._slice(offset, size), 0)
        return None

    @cached_property
    def needed(self) -> frozenset[str]:
        """Names of the libraries that it is linked to."""
        entries = self._entries(_DYNAMIC, "QQ")
        return frozenset(_text(names, value) for names, tag, value in entries if tag == _NEEDED)

    @cached_property
    def imports(self) -> frozenset[str]:
        """Symbols that other objects must bring."""
        return frozenset(n for n, section in self._symbols(_DYNAMIC_SYMBOLS) if section == 0)

    @cached_property
    def exports(self) -> frozenset[str]:
        """Symbols that the object brings for others."""
        return frozenset(n for n, section in self._symbols(_DYNAMIC_SYMBOLS) if section != 0)

    @cached_property
    def definitions(self) -> frozenset[str]:
        """Symbols inside, also those for nobody else, unless they were stripped."""
        return self.exports | {n for n, section in self._symbols(_ALL_SYMBOLS) if section != 0}

    def contains(self, text: bytes) -> bool:
        """Whether these bytes are anywhere in the file."""
        return self._bytes.find(text) >= 0

    def _table(self, row: str, offset: int, size: int, count: int) -> Iterator[tuple[Any, ...]]:
        """Rows of the table whose offset, row size and length are these fields of the header."""
        for i in range(self._header[count]):
            start = self._header[offset] + i * self._header[size]
            yield struct.unpack_from(self._order + row, self._bytes, start)

    def _entries(self, kind: int, row: str) -> Iterator[tuple[Any, ...]]:
        """Rows of the sections of a kind, each after the text of its names."""
        sections = list(self._table("IIQQQQIIQQ", 5, 10, 11))
        for _, section_kind, _, _, offset, size, link, *_ in sections:
            if section_kind == kind:
                names = self._slice(*sections[link][4:6])
                for values in struct.iter_unpack(self._order + row, self._slice(offset, size)):
                    yield names, *values

    def _symbols(self, kind: int) -> Iterator[tuple[str, int]]:
        """Name and section of each symbol; section 0 is none."""
        for names, name, _, _, section, _, _ in self._entries(kind, "IBBHQQ"):
            yield _text(names, name), section

    def _slice(self, offset: int, size: int) -> bytes:
        return self._bytes[offset : offset + size]


def _text(names: bytes, start: int) -> str:
    return names[start : names.index(b"\0", start)].decode(errors="replace")
