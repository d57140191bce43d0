"""The functional folder: schema, hashes, contradictions, hostile records."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import fastjsonschema
import pytest

from tests.folders import MODELS, TEMPLATE, copy_folder, read_record
from xcnet import paths
from xcnet.errors import ModelError
from xcnet.spec import RECORD, load_spec, write_record

SHIPPED = sorted(p for p in paths.models_folder().iterdir() if (p / RECORD).is_file())
CLONES = sorted(p for p in MODELS.iterdir() if (p / RECORD).is_file())


@pytest.mark.parametrize("folder", SHIPPED + CLONES, ids=lambda p: p.name)
def test_every_folder_is_whole(folder: Path) -> None:
    spec = load_spec(folder)
    spec.verify()
    assert spec.name == folder.name
    assert spec.highest_order >= 2


def test_schema_is_valid_and_closed() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((paths.models_folder() / "schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft7Validator.check_schema(schema)
    assert schema["additionalProperties"] is False
    assert callable(fastjsonschema.compile(schema))


def test_written_record_reads_back(tmp_path: Path) -> None:
    folder = copy_folder(tmp_path)
    before = (folder / RECORD).read_bytes()
    write_record(load_spec(folder).record, folder)
    assert (folder / RECORD).read_bytes() == before


def test_spec_pickles(tmp_path: Path) -> None:
    spec = load_spec(copy_folder(tmp_path))
    assert pickle.loads(pickle.dumps(spec)).record == spec.record


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"format_version": 2}, "format version 2"),
        ({"colour": "red"}, "model.json: unknown field 'colour'"),
        ({"id": 17}, "id"),
        ({"id": "199001"}, "id: must be integer"),
        ({"name": "../evil"}, "name"),
        ({"name": "gga_x_a/b"}, "name"),
        ({"aliases": ["a b"]}, "aliases"),
        ({"family": "mgga"}, "family 'mgga' contradicts the name"),
        ({"kind": "correlation"}, "kind 'correlation' contradicts the name"),
        ({"inputs": ["rho"]}, "do not fit the family"),
        ({"inputs": ["sigma", "rho"]}, "inputs"),
        ({"descriptors": {"far_region": {}}}, "descriptors"),
        ({"descriptors": {"near_region": {"definition": "grid-sum", "sigma_bohr": 0.2}}}, "cutoff"),
        ({"derivatives": {"exc": "exc.onnx", "vxc": "exc.onnx"}}, "share one file"),
        (
            {"derivatives": {"exc": "exc.onnx", "vxc": "vxc.onnx", "kxc": "fxc.onnx"}},
            "have a gap",
        ),
        ({"derivatives": {"exc": "../exc.onnx", "vxc": "vxc.onnx"}}, "derivatives"),
        ({"derivatives": {"exc": "exc.onnx", "vxc": "other.onnx"}}, "lack other.onnx"),
        (
            {"closed_shell": {"exc": "exc_closed_shell.onnx", "vxc": "vxc_closed_shell.onnx"}},
            "closed_shell has other orders",
        ),
        ({"closed_shell": {"exc": "exc.onnx", "vxc": "b.onnx"}}, "share one file"),
        ({"closed_shell": {"exc": "../a.onnx", "vxc": "b.onnx"}}, "closed_shell"),
        ({"thresholds": {"density": 0, "zeta": 0, "sigma": 0, "tau": 0}}, "density"),
        ({"exact_exchange": {"coefficient": 0.2, "omega": 0, "alpha": 0, "beta": 0}}, "hyb_"),
        ({"citations": []}, "citations"),
        ({"citations": [{"key": "a", "doi": ""}]}, "citations[0]: missing field 'bibtex', 'text'"),
        ({"files": {"/etc/passwd": "0" * 64}}, "files: its names must match"),
        ({"domain": {"elements": ["H"], "density": [1.0, 0.1]}}, "increasing"),
    ],
)
def test_wrong_record_is_refused(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    folder = copy_folder(tmp_path)
    write_record({**read_record(folder), **changes}, folder)
    with pytest.raises(ModelError) as caught:
        load_spec(folder)
    assert says in str(caught.value)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not valid JSON"),
        ("[]", "format version"),
        ('{"format_version": 1, "format_version": 1}', "occurs twice"),
        ('{"format_version": NaN}', "NaN"),
        ("[" * 100_000, "not valid JSON"),
        ("\xff", "format version"),
        (" " * ((1 << 20) + 1), "larger than"),
    ],
)
def test_junk_record_is_refused(tmp_path: Path, text: str, says: str) -> None:
    folder = copy_folder(tmp_path)
    (folder / RECORD).write_text(text if text != "\xff" else '"\\u00ff"', encoding="utf-8")
    with pytest.raises(ModelError) as caught:
        load_spec(folder)
    assert says in str(caught.value)
    assert str(folder) in str(caught.value)


def test_altered_file_is_named(tmp_path: Path) -> None:
    folder = copy_folder(tmp_path)
    graph = folder / "vxc.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"\0")
    spec = load_spec(folder)
    with pytest.raises(ModelError, match=r"vxc\.onnx is altered") as caught:
        spec.read("vxc.onnx")
    assert caught.value.context["file"] == str(graph)
    with pytest.raises(ModelError, match="altered"):
        spec.verify()


def test_missing_and_unlisted_files_are_named(tmp_path: Path) -> None:
    folder = copy_folder(tmp_path)
    spec = load_spec(folder)
    (folder / "extra.py").write_text("print('never run')")
    with pytest.raises(ModelError, match=r"extra\.py"):
        spec.verify()
    with pytest.raises(ModelError, match="not in the record"):
        spec.read("extra.py")
    (folder / "exc.onnx").unlink()
    with pytest.raises(ModelError, match=r"exc\.onnx is missing"):
        spec.read("exc.onnx")


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="needs symbolic links")
def test_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    folder = copy_folder(tmp_path)
    (folder / "exc.onnx").unlink()
    (folder / "exc.onnx").symlink_to(TEMPLATE / "exc.onnx")
    with pytest.raises(ModelError, match="leads out of its folder"):
        load_spec(folder).read("exc.onnx")


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="missing"):
        load_spec(tmp_path / "gga_x_none")
