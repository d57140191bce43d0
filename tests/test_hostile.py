"""Hostile folders are refused before ONNX Runtime sees them, and in little memory."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.folders import copy_folder
from tests.hostile import CASES, make
from xcnet import registry
from xcnet.errors import ModelError, RegistryError, XCNetError
from xcnet.functionals import LibXCFunctional
from xcnet.spec import RECORD, load_spec

MEGABYTES = 200
WAYS = ("check", "install")
#: Loads or installs each folder in a process of its own, with an address space of 200 MB more than
#: it starts with, and no file larger than this; prints what it raised, the growth of its
#: memory, and what it left in the user's folder.
LOADER = """
import json, os, resource, sys
from xcnet import registry
from xcnet.check import integrity
from xcnet.install import install
from xcnet.spec import load_spec
import fastjsonschema, hashlib, zipfile

action = {"check": lambda folder: integrity.inspect(load_spec(folder)), "install": install}
user = registry.user_folder()

def memory(field):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024

for name, folder in json.load(sys.stdin).items():
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        limit = memory("VmSize:") + (200 << 20)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        resource.setrlimit(resource.RLIMIT_FSIZE, (200 << 20, 200 << 20))
        resource.setrlimit(resource.RLIMIT_CPU, (60, 60))  # one that never ends dies
        before = memory("VmRSS:")
        try:
            action[sys.argv[1]](folder)
            outcome = "accepted"
        except BaseException as error:
            outcome = f"{type(error).__name__}: {error}"
        row = {
            "name": name,
            "outcome": outcome,
            "megabytes": (memory("VmHWM:") - before) / (1 << 20),
            "runtime": "onnxruntime" in sys.modules,
            "left": sorted(map(str, user.rglob("*"))) if user.exists() else [],
        }
        os.write(writer, (json.dumps(row) + "\\n").encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as lines:
        print(lines.read() or json.dumps({"name": name, "outcome": "died"}), end="", flush=True)
    os.waitpid(child, 0)
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    parent = tmp_path_factory.mktemp("hostile")
    return {name: make(parent, name) for name in CASES}


def _outcomes(way: str, folders: dict[str, Path], home: Path) -> dict[str, dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-c", LOADER, way],
        input=json.dumps({name: str(folder) for name, folder in folders.items()}),
        env={**os.environ, "XDG_DATA_HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    return {row["name"]: row for row in map(json.loads, done.stdout.splitlines())}


@pytest.fixture(scope="module")
def outcomes(
    corpus: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, dict[str, Any]]]:
    """What came of loading and of installing each folder."""
    return {way: _outcomes(way, corpus, tmp_path_factory.mktemp(way)) for way in WAYS}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", CASES)
def test_refused(
    name: str,
    way: str,
    corpus: dict[str, Path],
    outcomes: dict[str, dict[str, dict[str, Any]]],
) -> None:
    row = outcomes[way][name]
    assert row["outcome"].startswith("ModelError: "), row
    assert re.search(CASES[name].says, row["outcome"]), row
    assert str(corpus[name]) in row["outcome"]  # which file it was
    assert len(row["outcome"]) < 2000
    assert row["megabytes"] < MEGABYTES
    assert not row["runtime"]
    assert row["left"] == []


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.signed])
def test_refused_when_evaluated(name: str, corpus: dict[str, Path]) -> None:
    """The way of every user: `compute`, without a check before."""
    if "reference" in CASES[name].says:
        return  # the vector is no part of evaluation
    spin = 1 if "closed_shell" in CASES[name].says else 2
    points = {"rho": np.full(spin, 0.3), "sigma": np.full(2 * spin - 1, 0.1)}
    with pytest.raises(ModelError, match="refused"):
        LibXCFunctional(load_spec(corpus[name]), spin).compute(points)


def test_a_sound_folder_is_accepted(tmp_path: Path) -> None:
    row = _outcomes("check", {"sound": copy_folder(tmp_path)}, tmp_path)["sound"]
    assert row["outcome"] == "accepted"
    assert not row["runtime"]


def test_double_ids_and_aliases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XCNET_MODEL_PATH", str(tmp_path))
    copy_folder(tmp_path, "gga_x_one", id=180900, aliases=["Same"])
    claims: dict[str, dict[str, Any]] = {
        "gga_x_two": {"id": 180900},
        "gga_x_three": {"id": 180901, "aliases": ["same"]},
    }
    for name, fields in claims.items():
        folder = copy_folder(tmp_path, name, **fields)
        registry.refresh()
        with pytest.raises(RegistryError, match="two functionals claim") as caught:
            registry.find("gga_x_one")
        assert str(folder) in str(caught.value)
        (folder / RECORD).unlink()
        folder.rename(tmp_path / f".{name}")
    registry.refresh()


# -- bytes changed anywhere: refused, or the same functional ---------------------------------------


def _mutations(data: bytes) -> Iterator[tuple[str, bytes]]:
    for at in range(0, len(data), 61):
        for bit in (0, 3, 7):
            yield (
                f"bit {bit} of byte {at}",
                data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :],
            )
    for length in range(0, len(data), 97):
        yield f"{length} bytes", data[:length]


def test_any_changed_byte_raises_nothing_else(tmp_path: Path) -> None:
    """Signed mutations: what the reader does not refuse is a graph of the same form."""
    from xcnet import graphs
    from xcnet.graphs import model

    folder = copy_folder(tmp_path)
    data = (folder / "exc.onnx").read_bytes()
    accepted = 0
    for what, changed in _mutations(data):
        try:
            graph = model.read(changed)
            graphs.walk(graph)
            accepted += 1
        except ValueError:
            continue
        except Exception as error:
            raise AssertionError(what) from error
    assert accepted  # a digit of a constant is no offence


def test_findings_of_the_fuzzer() -> None:
    """Inputs that made the reader fail in another way than by refusing, or were meant to."""
    from tests.fuzz_loader import FINDINGS, load

    for path in sorted(FINDINGS.iterdir()):
        load(path.read_bytes())


# -- the C library ---------------------------------------------------------------------------------


def test_the_c_library_refuses_them_too(
    corpus: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.native_client import Client, built_library, libxc_of
    from xcnet import native

    built_library()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    parent = next(iter(corpus.values())).parent
    monkeypatch.setenv("XCNET_MODEL_PATH", str(parent))
    registry.refresh()
    client = Client(tmp_path, libxc_of(7))
    try:
        native.take_error()
        assert native.load() > 20  # those whose records can be read at all
        for name, folder in corpus.items():
            try:
                spec = load_spec(folder)
            except XCNetError:
                continue
            if name in ("unsigned_file", "many_large_files") or "reference" in CASES[name].says:
                continue
            with client.open(spec.name, 2) as handle:
                assert handle.refused, name
            message = native.take_error()
            assert str(folder) in message, name
            assert re.search(CASES[name].says, message), name
    finally:
        native.unpatch(client.path.name)
        registry.refresh()
