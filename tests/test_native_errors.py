"""What goes wrong in libxcnet: NaN, one sticky message that says what and where, no crash."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import xcnet
from tests.densities import closed_shell, random_densities
from tests.folders import MODELS, TEMPLATE, copy_folder, read_record, up_to
from tests.native_client import PROGRAMS, Client, built_library, compile_c, libxc_of
from xcnet import native, registry, shared_library
from xcnet.errors import NativeError
from xcnet.spec import load_spec

NAME = "gga_x_copy"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A program linked to libxc 7 whose imports lead to xcnet."""
    built_library()
    made = Client(tmp_path_factory.mktemp("errors"), libxc_of(7))
    yield made
    native.unpatch(made.path.name)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A functional's folder that the test may damage after the index is made."""
    models = tmp_path / "models"
    models.mkdir()
    monkeypatch.setenv("XCNET_MODEL_PATH", str(models))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return copy_folder(models, NAME, **up_to(read_record(TEMPLATE), "fxc"))


@pytest.fixture
def client(compiled: Client, folder: Path) -> Iterator[Client]:
    """The program; every test takes the errors that it makes."""
    native.take_error()
    native.load()
    spec = registry.find(NAME).spec
    assert spec is not None
    native.prepare(spec)
    yield compiled
    assert native.take_error() == ""


def refused(client: Client, name: str | int, spin: int = 2) -> str:
    """Message of a functional whose initialisation fails, but which harms nobody."""
    given = random_densities(5)
    with client.open(name, spin) as handle:
        assert handle.refused
        message = native.take_error()
        result = handle.compute(given if spin == 2 else closed_shell(given)[0])
    assert all(np.isnan(array).all() for label, array in result.items() if label != "vlapl")
    full_name = xcnet.LibXCFunctional(name, 2)._xc_func_name
    assert native.take_error() == f"{full_name} could not be initialised: its results are NaN"
    return message


# -- models ------------------------------------------------------------------------------------


def _remove(path: Path) -> None:
    path.unlink()


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _alter(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_remove, "cannot be opened: No such file"),
        (_truncate, "is altered: its SHA-256 is"),
        (_alter, "is altered: its SHA-256 is"),
        (_empty, "is altered: its SHA-256 is e3b0c44298fc1c149afbf4c8996fb92427ae41e4"),
        (_folder, "is not a regular file"),
        (_pipe, "is not a regular file"),
    ],
)
@pytest.mark.parametrize("graph", ["exc", "vxc", "fxc", "exc_closed_shell"])
def test_damaged_model(
    client: Client, folder: Path, damage: Callable[[Path], None], words: str, graph: str
) -> None:
    path = folder / f"{graph}.onnx"
    damage(path)
    message = refused(client, NAME, spin=1 if "closed_shell" in graph else 2)
    assert message.startswith(NAME)
    assert str(path) in message
    assert words in message


def test_file_that_is_no_graph(client: Client, tmp_path: Path) -> None:
    """The hash is right, so ONNX Runtime refuses it."""
    import hashlib

    path = tmp_path / "text.onnx"
    path.write_bytes(b"no graph")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    graph = "graph\texc\t"
    _load(tmp_path, lambda line: f"{graph}{digest}\t{path}" if line.startswith(graph) else line)
    message = refused(client, NAME)
    assert str(path) in message
    assert "cannot be loaded" in message


def test_graph_of_another_functional(client: Client, tmp_path: Path) -> None:
    """Inputs and outputs that the record does not promise."""
    from xcnet import spec

    lda = spec.load_spec(MODELS / "lda_x_slater_clone")
    wrong = {o: f"graph\t{o}\t{lda.files[f]}\t{lda.folder / f}" for o, f in lda.derivatives.items()}

    def change(line: str) -> str:
        return wrong[line.split("\t")[1]] if line.startswith("graph\t") else line

    _load(tmp_path, change)
    with client.open(NAME, 2) as handle:
        result = handle.compute(random_densities(10))
    message = native.take_error()
    assert message.startswith(f"{NAME}: ONNX Runtime failed")
    assert all(np.isnan(array).all() for array in result.values())


# -- the index ---------------------------------------------------------------------------------


def _load(folder: Path, change: Callable[[str], str]) -> int:
    """Load the index with each line of the test's functional changed."""
    header, *sections = native.index_text().split("\nfunctional\t")
    section = next(text for text in sections if text.startswith(f"{NAME}\n"))
    first, *lines = f"functional\t{section}".splitlines()
    # Graphs may be listed in the index itself.
    spec = registry.find(NAME).spec
    assert spec is not None
    listed = native.prepare(spec).read_text(encoding="utf-8").splitlines()[1:]
    lines = [line for line in lines if not line.startswith("folder\t")] + listed
    path = folder / "index.txt"
    path.write_text("\n".join([header, first, *map(change, lines)]) + "\n", encoding="utf-8")
    count: int = shared_library.load().xcnet_load_index(os.fsencode(path))
    return count


@pytest.mark.parametrize(
    ("key", "replacement", "words"),
    [
        ("number", "number\t0", "not a functional's number"),
        ("number", "number\tten", "not a functional's number"),
        ("number", "number\t99999999999", "not a functional's number"),
        ("number", "", "lacks number"),
        ("number", "number\t1\nnumber\t1", "has already"),
        ("number", "number\t1\t2", "wrong number of values"),
        ("kind", "kind\t9", "kinds"),
        ("family", "family\t8", "families"),
        ("family", "family\t4\ninputs\trho", "do not fit its family|has already"),
        ("inputs", "inputs\trho", "do not fit its family"),
        ("inputs", "inputs\trho\tspeed", "an input that libxc does not have"),
        ("flags", "flags\t-1", "flags"),
        ("description", "description\tbad \\x", "backslash"),
        ("description", "description\tends in \\", "backslash"),
        ("thresholds", "thresholds\t0\t0\t0\t0", "density threshold"),
        ("thresholds", "thresholds\tnan\t0\t0\t0", "not a number"),
        ("thresholds", "thresholds\t1e-9\t0\t0", "wrong number of values"),
        ("exchange", "exchange\t1\tx\t0\t0", "exchange parameter"),
        ("fhc", "fhc\t2", "fhc"),
        ("fhc", "fhcc\t1", "unknown key"),
        ("reference", "\n".join(["reference\ta\tb\tc\td"] * 6), "more references"),
        ("graph\texc", "graph\tvxc\t" + "0" * 64 + "\t/x", "in the order"),
        ("graph\texc", "graph\texc\tabc\t/x", "SHA-256"),
        ("graph\texc", "graph\texc\t" + "0" * 64 + "\tx", "absolute"),
        ("closed_shell\texc", "", "in the order"),
        ("closed_shell\tfxc", "", "not all graphs for closed shells"),
    ],
)
def test_bad_index(client: Client, tmp_path: Path, key: str, replacement: str, words: str) -> None:
    import re

    def change(line: str) -> str:
        return replacement if line.startswith(key + "\t") else line

    assert _load(tmp_path, change) == -1
    message = native.take_error()
    assert message.startswith(f"index {tmp_path / 'index.txt'}, line ")
    assert re.search(words, message), message
    with client.open(NAME, 1):  # the former index stays in force
        pass


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be opened"),
        (b"", "line 1: not an index"),
        (b"xcnet-index\t2\n", "line 1: not an index"),
        (b"xcnet-index\t1\nspeed\t1\n", "line 2: expected onnxruntime"),
        (b"xcnet-index\t1\nonnxruntime\0\n", "not a text file"),
        (b"xcnet-index\t1\nfunctional\tx\nfolder\t/a\t/b\n", "no Python to verify it"),
        (b"xcnet-index\t1\nfunctional\ttwo words\n", "must be one word"),
    ],
)
def test_bad_file(client: Client, tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "bad.txt"
    if content is not None:
        path.write_bytes(content)
    assert shared_library.load().xcnet_load_index(os.fsencode(path)) == -1
    message = native.take_error()
    assert str(path) in message
    assert words in message


def test_two_functionals_of_one_number(client: Client, tmp_path: Path) -> None:
    text = native.index_text()
    path = tmp_path / "twice.txt"
    path.write_text(text + text[text.index("functional\t") :], encoding="utf-8")
    assert shared_library.load().xcnet_load_index(os.fsencode(path)) == -1
    assert "two functionals" in native.take_error()


def test_functionals_in_use_stay(client: Client, tmp_path: Path) -> None:
    """A new index joins the one whose functionals are in use, and replaces it otherwise."""
    given = random_densities(10)
    path = tmp_path / "none.txt"
    path.write_text("xcnet-index\t1\n", encoding="utf-8")
    with client.open(NAME, 2) as handle:
        before = handle.compute(given)
        assert shared_library.load().xcnet_load_index(os.fsencode(path)) == 0
        assert (handle.compute(given)["zk"] == before["zk"]).all()
        assert client.call("xc_functional_get_number", NAME.encode()) == 199001
    assert shared_library.load().xcnet_load_index(os.fsencode(path)) == 0
    assert client.call("xc_functional_get_number", NAME.encode()) == -1


# -- requests ----------------------------------------------------------------------------------


def test_nonlocal_is_refused(
    client: Client, nagai2020_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XCNET_MODEL_PATH", str(nagai2020_models))
    native.load()
    number = registry.find("NN-NRA-Nagai2020").id
    message = refused(client, number)
    assert "is nonlocal" in message
    # Programs do not find what they cannot use.
    assert client.call("xc_functional_get_number", b"NN-NRA-Nagai2020") == -1
    assert native.take_error() == message
    assert client.call("xc_functional_get_name", number) is None
    assert native.take_error() == message
    assert client.call("xc_family_from_id", number, None, None) == -1
    assert native.take_error() == message
    assert 'PySCF (mf.xc = "NN-NRA-Nagai2020"), Psi4 (energy("nn-nra-nagai2020"))' in message
    # Programs initialise what is listed.
    real = ctypes.CDLL(str(client.libxc)).xc_number_of_functionals()
    local = sum(not spec.is_nonlocal for spec in native.specs())
    count = client.call("xc_number_of_functionals")
    assert count == real + local
    numbers = (ctypes.c_int * count)()
    client.call("xc_available_functional_numbers", numbers)
    assert sorted(numbers) == list(numbers)


def test_density_that_is_too_small_needs_no_gradient(client: Client) -> None:
    """Programs that divide by the density have NaN where there is none."""
    given = random_densities(20)
    with client.open(NAME, 2) as handle:
        given["rho"][3], given["sigma"][3] = 0.0, np.nan
        result = handle.compute(given)
    assert all((array[3] == 0.0).all() for array in result.values())


@pytest.mark.parametrize("spin", [0, 3])
def test_bad_spin(client: Client, spin: int) -> None:
    with pytest.raises(ValueError, match=NAME):
        client.open(NAME, spin)
    assert f"must be 1 or 2, not {spin}" in native.take_error()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("label", ["rho", "sigma"])
def test_nan(client: Client, label: str, bad: float) -> None:
    """NaN there, all other points as if nothing had happened."""
    given = random_densities(20)
    with client.open(NAME, 2) as handle:
        good = handle.compute(given)
        given[label][3, 1] = bad
        for _ in range(2):
            result = handle.compute(given)
            assert "NaN or infinite at point 3" in native.take_error()
    for name, array in result.items():
        assert np.isnan(array[3]).all()
        assert (np.delete(array, 3, 0) == np.delete(good[name], 3, 0)).all()


def test_value_that_is_not_finite(client: Client) -> None:
    given = {"rho": np.full((3, 2), 0.1), "sigma": np.full((3, 3), 0.01)}
    given["rho"][1] = 1e300
    with client.open(NAME, 2) as handle:
        result = handle.compute(given)
    assert "not finite at point 1" in native.take_error()
    assert all(np.isnan(array[1]).all() for array in result.values())
    assert (result["zk"][[0, 2]] != 0.0).all()


def test_derivative_that_is_not_there(client: Client) -> None:
    with client.open(NAME, 2) as handle:
        result = handle.compute(random_densities(5), "_kxc")
    assert native.take_error() == f"{NAME} has no kxc; it has derivatives up to fxc"
    assert all(np.isnan(array).all() for array in result.values())


def test_missing_input(client: Client) -> None:
    with client.open(NAME, 2) as handle:
        result = handle.compute({"rho": np.ones((5, 2))})
    assert native.take_error() == f"{NAME}: the caller gives no sigma"
    assert all(np.isnan(array).all() for array in result.values())


def test_no_external_parameters(client: Client) -> None:
    with client.open(NAME, 1) as handle:
        client.call("xc_func_set_ext_params_name", handle.pointer, b"_beta", 0)
    assert native.take_error() == f"{NAME} has no external parameters"


def test_first_error_stays_and_is_printed_once(
    client: Client, capfd: pytest.CaptureFixture[str]
) -> None:
    with client.open(NAME, 2) as handle:
        handle.compute(random_densities(5), "_kxc")
        handle.compute({"rho": np.ones((5, 2))})
    message = f"{NAME} has no kxc; it has derivatives up to fxc"
    assert capfd.readouterr().err == f"xcnet: {message}\n"
    assert native.take_error() == message


def test_stale_end_is_not_evaluated_again(client: Client) -> None:
    """Psi4's arrays end with what the block before left in them."""
    first, second = random_densities(256, seed=1), random_densities(256, seed=2)
    mixed = {name: np.vstack([second[name][:100], first[name][100:]]) for name in first}
    with client.open(NAME, 2) as handle, client.open(NAME, 2) as fresh:
        handle.compute(first)
        before = native.evaluations()
        results = handle.compute(mixed)
        assert native.evaluations() - before == 100
        expected = fresh.compute(mixed)
        assert all((results[label] == expected[label]).all() for label in results)
        before = native.evaluations()
        handle.compute(mixed, "_vxc")  # part of what is known
        assert native.evaluations() == before
        handle.compute(first, "_vxc")  # of which nothing but the potential is known
        results = handle.compute(first)
        expected = fresh.compute(first)
        assert all((results[label] == expected[label]).all() for label in results)
        handle.set("dens", 1e-2)
        fresh.set("dens", 1e-2)
        assert (handle.compute(mixed)["zk"] == fresh.compute(mixed)["zk"]).all()


# -- hosts -------------------------------------------------------------------------------------


def test_patching(compiled: Client) -> None:
    name = compiled.path.name
    slots = compiled.slots
    assert slots > 60
    assert native.patch(name) == slots
    native.unpatch(name)
    assert compiled.call("xc_functional_get_number", b"NN-r2SCAN") == -1
    with pytest.raises(NativeError, match="is not patched"):
        native.unpatch(name)
    assert native.patch(name) == slots
    with pytest.raises(NativeError, match="no loaded object has nothing-like-it in its path"):
        native.patch("nothing-like-it")
    with pytest.raises(NativeError, match="more than one loaded object has lib in its path"):
        native.patch("lib")
    with pytest.raises(NativeError, match="imports nothing of libxc"):
        native.patch("libm.so")


@pytest.mark.parametrize(
    ("flag", "words"),
    [("-DMAJOR=8", "a version from 5 to 7"), ("-DMAJOR=6", "the info at the start")],
)
def test_unknown_libxc_is_refused(tmp_path: Path, flag: str, words: str) -> None:
    built_library()
    fake = tmp_path / "libxc.so"
    compile_c(fake, "-shared", "-fPIC", flag, str(PROGRAMS / "fake_libxc.c"))
    with pytest.raises(NativeError, match=words) as error:
        Client(tmp_path, fake)
    assert str(fake) in str(error.value)


def _python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, **environment},
        check=True,
    )


def test_no_libxc(tmp_path: Path) -> None:
    code = f"""
import ctypes
library = ctypes.CDLL({str(built_library())!r})
print(library.xc_func_init(ctypes.create_string_buffer(4096), 101, 1))
print(library.xc_functional_get_number(b"gga_x_pbe"), library.xc_number_of_functionals())
"""
    done = _python(code, XCNET_INDEX="", XCNET_LIBXC="")
    assert done.stdout == "-1\n-1 0\n"
    assert done.stderr.startswith("xcnet: libxc not found")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("path", ["/no/such/libonnxruntime.so", None])
@pytest.mark.parametrize("engine", ["tape", "onnxruntime"])
def test_no_onnx_runtime(folder: Path, tmp_path: Path, path: str | None, engine: str) -> None:
    """Not there, or something else: tapes do without, what it should evaluate is refused."""
    path = path or str(libxc_of(7))
    index = tmp_path / "index.txt"
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XCNET_ENGINE", engine)
        native.prepare(load_spec(folder))
        index.write_text(native.index_text(), encoding="utf-8")
    code = f"""
import ctypes
library = ctypes.CDLL({str(built_library())!r})
print(library.xc_func_init(ctypes.create_string_buffer(4096), 199001, 1))
"""
    environment = {"XCNET_INDEX": str(index), "XCNET_LIBXC": str(libxc_of(7))}
    done = _python(code, XCNET_ONNXRUNTIME=path, **environment)
    if engine == "tape":
        assert (done.stdout, done.stderr) == ("0\n", "")
        return
    assert done.stdout == "-1\n"
    assert "ONNX Runtime" in done.stderr
    assert path in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_damaged_tape(folder: Path, tmp_path: Path) -> None:
    """It is refused; ONNX Runtime gives the same numbers, and a line says so."""
    listed = native.prepare(load_spec(folder)).read_text().splitlines()
    for row in listed:
        for path in row.split("\t")[5:]:
            damaged = bytearray(Path(path).read_bytes())
            damaged[len(damaged) // 2] ^= 1
            Path(path).write_bytes(damaged)
    index = tmp_path / "index.txt"
    index.write_text(native.index_text(), encoding="utf-8")
    code = f"""
import ctypes
library = ctypes.CDLL({str(built_library())!r})
print(library.xc_func_init(ctypes.create_string_buffer(4096), 199001, 1))
"""
    environment = {"XCNET_INDEX": str(index), "XCNET_LIBXC": str(libxc_of(7))}
    done = _python(code, **environment)
    assert done.stdout == "0\n"
    assert "is refused (it is not the one that the index names)" in done.stderr
