"""Whether preloading can give a program other libxc functions than its own."""

from __future__ import annotations

import os
import re
import stat
import struct
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from xcnet.elf import MAGIC, ElfFile
from xcnet.errors import NativeError, ProgramError

#: Functions that bring libraries, or start programs, after the start.
LOADERS = frozenset(
    "dlopen dlmopen execl execle execlp execv execve execvp execvpe posix_spawn posix_spawnp "
    "popen system _gfortran_execute_command_line_i4 _gfortran_execute_command_line_i8".split()
)
#: Names that libxc's table holds and nothing else would: all of them mean a copy of libxc.
TRACES = (b"\0lda_c_1d_csc\0", b"\0gga_x_2d_b88\0", b"\0mgga_x_2d_prhg07\0")
ENTRY_POINT = "xc_func_init"
#: Libraries of the system and of languages, where these functions mean nothing by being there.
_RUNTIMES = re.compile(
    r"(ld-linux.*|lib(c|m|dl|rt|pthread|util|resolv|gcc_s|stdc\+\+|gfortran|gomp))\.so\.\d+"
)
_LISTED = re.compile(r"^\t(?:\S+ => )?(/.*) \(0x[0-9a-f]+\)$", re.MULTILINE)


def check_program(program: Path, library: Path, environment: Mapping[str, str]) -> str | None:
    """Check that preloading the library can reach the program's calls of libxc.

    Scripts, interpreters and launchers, which load libxc or start programs later, pass.

    Returns
    -------
    str or None
        A warning, when the program is likely not to use libxc.

    Raises
    ------
    ProgramError
        It is linked statically, has a copy of libxc inside, or is built for another processor.
    NativeError
        The library cannot be preloaded into it.
    """
    try:
        with program.open("rb") as stream:
            if stream.read(len(MAGIC)) != MAGIC:
                return None  # a script, or something that the system will refuse to start
    except OSError:
        return None  # executable, but not readable
    try:
        return _check_elf(ElfFile(program), library, environment)
    except (ValueError, IndexError, struct.error) as error:
        raise _refused(program, "is damaged, or is not a program for 64 bits") from error


def _check_elf(elf: ElfFile, library: Path, environment: Mapping[str, str]) -> str | None:
    program = elf.path
    if elf.machine != ElfFile(library).machine:
        raise _refused(program, "is built for another processor than xcnet's library")
    if elf.interpreter is None:
        raise _refused(
            program,
            "is linked statically, so that nothing can be preloaded: build it with shared "
            "libraries (libxc configured with --enable-shared)",
        )
    if _changes_user(program):
        raise _refused(program, "changes its user when it starts, which rules out preloading")
    return _check_linked(elf, library, environment)


def _check_linked(elf: ElfFile, library: Path, environment: Mapping[str, str]) -> str | None:
    objects = _loaded(elf, environment)
    if not objects:
        return None  # it cannot start, and the loader will say why
    if library not in objects:
        raise NativeError(
            f"the loader of {elf.path} does not preload {library}: it is built for another system",
            file=str(library),
        )
    others = [p for p in objects if p != library and not _RUNTIMES.fullmatch(p.name)]
    libraries = [ElfFile(path) for path in others]
    linked = any(ENTRY_POINT in item.exports for item in libraries)
    if ENTRY_POINT in elf.definitions or (not linked and all(map(elf.contains, TRACES))):
        raise _refused(
            elf.path,
            "has a copy of libxc inside, which preloading cannot reach: link it to libxc's shared "
            "library instead",
        )
    if linked or _loads_more([elf, *(item for item in libraries if item.path.name in elf.needed)]):
        return None
    more = " unless it loads libxc later" if _loads_more(libraries) else ""
    return f"{elf.path} is not linked to libxc: it has no use for functionals{more}"


def _loaded(elf: ElfFile, environment: Mapping[str, str]) -> list[Path]:
    """Shared objects that the program's own loader finds for it; nothing of them is executed."""
    try:
        done = subprocess.run(
            [str(elf.interpreter), "--list", str(elf.path)],
            env=dict(environment),
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise _refused(elf.path, f"needs the loader {elf.interpreter}: {error.strerror}") from error
    return [Path(path) for path in _LISTED.findall(done.stdout)]


def _loads_more(objects: Iterable[ElfFile]) -> bool:
    return any(not LOADERS.isdisjoint(item.imports) for item in objects)


def _changes_user(program: Path) -> bool:
    facts = program.stat()
    user = facts.st_mode & stat.S_ISUID and facts.st_uid != os.getuid()
    group = facts.st_mode & stat.S_ISGID and facts.st_gid != os.getgid()
    return bool(user or group)


def _refused(program: Path, why: str) -> ProgramError:
    return ProgramError(f"{program} {why}", file=str(program))
