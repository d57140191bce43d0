"""The index that the C library reads, and the library as Python uses it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import platformdirs
import pytest

from tests.folders import copy_folder
from xcnet import graphs, native, registry, shared_library, variables
from xcnet.errors import EngineError, MissingPackageError, NativeError
from xcnet.spec import load_spec


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Cache folder of this test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return platformdirs.user_cache_path("xcnet", appauthor=False)


def parse(text: str) -> tuple[dict[str, str], dict[str, dict[str, list[list[str]]]]]:
    """Head of an index, and the rows of each functional by key."""
    head: dict[str, str] = {}
    functionals: dict[str, dict[str, list[list[str]]]] = {}
    current: dict[str, list[list[str]]] | None = None
    for line in text.splitlines():
        key, *values = (field.encode().decode("unicode_escape") for field in line.split("\t"))
        if key == "functional":
            current = functionals[values[0]] = defaultdict(list)
        elif current is None:
            head[key] = values[0]
        else:
            current[key].append(values)
    return head, functionals


def test_index_has_every_neural_functional(published: Path) -> None:
    head, functionals = parse(native.index_text())
    assert head["xcnet-index"] == "1"
    assert head["onnxruntime"] == str(native.runtime_path())
    neural = {e.name: e for e in registry.entries() if e.spec is not None}
    assert functionals.keys() == neural.keys()
    for name, entry in neural.items():
        spec, facts = entry.spec, functionals[name]
        assert spec is not None
        assert facts["number"] == [[str(spec.id)]]
        assert facts["family"] == [[str(variables.FAMILIES[spec.family])]]
        assert [alias for (alias,) in facts["alias"]] == list(spec.aliases)
        assert [row[2] for row in facts["reference"]] == [
            c.bibtex for c in spec.citations[: native.MAX_REFERENCES]
        ]
        floors = spec.thresholds
        given = [float(value) for value in facts["thresholds"][0]]
        assert given == [floors.density, floors.zeta, floors.sigma, floors.tau]
        assert facts["folder"] == [[str(spec.folder.resolve()), str(native.graphs_file(spec))]]
        assert ("nonlocal" in facts) == spec.is_nonlocal
    assert "PySCF" in functionals["mgga_xc_nn_nra_nagai2020"]["nonlocal"][0][0]


def test_graphs_are_listed_once_they_are_verified(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = load_spec(copy_folder(tmp_path))
    assert not native.graphs_file(spec).exists()
    first, *rows = native.prepare(spec).read_text().splitlines()
    assert first == "xcnet-graphs\t1"
    listed = {tuple(row.split("\t")[:4]) for row in rows}
    assert listed == {
        (key, order, spec.files[name], str(spec.folder.resolve() / name))
        for key, names in (("graph", spec.derivatives), ("closed_shell", spec.closed_shell))
        for order, name in names.items()
    }
    monkeypatch.setattr(graphs, "verify", None)
    assert native.prepare(spec) == native.graphs_file(spec)


def test_text_of_any_kind_survives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    description = "tab\there, line\nbreak, back\\slash, \\t, \\n"
    copy_folder(tmp_path, description=description)
    monkeypatch.setenv("XCNET_MODEL_PATH", str(tmp_path))
    _, functionals = parse(native.index_text())
    assert functionals["gga_x_copy"]["description"] == [[description]]
    assert native.load() == len(functionals)


def test_no_record_makes_the_index_unreadable(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a record and a path may hold, libxc's structures and C's strings may not."""
    folder = tmp_path / os.fsdecode(b"not utf-8 \xff")
    folder.mkdir()
    citation = {"key": "me", "text": "Me, 2026", "doi": "", "bibtex": "@misc{me}"}
    copy_folder(folder, description="zero\0byte", citations=[citation] * 7)
    monkeypatch.setenv("XCNET_MODEL_PATH", str(folder))
    assert registry.find("gga_x_copy").spec in native.specs()
    assert native.load() == len(native.specs())


def test_file_is_named_after_its_content(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = native.write_index()
    written = first.stat().st_mtime_ns
    assert native.write_index() == first
    assert first.stat().st_mtime_ns == written
    first.write_text("damaged")
    assert native.write_index() == first
    assert first.read_text() == native.index_text()
    copy_folder(tmp_path / "more")
    monkeypatch.setenv("XCNET_MODEL_PATH", str(tmp_path / "more"))
    second = native.write_index()
    assert {path.name for path in cache.glob("*.txt")} == {first.name, second.name}
    assert first.read_text() != second.read_text()


def test_processes_may_write_at_once(cache: Path) -> None:
    code = "from xcnet import native; print(native.write_index())"
    writers = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    paths = {writer.communicate(timeout=300)[0].strip() for writer in writers}
    assert [w.returncode for w in writers] == [0] * 4
    (path,) = map(Path, paths)
    assert list(cache.iterdir()) == [path]
    assert path.read_text() == native.index_text()


def test_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(NativeError, match=r"cannot be written: Not a directory.*XDG_CACHE_HOME"):
        native.write_index()


def test_load_again_after_installing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = native.load()
    copy_folder(tmp_path)
    monkeypatch.setenv("XCNET_MODEL_PATH", str(tmp_path))
    assert native.load() == before + 1
    assert native.evaluations() >= 0
    native.check()


def test_patching_what_is_not_there() -> None:
    native.load()
    with pytest.raises(NativeError, match="no-such-object"):
        native.patch("no-such-object")
    with pytest.raises(NativeError, match="no-such-object"):
        native.unpatch("no-such-object")
    assert native.take_error() == ""


def test_sticky_error_is_raised_once(published: Path) -> None:
    """The library refuses a nonlocal functional; what it said reaches Python."""
    import ctypes

    native.load()
    library = ctypes.CDLL(str(shared_library.path()))
    library.xc_func_alloc.restype = ctypes.c_void_p
    library.xc_func_init.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
    library.xc_func_free.argtypes = [ctypes.c_void_p]
    number = registry.find("NN-NRA-Nagai2020").id
    handle = library.xc_func_alloc()
    assert library.xc_func_init(handle, number, variables.POLARIZED) != 0
    library.xc_func_free(handle)
    with pytest.raises(EngineError, match="mgga_xc_nn_nra_nagai2020 is nonlocal"):
        native.check()
    native.check()


def test_missing_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("XCNET_LIBRARY", "/nonexistent/libxcnet.so")
        with pytest.raises(NativeError, match="XCNET_LIBRARY=/nonexistent/libxcnet"):
            shared_library.path()
    with monkeypatch.context() as patch:
        patch.setenv("XCNET_ONNXRUNTIME", "/nonexistent/libonnxruntime.so")
        with pytest.raises(NativeError, match="XCNET_ONNXRUNTIME=/nonexistent"):
            native.write_index()
    with monkeypatch.context() as patch:
        patch.setattr("xcnet.__path__", [str(tmp_path)])
        with pytest.raises(NativeError, match=r"libxcnet\.so is missing"):
            shared_library.path()
    (tmp_path / "onnxruntime").mkdir()
    (tmp_path / "onnxruntime" / "__init__.py").write_text("")
    code = "from xcnet import native; native.write_index()"
    hidden = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {code}"
    done = subprocess.run(
        [sys.executable, "-c", hidden], capture_output=True, text=True, check=False, timeout=300
    )
    assert "holds no libonnxruntime.so" in done.stderr


def test_no_onnxruntime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match="pip install onnxruntime"):
        native.runtime_path()


def test_library_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "libxcnet.so"
    path.write_text("not a library")
    code = (
        f"import os; os.environ['XCNET_LIBRARY'] = {str(path)!r};"
        "from xcnet import native; native.load()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300
    )
    assert f"NativeError: {path} is not a usable library" in done.stderr
