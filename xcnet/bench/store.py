"""Results on disk: one JSON record per line, appended whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from xcnet.errors import BenchmarkError, InputError

Record = dict[str, Any]


def read(path: Path) -> list[Record]:
    """Records of a file that nobody writes; an unfinished last line is left out.

    Raises
    ------
    InputError
        If the file cannot be read, or holds a line that is not a record.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}", file=str(path)) from error
    return list(_records(path, data[: data.rfind(b"\n") + 1]))


def _records(path: Path, data: bytes) -> Iterator[Record]:
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise InputError(
                f"{path}, line {number}: this is not a JSON record ({error}). Remove the line; "
                "its calculation will be done again",
                file=str(path),
                line=number,
            ) from error
        if not isinstance(record, dict):
            raise InputError(f"{path}, line {number}: not a record", file=str(path), line=number)
        yield record


class Store:
    """A results file that this process alone may write, as a context manager.

    On entering, a last line that was cut off (the writer was killed, the disk was full) is removed.

    Attributes
    ----------
    records : list of dict
        All records, in the file's order.
    repaired : bool
        Whether a cut line was removed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records: list[Record] = []
        self.repaired = False
        self._file = -1

    def __enter__(self) -> Store:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise self._error(error) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._load()
        except BlockingIOError as error:
            os.close(self._file)
            raise BenchmarkError(
                f"{self.path} is being written by another run; wait for it or give another "
                "--output",
                file=str(self.path),
            ) from error
        except BaseException:
            os.close(self._file)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def _load(self) -> None:
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        self.records = list(_records(self.path, data[:whole]))
        rest = data[whole:]
        if not rest:
            return
        if not rest.startswith(b"{"):
            raise InputError(
                f"{self.path} ends with {rest[:40]!r}: not a results file", file=str(self.path)
            )
        os.ftruncate(self._file, whole)
        self.repaired = True

    def append(self, record: Mapping[str, Any]) -> None:
        """Write one record through to the disk.

        Raises
        ------
        BenchmarkError
            If it cannot be written (disk full); the file is as it was before.
        """
        line = json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"
        size = os.fstat(self._file).st_size
        try:
            rest = line.encode()
            while rest:
                rest = rest[os.write(self._file, rest) :]
            os.fsync(self._file)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, size)
            raise self._error(error, line) from error
        self.records.append(dict(record))

    def _error(self, error: OSError, line: str = "") -> BenchmarkError:
        kept = (
            f". {len(self.records)} results are safe there; run the same command again to go on. "
            f"The result that had no place is {line.strip()}"
            if line
            else ""
        )
        return BenchmarkError(
            f"cannot write {self.path}: {error.strerror}{kept}", file=str(self.path), record=line
        )
