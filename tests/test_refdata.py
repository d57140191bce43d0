"""Getting a set's data: conversion of the public format, download, the user's own file."""

from __future__ import annotations

import functools
import http.server
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.training_sets import added
from xcnet import cli
from xcnet.errors import InputError, InstallError
from xcnet.systems import kept_data, public_data, refdata, training_sets
from xcnet.systems.refdata import Source

SOURCE = Source(commit="abc", din="10_din/mini.din", systems="20_mini/m_")
DIN = """# made up
#@ fieldasrxn 1
-1
m_hf
1
m_h
1
m_f
0
141.5

-1
m_n2-triplet
2
m_n
0
-3.25
"""
FILES = {
    SOURCE.din: DIN,
    "20_mini/m_hf.xyz": "2\n0 1\nH 0.0 0.0 0.1 \nF 0.0 0.0 1.0\n",
    "20_mini/m_n2-triplet.xyz": "2\n0 3\nN 0 0 -0.65\nN 0 0 6.5e-1\n",
}
RECORDS = [
    {
        "name": "hf",
        "tae_kcal_per_mol": 141.5,
        "charge": 0,
        "multiplicity": 1,
        "symbols": ["H", "F"],
        "positions_angstrom": [[0.0, 0.0, 0.1], [0.0, 0.0, 1.0]],
    },
    {
        "name": "n2-triplet",
        "tae_kcal_per_mol": -3.25,
        "charge": 0,
        "multiplicity": 3,
        "symbols": ["N", "N"],
        "positions_angstrom": [[0.0, 0.0, -0.65], [0.0, 0.0, 0.65]],
    },
]
NAMES = [str(record["name"]) for record in RECORDS]
SET = f"""
title = "a test"
doi = ""
format = "refdata"
sha256 = "{training_sets.digest(RECORDS)}"
commit = "abc"
din = "{SOURCE.din}"
xyz = "{SOURCE.systems}"
[splits]
train = 1
[molecules]
hf = ""
n2-triplet = ""
"""


def convert(names: list[str], **changed: str) -> object:
    files = FILES | {
        {"din": SOURCE.din, "hf": "20_mini/m_hf.xyz"}[k]: v for k, v in changed.items()
    }
    return refdata.convert(SOURCE, names, lambda path: files[path].encode())


def test_conversion() -> None:
    assert convert(NAMES) == RECORDS
    assert convert(NAMES[1:]) == RECORDS[1:]


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("hf", "2\n0 1", "two\n0 1", "m_hf.xyz is not such an xyz file.*'two'"),
        ("hf", "0 1\n", "a comment\n", "m_hf.xyz is not"),
        ("hf", "H 0.0 0.0 0.1", "H 0.0 0.0", "three coordinates"),
        ("hf", "H 0.0", "Q 0.0", "unknown element"),
        ("hf", "2\n0 1", "3\n0 1", "3 atoms"),
        ("hf", "H 0.0", "O 0.0", "differ in the atoms of hf"),
        ("hf", "H 0.0", "\N{LATIN CAPITAL LETTER H WITH STROKE} 0.0", "not plain text"),
        ("din", "m_hf", "m_hcl", "no atomization energy of hf"),
        ("din", "1\nm_h\n", "one\nm_h\n", "an energy is missing after"),
        ("din", "0\n141.5", "0\n", "an energy is missing after|no atomization energy"),
        ("din", "-1\nm_hf", "2\nm_hf", "an energy is missing after"),
    ],
)
def test_junk_names_the_file(file: str, old: str, new: str, message: str) -> None:
    path = {"din": SOURCE.din, "hf": "20_mini/m_hf.xyz"}[file]
    with pytest.raises(InputError, match=message):
        convert(NAMES, **{file: FILES[path].replace(old, new, 1)})


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Files of a folder."""

    def log_message(self, *args: object) -> None:
        """Stay quiet."""


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """The repository's files at the commit, as the server has them."""
    root = tmp_path / "web" / refdata.REPOSITORY / SOURCE.commit
    for path, text in FILES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


@pytest.fixture
def server(published: Path) -> Iterator[str]:
    handler = functools.partial(Quiet, directory=published.parents[2])
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def mini(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The set, with an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with added(tmp_path / "sets", SET, "mini"):
        yield


def test_download(server: str) -> None:
    path = public_data.install("mini", base_url=server)
    assert path == kept_data.location("mini")
    assert kept_data.read("mini") == RECORDS
    assert [p.name for p in path.parent.iterdir()] == ["mini.json"]


def test_altered_source_is_refused(server: str, published: Path) -> None:
    (published / SOURCE.din).write_text(DIN.replace("141.5", "141.6"))
    with pytest.raises(InputError, match=r"not the data of mini .*nothing was changed"):
        public_data.install("mini", base_url=server)
    assert not kept_data.location("mini").exists()


def test_large_or_missing_file(server: str, published: Path) -> None:
    (published / "20_mini/m_hf.xyz").write_text("2" * (refdata.MAX_BYTES + 1))
    with pytest.raises(InstallError, match="larger than 200000 bytes"):
        public_data.install("mini", base_url=server)
    (published / "20_mini/m_hf.xyz").unlink()
    with pytest.raises(InstallError, match=r"m_hf.xyz: .*404.*--from FILE"):
        public_data.install("mini", base_url=server)


def test_offline_names_the_other_way() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(InstallError, match=r"cannot be downloaded.*--from"):
            public_data.install("mini", base_url=url)


def test_own_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = tmp_path / "records.json"
    given.write_text(json.dumps(RECORDS, indent=2))
    assert cli.main(["train", "data", "mini", "--from", str(given)]) == 0
    assert capsys.readouterr().out.strip() == str(kept_data.location("mini"))
    assert kept_data.read("mini") == RECORDS
    given.write_text(json.dumps(RECORDS[::-1]))
    assert cli.main(["train", "data", "mini", "--from", str(given)]) == cli.EXIT_ERROR
    assert "not the data of mini" in capsys.readouterr().err
    given.write_text("{")
    assert cli.main(["train", "data", "mini", "--from", str(given)]) == cli.EXIT_ERROR
    assert "cannot be read as JSON" in capsys.readouterr().err


def test_sets_without_a_source(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "data", "atoms_h_ne"]) == cli.EXIT_ERROR
    assert "comes with xcnet" in capsys.readouterr().err
    assert cli.main(["train", "data", "w5"]) == cli.EXIT_ERROR
    assert "known sets: a24, " in capsys.readouterr().err


def test_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    given = tmp_path / "records.json"
    given.write_text(json.dumps(RECORDS))
    with pytest.raises(InstallError, match="cannot be written"):
        public_data.install("mini", given)
