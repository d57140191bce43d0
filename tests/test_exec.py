"""``xcnet exec``: what reaches the program, and which programs are refused before they start."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.folders import copy_folder, read_record
from tests.hosts import build, need, need_libxc_headers, run
from tests.hosts import xcnet as command
from tests.native_client import PROGRAMS
from xcnet import native, paths, registry, shared_library
from xcnet.commands import exec as exec_command
from xcnet.commands.exec_checks import check_program
from xcnet.errors import NativeError, ProgramError
from xcnet.spec import write_record

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
        assert process.wait(timeout=300) == -signal.SIGTERM


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
        assert done.stderr.startswith("usage: xcnet exec [--id NUMBER=NAME ...]")


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


# -- what is verified, and kept ----------------------------------------------------------------


def kept() -> dict[str, int]:
    """Files of the cache folder and when they were written."""
    return {path.name: path.stat().st_mtime_ns for path in paths.cache_folder().iterdir()}


def prepared() -> int:
    """Functionals that have been verified."""
    return sum(name.startswith("graphs-") for name in kept())


def test_only_what_is_asked_for_is_verified_and_once(
    careless: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert command("exec", "--", careless, "202").returncode == 0
    assert prepared() == 0
    first = command("exec", "--", careless, "100201")
    assert (first.returncode, first.stderr) == (0, "")
    assert prepared() == 1
    before = kept()
    assert command("exec", "--", careless, "100201").stdout == first.stdout
    assert kept() == before


def test_changed_files_are_seen(
    careless: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models, cache = tmp_path / "models", tmp_path / "cache"
    models.mkdir()
    monkeypatch.setenv("XCNET_MODEL_PATH", str(models))
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    assert command("exec", "--", careless, "199001").returncode != 0
    folder = copy_folder(models)  # a new one
    good = command("exec", "--", careless, "199001")
    assert (good.returncode, good.stderr) == (0, "")
    graph = folder / "exc_closed_shell.onnx"
    content = graph.read_bytes()
    graph.write_bytes(content[:-1])
    altered = command("exec", "--", careless, "199001")
    assert altered.returncode == -signal.SIGABRT
    assert f"{graph} is altered" in altered.stderr
    assert command("exec", "--", careless, "202").returncode == 0
    # One whose record was made for the altered graph is verified, and refused.
    _sign(folder, graph)
    refused = command("exec", "--", careless, "199001")
    assert refused.returncode == -signal.SIGABRT
    assert f"{graph} is refused" in refused.stderr
    graph.write_bytes(content)
    _sign(folder, graph)
    assert command("exec", "--", careless, "199001").stdout == good.stdout
    for path in paths.cache_folder().rglob("*"):
        if path.is_file():
            path.write_text("damaged")
    for path in paths.cache_folder().glob("graphs-*"):
        path.unlink()
    assert command("exec", "--", careless, "199001").stdout == good.stdout


def _sign(folder: Path, file: Path) -> None:
    """Give the record the hash of a file as it is now."""
    record = read_record(folder)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    write_record({**record, "files": {**record["files"], file.name: digest}}, folder)


# -- what programs cannot have -----------------------------------------------------------------


@pytest.fixture(scope="module")
def careless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Program that goes on when a functional cannot be initialised; it takes a number."""
    need_libxc_headers()
    program = tmp_path_factory.mktemp("careless") / "careless"
    build("gcc", "-o", program, PROGRAMS / "careless.c", "-lxc")
    return program


def test_no_program_goes_on_without_an_energy(careless: Path) -> None:
    number = str(registry.find("NN-NRA").id)
    stopped = command("exec", "--", careless, number)
    assert (stopped.returncode, stopped.stdout) == (-signal.SIGABRT, "")
    assert "is nonlocal" in stopped.stderr
    assert "would go on without its energy: stopped" in stopped.stderr
    for done in (
        command("exec", "--on-failure", "nan", "--", careless, number),
        command("exec", "--", careless, number, XCNET_ON_FAILURE="nan"),
    ):
        assert (done.returncode, done.stdout) == (0, "nan\n")
        assert "is nonlocal" in done.stderr


def test_numbers(careless: Path) -> None:
    own = command("exec", "--", careless, "100210")
    small = command("exec", "--id", "901=NN-metaGGA", "--", careless, "901")
    assert own.stdout == small.stdout
    assert float(own.stdout) < 0
    assert (small.returncode, small.stderr) == (0, "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["101=NN-metaGGA"], "101 is the number of libxc's gga_x_pbe; choose another"),
        (["100201=NN-metaGGA"], "100201 is the number of mgga_xc_nn_r2scan"),
        (["901=NN-metaGGA", "901=NN-GGA"], "901 is the number of mgga_xc_nn_metagga"),
        (["901=NN-metaGGA", "902=mgga_xc_nn_metagga"], "has two numbers"),
        (["901=NN-NRA"], "is nonlocal"),
        (["901=gga_x_pbe"], "is libxc's own"),
        (["901"], "expected NUMBER=NAME"),
        (["-1=NN-metaGGA"], "expected NUMBER=NAME"),
        (["901=NN-nothing"], "unknown functional"),
    ],
)
def test_numbers_that_cannot_be_given(words: list[str], message: str) -> None:
    options = [f"--id={word}" for word in words]
    done = command("exec", *options, "--", "env")
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


def test_number_of_the_programs_own_libxc(careless: Path, tmp_path: Path) -> None:
    """Which may have functionals that the libxc here does not know."""
    index = tmp_path / "index.txt"
    index.write_text(native.index_text({"mgga_xc_nn_metagga": 263}))
    environment = {"LD_PRELOAD": str(LIBRARY), "XCNET_INDEX": str(index)}
    done = run(careless, "263", **environment)
    assert done.returncode == -signal.SIGABRT
    assert "its number 263 is that of a functional of libxc" in done.stderr


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
    done = command("exec", "--", compiled(tmp_path, "int main(void) { return 7; }"))
    assert done.returncode == 7
    assert "is not linked to libxc: it has no use for functionals\n" in done.stderr
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
