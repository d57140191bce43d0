"""``xcnet exec``: what reaches the program, and which programs are refused before they start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.folders import copy_folder
from tests.hosts import build, need, need_libxc_headers, run
from tests.hosts import xcnet as command
from xcnet import native, shared_library
from xcnet.commands import exec as exec_command
from xcnet.commands.exec_checks import check_program
from xcnet.errors import NativeError, ProgramError

LIBRARY = shared_library.path()
USES_LIBXC = """
#include <stdio.h>
#include <xc.h>
int main(void) {
  printf("%d %d", xc_functional_get_number("NN-r2SCAN"), xc_functional_get_number("gga_x_pbe"));
  return 0;
}
"""


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the index out of the cache of the person running the tests."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


def refused(*words: str | Path, **environment: str) -> str:
    """Standard error of a call that ends before the program starts."""
    done = command("exec", "--", *words, **environment)
    assert (done.returncode, done.stdout) == (2, ""), done
    assert done.stderr.startswith("xcnet: ")
    assert "Traceback" not in done.stderr
    return done.stderr


def compiled(folder: Path, code: str, *options: str, name: str = "program") -> Path:
    """Program made of C code."""
    (folder / "program.c").write_text(code)
    build("gcc", "-o", folder / name, folder / "program.c", *options)
    return folder / name


# -- what reaches the program ------------------------------------------------------------------


def test_environment() -> None:
    done = command("exec", "--", "env", LD_PRELOAD="", XCNET_INDEX="/old")
    variables = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    assert variables["LD_PRELOAD"] == str(LIBRARY)
    assert Path(variables["XCNET_INDEX"]).read_text() == native.index_text()


def test_other_preloads_stay() -> None:
    assert exec_command.preload(LIBRARY, "") == str(LIBRARY)
    assert (
        exec_command.preload(LIBRARY, "libasan.so.8 /a/b.so") == f"libasan.so.8:/a/b.so:{LIBRARY}"
    )
    assert exec_command.preload(LIBRARY, f"{LIBRARY}:/a/b.so") == f"/a/b.so:{LIBRARY}"
    nested = command("exec", "--", sys.executable, "-m", "xcnet.cli", "exec", "--", "env")
    assert f"LD_PRELOAD={LIBRARY}\n" in nested.stdout


def test_library_in_a_folder_with_a_space() -> None:
    with pytest.raises(NativeError, match="space or a colon"):
        exec_command.preload(Path("/home/my programs/libxcnet.so"), "")


@pytest.mark.parametrize("dashes", [["--"], []])
def test_arguments_and_exit_status(dashes: list[str]) -> None:
    code = "import sys; print(sys.argv[1:]); sys.exit(int(sys.argv[1]))"
    words = ["7", "--debug", "--", "-h", "two words", ""]
    done = command("exec", *dashes, sys.executable, "-c", code, *words)
    assert done.returncode == 7
    assert done.stdout == f"{words}\n"
    assert done.stderr == ""


def test_signals() -> None:
    """The program has the process id of xcnet, so that every signal is its own."""
    words = [sys.executable, "-m", "xcnet.cli", "exec", "--", "sh", "-c", "echo $$; exec sleep 60"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert int(process.stdout.readline()) == process.pid
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == -signal.SIGTERM


def test_program_on_the_path_and_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\necho $0\n")
    script.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    assert command("exec", "--", "./script").returncode == 0
    on_path = command("exec", "script", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert on_path.stdout == f"{script}\n"


# -- what is refused ---------------------------------------------------------------------------


def test_usage() -> None:
    for words in ([], ["--"]):
        done = command("exec", *words)
        assert done.returncode == 2
        assert done.stderr.startswith("usage: xcnet exec -- PROGRAM [ARGUMENT ...]")


def test_no_program(tmp_path: Path) -> None:
    assert "no-such-program: no program of this name on the PATH" in refused("no-such-program")
    assert "no such file" in refused("./no-such-program")
    assert "is a folder" in refused(tmp_path)
    file = tmp_path / "data"
    file.write_text("1 2 3")
    assert "is not executable" in refused(file)
    file.chmod(0o755)
    assert "cannot be started: Exec format error" in refused(file)
    file.write_text("#!/no/such/interpreter\n")
    assert "cannot be started: No such file" in refused(file)


def test_missing_pieces(tmp_path: Path) -> None:
    assert "XCNET_LIBRARY=/no.so: no such file" in refused("env", XCNET_LIBRARY="/no.so")
    assert "XCNET_ONNXRUNTIME=/no.so" in refused("env", XCNET_ONNXRUNTIME="/no.so")
    folder = copy_folder(tmp_path)
    graph = folder / "vxc.onnx"
    graph.write_bytes(graph.read_bytes()[:-1])
    assert f"{graph} is altered" in refused("env", XCNET_MODEL_PATH=str(tmp_path))


def test_folders_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "mgga_xc_broken").mkdir()
    (tmp_path / "mgga_xc_broken" / "model.json").write_text("{")
    done = command("exec", "--", "env", XCNET_MODEL_PATH=str(tmp_path))
    assert done.returncode == 0
    assert "left out" in done.stderr
    assert "mgga_xc_broken" in done.stderr


def test_linked_to_libxc(tmp_path: Path) -> None:
    need_libxc_headers()
    program = compiled(tmp_path, USES_LIBXC, "-lxc")
    done = command("exec", "--", program)
    assert (done.stdout, done.stderr) == ("100201 101", "")
    # A library that the program does not find is the loader's to report.
    gone = compiled(tmp_path, USES_LIBXC, "-lxc", "-nostartfiles", "-shared", name="libgone.so")
    late = compiled(tmp_path, "int main(void){return 0;}", "-Wl,--no-as-needed", str(gone))
    gone.unlink()
    failed = command("exec", "--", late)
    assert failed.returncode == 127
    assert "libgone.so" in failed.stderr


def test_copies_of_libxc(tmp_path: Path) -> None:
    need_libxc_headers()
    static = ["-Wl,-Bstatic", "-lxc", "-Wl,-Bdynamic", "-lm"]
    assert "copy of libxc" in refused(compiled(tmp_path, USES_LIBXC, *static))
    assert "copy of libxc" in refused(compiled(tmp_path, USES_LIBXC, "-s", *static))
    program = compiled(tmp_path, USES_LIBXC, "-static", "-lxc", "-lm")
    assert "is linked statically" in refused(program)


def test_not_linked_to_libxc(tmp_path: Path) -> None:
    need("gcc is not installed", run("gcc", "--version").returncode == 0)
    nothing = compiled(tmp_path, "int main(void) { return 0; }")
    assert "is not linked to libxc" in refused(nothing)
    # What can load or start something later is let through.
    launcher = '#include <unistd.h>\nint main(void) { return execl("/bin/true", "", NULL); }'
    done = command("exec", "--", compiled(tmp_path, launcher))
    assert (done.returncode, done.stderr) == (0, "")
    # Here only a library of a library can, which is rarely for libxc.
    deep = '#include <stdlib.h>\nint deep(void) { return system("true"); }'
    part = compiled(tmp_path, deep, "-shared", "-fPIC", name="libdeep.so")
    near = "int deep(void); int near(void) { return deep(); }"
    options = ["-shared", "-fPIC", str(part), f"-Wl,-rpath,{tmp_path}"]
    library = compiled(tmp_path, near, *options, name="libnear.so")
    main = "int near(void); int main(void) { return near(); }"
    done = command("exec", "--", compiled(tmp_path, main, str(library), f"-Wl,-rpath,{tmp_path}"))
    assert done.returncode == 0
    assert done.stderr.startswith("xcnet: warning: ")


def test_interpreters_and_launchers_pass() -> None:
    environment = {**os.environ, "LD_PRELOAD": str(LIBRARY)}
    for name in ("env", "sh", sys.executable):
        program = exec_command.find_program(name)
        assert check_program(program.resolve(), LIBRARY, environment) is None


def test_other_processors(tmp_path: Path) -> None:
    content = bytearray(Path("/bin/sh").read_bytes()[:4096])
    content[18] ^= 1  # the processor
    other = tmp_path / "other"
    other.write_bytes(content)
    with pytest.raises(ProgramError, match="another processor"):
        check_program(other, LIBRARY, {})
    content[4] = 1  # 32 bits
    other.write_bytes(content)
    with pytest.raises(ProgramError, match="not a program for 64 bits"):
        check_program(other, LIBRARY, {})


def test_damaged_programs(tmp_path: Path) -> None:
    content = Path("/bin/sh").read_bytes()
    for kept in (content[:64], content[:64] + bytes(range(1, 256)) * 99):
        damaged = tmp_path / "damaged"
        damaged.write_bytes(kept)
        with pytest.raises(ProgramError, match="damaged"):
            check_program(damaged, LIBRARY, {})


def test_programs_that_change_their_user(tmp_path: Path) -> None:
    need("only root can give a file away", os.getuid() == 0)
    program = tmp_path / "program"
    program.write_bytes(Path("/bin/sh").read_bytes())
    os.chown(program, 12345, -1)
    program.chmod(0o4755)
    with pytest.raises(ProgramError, match="changes its user"):
        check_program(program, LIBRARY, {})
