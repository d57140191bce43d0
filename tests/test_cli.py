"""The command line as a user calls it: real processes, output and exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import xcnet
from tests.folders import copy_folder
from xcnet import cli


def call(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``xcnet`` with these words in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "xcnet.cli", *words],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, **environment},
    )


def refused(*words: str, **environment: str) -> str:
    """Standard error of a call that must fail with exit code 2 and without a traceback."""
    done = call(*words, **environment)
    assert done.returncode == 2, done
    assert "Traceback" not in done.stderr
    return done.stderr


def test_version() -> None:
    assert call("--version").stdout == f"xcnet {xcnet.__version__}\n"


@pytest.mark.parametrize("command", ["", *cli.COMMANDS])
def test_help_needs_no_host(command: str) -> None:
    hidden = "import sys; sys.modules.update(pyscf=None, torch=None, ase=None, onnx=None);"
    code = f"{hidden} from xcnet.cli import main; main({[*command.split(), '--help']!r})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: ")


def test_list() -> None:
    lines = call("list").stdout.splitlines()
    names = {line.split()[0] for line in lines}
    assert {"gga_x_pbe", "hyb_gga_xc_b3lyp", "M06-L", "B3LYP"} <= names
    assert lines[-1] == f"{len(lines) - 2} functionals"


def test_list_filters_and_json() -> None:
    record = json.loads(call("list", "--json", "--family", "hyb_mgga", "--origin", "libxc").stdout)
    assert {r["family"] for r in record} == {"hyb_mgga"}
    assert {"M06-2X", "hyb_mgga_x_m06_2x"} <= {r["name"] for r in record}
    assert call("list", "--origin", "user").stdout.splitlines()[-1] == "0 functionals"
    assert "invalid choice" in refused("list", "--family", "mega")


def test_info_of_libxc() -> None:
    facts = json.loads(call("info", "mgga_x_r2scan", "--json").stdout)
    assert facts["id"] == 497
    assert facts["inputs"] == ["rho", "sigma", "tau"]
    assert json.loads(call("info", "497", "--json").stdout) == facts
    hybrid = json.loads(call("info", "CAM-B3LYP", "--json").stdout)
    assert hybrid["exact exchange"] == {"alpha": 0.65, "beta": -0.46, "omega": 0.33}


def test_info_of_a_neural_one(nagai2020_models: Path) -> None:
    done = call("info", "nn-metagga-nagai2020", "--json", XCNET_MODEL_PATH=str(nagai2020_models))
    facts = json.loads(done.stdout)
    assert facts["name"] == "mgga_xc_nn_metagga_nagai2020"
    assert facts["origin"] == "path"
    assert facts["derivatives"] == ["exc", "vxc", "fxc", "kxc"]
    assert facts["training"]["data"] == ["H2O", "NH3", "NO"]


def test_cite() -> None:
    assert "10.1063/1.2370993" in call("cite", "M06-L").stdout
    assert call("cite", "PBE", "--bibtex").stdout.count("@article{") == 2
    # Each reference once, whatever the expression.
    mixed = call("cite", "0.75*PBE + 0.25*HF").stdout
    assert mixed == call("cite", "PBE").stdout


def test_cite_of_the_software_has_version_and_year() -> None:
    printed = call("cite", "NN-metaGGA", "--bibtex").stdout
    (entry,) = [text for text in printed.split("\n\n") if text.startswith("@software{xcnet,")]
    assert f"version = {{{xcnet.__version__}}}" in entry
    assert "year = {2026}" in entry
    assert call("cite", "xcnet", "--bibtex").stdout.strip() == entry.strip()
    assert f"version {xcnet.__version__} (2026)" in call("cite", "xcnet").stdout


def test_models_path(user_folder: Path) -> None:
    shipped, installed = call("models", "path").stdout.splitlines()
    assert shipped.split()[1].endswith("models")
    assert installed.split(maxsplit=1)[1] == str(user_folder)


def test_install_list_remove(nagai2020_models: Path, tmp_path: Path) -> None:
    home = {"XDG_DATA_HOME": str(tmp_path)}
    source = str(nagai2020_models / "gga_xc_nn_gga_nagai2020")
    assert "installed NN-GGA-Nagai2020" in call("models", "install", source, **home).stdout
    listed = call("list", "--origin", "user", **home).stdout
    assert "NN-GGA-Nagai2020" in listed
    assert "already installed" in refused("models", "install", source, **home)
    assert call("models", "remove", "NN-GGA-Nagai2020", **home).returncode == 0
    assert "not installed" in refused("models", "remove", "NN-GGA-Nagai2020", **home)


def test_unknown_name_shows_near_ones() -> None:
    assert "Did you mean M06" in refused("info", "M06-K")
    assert "models install nagai2020" in refused("info", "NN-metaGGA-Nagai2020")
    assert "B3LYP" in refused("cite", "B3LPY")


def test_bad_expression() -> None:
    assert "term" in refused("cite", "0.5*PBE + ")


def test_altered_folder(nagai2020_models: Path, tmp_path: Path) -> None:
    (tmp_path / "mgga_xc_broken").mkdir()
    (tmp_path / "mgga_xc_broken" / "model.json").write_text("{")
    path = {"XCNET_MODEL_PATH": str(tmp_path)}
    assert "mgga_xc_broken" in refused("info", "mgga_xc_broken", **path)
    listed = call("list", **path)
    assert listed.returncode == 0
    assert "left out" in listed.stderr


def test_info_checks_the_files(tmp_path: Path) -> None:
    folder = copy_folder(tmp_path)
    path = {"XCNET_MODEL_PATH": str(tmp_path)}
    assert call("info", folder.name, **path).returncode == 0
    graph = folder / "vxc.onnx"
    graph.write_bytes(graph.read_bytes()[:-1])
    assert f"{graph} is altered" in refused("info", folder.name, **path)


def test_two_folders_of_one_name(nagai2020_models: Path, tmp_path: Path) -> None:
    import shutil

    name = "lda_xc_nn_lsda_nagai2020"
    shutil.copytree(nagai2020_models / name, tmp_path / "again" / name)
    both = os.pathsep.join([str(nagai2020_models), str(tmp_path / "again")])
    message = refused("info", name, XCNET_MODEL_PATH=both)
    assert str(nagai2020_models / name) in message
    assert str(tmp_path / "again" / name) in message


def test_no_libxc() -> None:
    message = refused("info", "PBE", XCNET_LIBXC="/nonexistent/libxc.so")
    assert "XCNET_LIBXC" in message
    assert "/nonexistent/libxc.so" in message


def test_no_network(tmp_path: Path) -> None:
    message = refused(
        "models",
        "install",
        "nagai2020",
        XDG_DATA_HOME=str(tmp_path),
        https_proxy="http://127.0.0.1:9",
        HTTPS_PROXY="http://127.0.0.1:9",
    )
    assert "--from FOLDER" in message
    assert not list(tmp_path.rglob("*.onnx"))


def test_debug_shows_the_traceback() -> None:
    assert "Traceback" in call("info", "M06-K", "--debug").stderr
    assert "Traceback" in call("info", "M06-K", XCNET_DEBUG="1").stderr


def test_interrupt(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(*_: object) -> int:
        raise KeyboardInterrupt

    from xcnet.commands import cite

    monkeypatch.setattr(cite, "run", interrupted)
    assert cli.main(["cite", "PBE"]) == 130
    assert capsys.readouterr().err == "xcnet: interrupted\n"


def test_reader_that_stops_reading() -> None:
    done = subprocess.run(
        f"{sys.executable} -m xcnet.cli list | head -n 1",
        shell=True,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stdout.startswith("name")
    assert done.stderr == ""
