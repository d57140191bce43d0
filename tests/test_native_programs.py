"""Programs that libxcnet is preloaded into: their results, many threads, memory, sanitizers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

import xcnet
from tests.folders import MODELS
from tests.native_client import PROGRAMS, SOURCES, built_library, compile_c, libxc_of, need
from xcnet import native

#: Of all families and both kinds of screening, one of libxc's own among them.
FUNCTIONALS = ("mgga_xc_nn_r2scan", "gga_x_pbe_clone", "lda_x_slater_clone", "gga_x_pbe")


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Index of the clones and the package's functionals."""
    path = tmp_path_factory.mktemp("index") / "index.txt"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XCNET_MODEL_PATH", str(MODELS))
        path.write_text(native.index_text(), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def stress(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stress program, linked to libxc 7 alone."""
    return _compile(tmp_path_factory.mktemp("stress"), libxc_of(7))


def _compile(folder: Path, libxc: Path, *flags: str) -> Path:
    rpaths = [f"-Wl,-rpath,{path}" for path in (folder, libxc.parent)]
    # Linked to libxc even where a libxcnet before it has all that is called.
    libraries = ["-Wl,--no-as-needed", str(libxc), "-lm", "-pthread"]
    arguments = [str(PROGRAMS / "stress.c"), *flags, *libraries, *rpaths]
    return compile_c(folder / "stress", *arguments)


def _run(command: list[str], index: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "XCNET_INDEX": str(index), **environment}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, env=variables, check=False
    )


def _preload() -> Mapping[str, str]:
    return {"LD_PRELOAD": str(built_library())}


def test_program_gets_what_python_gets(tmp_path: Path, index: Path) -> None:
    """Compiled with the header of libxc 5, whose structure it has on its stack."""
    libxc = libxc_of(5)
    if not Path("/usr/include/xc.h").is_file():
        need("libxc's header is not installed (apt install libxc-dev)")
    program = compile_c(tmp_path / "host", str(PROGRAMS / "host.c"), str(libxc))
    done = _run([str(program), "XC_MGGA_XC_NN_R2SCAN"], index, **_preload())
    assert (done.returncode, done.stderr) == (0, "")
    functional = xcnet.LibXCFunctional("mgga_xc_nn_r2scan", 2)
    name, cite, *points, listed = done.stdout.splitlines()
    assert name == f"name {functional.get_name()}"
    assert cite == f"cite {functional.get_references()[0]}"
    assert listed == "listed 1"
    printed = np.array([line.split()[1:] for line in points], dtype=float)
    expected = functional.compute(
        {
            "rho": np.array([[0.3, 0.2], [1e-3, 2e-3], [0.0, 0.4], [0.0, 0.0]]),
            "sigma": np.array([[0.1, 0.05, 0.2], [1e-7, 0, 1e-6], [0, 0, 0.3], [0, 0, 0]]),
            "tau": np.array([[0.3, 0.4], [1e-4, 2e-4], [0.0, 0.6], [0.0, 0.0]]),
        }
    )
    together = np.hstack([expected[label] for label in ("zk", "vrho", "vsigma", "vtau")])
    np.testing.assert_allclose(printed, together, rtol=1e-12)


def test_without_preload_the_name_is_unknown(stress: Path, index: Path) -> None:
    done = _run([str(stress), "threads", FUNCTIONALS[0]], index)
    # A second thread may say so too, before the first ends the program.
    assert (done.returncode, {*done.stderr.split("\n")} - {""}) == (
        1,
        {f"{FUNCTIONALS[0]} is unknown"},
    )


def test_threads_are_bitwise_serial(stress: Path, index: Path) -> None:
    done = _run([str(stress), "threads", *FUNCTIONALS], index, **_preload())
    assert (done.returncode, done.stdout, done.stderr) == (0, "good\n", "")


def test_ten_thousand_cycles_lose_no_memory(stress: Path, index: Path) -> None:
    done = _run([str(stress), "cycles", "gga_x_pbe_clone"], index, **_preload())
    assert (done.returncode, done.stdout, done.stderr) == (0, "good\n", "")


def test_child_of_a_threaded_process(stress: Path, index: Path) -> None:
    done = _run([str(stress), "fork", *FUNCTIONALS[:2]], index, **_preload())
    assert (done.returncode, done.stdout, done.stderr) == (0, "good\n", "")


@pytest.mark.parametrize(
    ("sanitizers", "work"),
    [
        ("address,undefined", ("cycles", "gga_x_pbe_clone")),
        ("address,undefined", ("threads", *FUNCTIONALS)),
        ("thread", ("threads", "gga_x_pbe_clone", "mgga_x_tpss_clone")),
    ],
)
def test_sanitizers(
    tmp_path_factory: pytest.TempPathFactory, index: Path, sanitizers: str, work: tuple[str, ...]
) -> None:
    """The library and the program together; ONNX Runtime and libxc stay as they are."""
    folder = tmp_path_factory.getbasetemp() / sanitizers.replace(",", "-")
    flags = [f"-fsanitize={sanitizers}", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]
    if not folder.is_dir():
        folder.mkdir()
        sources = sorted(map(str, SOURCES.glob("*.c")))
        shared = ["-shared", "-fPIC", "-fvisibility=hidden", "-Wl,-Bsymbolic"]
        compile_c(folder / "libxcnet.so", *shared, *flags, *sources, "-lm", "-ldl", "-pthread")
        # Linked before libxc: a sanitizer's runtime does not like to be preloaded.
        _compile(folder, libxc_of(7), *flags, str(folder / "libxcnet.so"))
    command = [str(folder / "stress"), *work]
    # It cannot see how ONNX Runtime, which is not compiled for it, orders its own accesses.
    suppressions = folder / "suppressions"
    suppressions.write_text("race:libonnxruntime\n", encoding="utf-8")
    if sanitizers == "thread":
        command = [*_fixed_addresses(), *command]
    done = _run(command, index, TSAN_OPTIONS=f"suppressions={suppressions}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "good\n", "")


def _fixed_addresses() -> tuple[str, ...]:
    """Older ThreadSanitizers do not start where the kernel spreads addresses widely."""
    prefix = ("setarch", "-R")
    if shutil.which(prefix[0]) is None:
        return ()
    possible = subprocess.run([*prefix, "true"], capture_output=True, check=False)
    return prefix if possible.returncode == 0 else ()


def test_two_libxcs_in_one_process(tmp_path: Path, index: Path) -> None:
    """Each object's calls reach its own libxc, although all go through the preloaded library."""
    clients = []
    for version in (5, 7):
        libxc = libxc_of(version)
        arguments = ["-shared", "-fPIC", str(PROGRAMS / "client.c"), str(libxc), "-Wl,-z,lazy"]
        rpath = f"-Wl,-rpath,{libxc.parent}"
        clients.append(str(compile_c(tmp_path / f"client{version}.so", *arguments, rpath)))
    code = f"""
import ctypes
for path in {clients!r} * 2:
    client = ctypes.CDLL(path)
    client.client_xc_version_string.restype = ctypes.c_char_p
    client.client_xc_func_alloc.restype = ctypes.c_void_p
    handle = ctypes.c_void_p(client.client_xc_func_alloc())
    for name in b"mgga_xc_nn_r2scan", b"gga_x_pbe":
        number = client.client_xc_functional_get_number(name)
        print(number, client.client_xc_func_init(handle, number, 1))
        client.client_xc_func_end(handle)
    print(client.client_xc_version_string().decode())
"""
    done = _run([sys.executable, "-c", code], index, **_preload())
    assert done.stderr == ""
    rows = done.stdout.split("\n")
    assert rows[0:2] == rows[3:5] == ["100201 0", "101 0"]
    assert (rows[2][0], rows[5][0]) == ("5", "7")
    assert rows[:6] == rows[6:12]


@pytest.mark.parametrize("version", [5, 7])
def test_libxc_that_the_program_opens_itself(index: Path, version: int) -> None:
    """Its functions call each other through imports that the preloaded library answers."""
    code = """
from xcnet import libxc
library = libxc.library()
print(len(library.names), max(library.names.values()), library.version_string)
print(libxc.Functional("hyb_gga_xc_b3lyp", 1).aux_funcs())
"""
    path = {"XCNET_LIBXC": str(libxc_of(version))}
    plain, preloaded = (
        _run([sys.executable, "-c", code], index, **path, **more) for more in ({}, _preload())
    )
    assert (plain.returncode, plain.stderr) == (0, "")
    assert plain.stdout == preloaded.stdout
    assert (preloaded.returncode, preloaded.stderr) == (0, "")


@pytest.mark.parametrize("way", ["library", "package"])
def test_onnx_runtime_sends_nothing_home(index: Path, tmp_path: Path, way: str) -> None:
    """Nor does it start a thread for it, or write to the user's folders."""
    code = {
        "library": f"""
import ctypes, os
library = ctypes.CDLL({str(built_library())!r})
assert library.xc_func_init(ctypes.create_string_buffer(4096), 100201, 1) == 0
""",
        "package": """
import os, xcnet
xcnet.functional("NN-r2SCAN").compute([0.1], [0.0], [0.1])
""",
    }[way]
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    host = {"XCNET_LIBXC": str(libxc_of(7)), "OPENBLAS_NUM_THREADS": "1"}
    host["XCNET_ENGINE"] = "onnxruntime"  # tapes are kept in the user's cache
    code += "print(len(os.listdir('/proc/self/task')))"
    done = _run([sys.executable, "-c", code], index, **home, **host)
    assert (done.stdout, done.stderr) == ("1\n", "")
    assert list(tmp_path.rglob("*")) == []
