"""Folders of one's own, sealed: no metadata, right hashes, the same values."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.folders import TEMPLATE, copy_folder, read_record
from tests.folders import seal as signed
from xcnet import cli, graphs
from xcnet.check import integrity
from xcnet.errors import ModelError
from xcnet.seal import METADATA_PROPS, seal, without_metadata
from xcnet.spec import RECORD, load_spec

#: Two entries of ONNX's metadata: field 14 of the model, a key and a value each.
METADATA = b"".join(
    bytes([METADATA_PROPS << 3 | 2, len(key) + len(value) + 4, 10, len(key)])
    + key
    + bytes([18, len(value)])
    + value
    for key, value in ((b"xcnet.name", b"gga_x_copy"), (b"xcnet.order", b"vxc"))
)


def with_record_in_graphs(folder: Path) -> None:
    """As folders of before were."""
    for path in folder.glob("*.onnx"):
        path.write_bytes(path.read_bytes() + METADATA)


def test_old_folders_are_rewritten_by_one_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copy_folder(tmp_path)
    content = {path.name: path.read_bytes() for path in folder.iterdir()}
    with_record_in_graphs(folder)
    signed(read_record(folder), folder)  # right hashes do not help: the record is stored once
    with pytest.raises(ModelError, match=r"xcnet models seal"):
        graphs.verify(load_spec(folder), "vxc")
    assert cli.main(["models", "seal", str(folder)]) == 0
    assert "reference vector reproduced" in capsys.readouterr().out
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == content
    integrity.inspect(load_spec(folder))


def test_prose_may_change_without_an_export(tmp_path: Path) -> None:
    folder = copy_folder(tmp_path)
    before = load_spec(folder)
    record = read_record(folder) | {"description": "Another sentence"}
    (folder / RECORD).write_text(json.dumps(record), encoding="utf-8")
    (folder / "CARD.md").write_text("Another card", encoding="utf-8")
    with pytest.raises(ModelError, match="altered"):
        load_spec(folder).verify()
    after = seal(folder)
    after.verify()
    assert after.description == "Another sentence"
    assert after.values_sha256 == before.values_sha256
    assert {f: after.files[f] for f in after.graphs.values()} == {
        f: before.files[f] for f in before.graphs.values()
    }
    assert integrity.self_test(after) < integrity.TOLERANCE_THIRD


def test_nothing_but_metadata_is_taken_out() -> None:
    content = (TEMPLATE / "vxc.onnx").read_bytes()
    assert without_metadata(content) == content
    assert without_metadata(METADATA + content + METADATA) == content


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    folder = copy_folder(tmp_path)
    (folder / "CARD.md").unlink()
    with pytest.raises(ModelError, match=r"CARD\.md is missing"):
        seal(folder)
