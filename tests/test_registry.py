"""Names, aliases, ids, duplicates, broken folders, and where functionals are found."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.folders import MODELS, copy_folder
from xcnet import catalogue, libxc, registry
from xcnet.errors import LibxcNotFoundError, ModelError, RegistryError, UnknownFunctionalError


@pytest.fixture
def clones(monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XCNET_MODEL_PATH", str(MODELS))
    return MODELS


@pytest.mark.parametrize(
    "name",
    [
        "gga_xc_pbe_clone",
        "GGA_XC_PBE_CLONE",
        "XC_GGA_XC_PBE_CLONE",
        "gga-xc-pbe-clone",
        "PBE_clone",
        "pbe-clone",
        "xc-PBEclone",
        "190004",
        190004,
        np.int64(190004),
    ],
)
def test_names_are_forgiving(clones: Path, name: str | int) -> None:
    assert registry.find(name).name == "gga_xc_pbe_clone"


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("M06-L", ("MGGA_X_M06_L", "MGGA_C_M06_L")),
        ("m06l", ("MGGA_X_M06_L", "MGGA_C_M06_L")),
        ("B3LYP", ("HYB_GGA_XC_B3LYP",)),
        ("pbe0", ("HYB_GGA_XC_PBEH",)),
        ("PBE_c", ("gga_c_pbe",)),
        ("revPBE-x", ("gga_x_pbe_r",)),
        ("LDA_x", ("lda_x",)),
    ],
)
def test_usual_names_mean_what_users_mean(name: str, parts: tuple[str, ...]) -> None:
    assert registry.find(name).parts == parts


def test_every_usual_name_exists_in_libxc() -> None:
    known = {entry.name for entry in registry.entries(origin="libxc")}
    assert set(registry.COMPOSITES) <= known


def test_all_of_libxc_is_listed() -> None:
    listed = {entry.name: entry.id for entry in registry.entries(origin="libxc")}
    assert dict(libxc.names()).items() <= listed.items()
    families = {e.name: e.family for e in registry.entries(family="hyb_mgga")}
    assert "hyb_mgga_xc_wb97m_v" in families


def test_unknown_name_shows_near_ones(clones: Path) -> None:
    with pytest.raises(UnknownFunctionalError, match="PBE_clone") as caught:
        registry.find("PBE_klone")
    assert isinstance(caught.value, KeyError)
    assert not str(caught.value).startswith('"')
    with pytest.raises(UnknownFunctionalError, match="id 99"):
        registry.find(99999)


@pytest.mark.parametrize("name", catalogue.functionals())
def test_published_functionals_that_are_not_installed(name: str) -> None:
    (owner,) = (c.name for c in catalogue.collections().values() if name in c.functionals)
    with pytest.raises(UnknownFunctionalError, match=f"xcnet models install {owner}`") as caught:
        registry.find(name.lower())
    assert name in str(caught.value)


def test_missing_model_path_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XCNET_MODEL_PATH", "/no/such/place")
    with pytest.raises(UnknownFunctionalError, match=r"/no/such/place: no such folder"):
        registry.find("my_functional")


def test_one_folder_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = copy_folder(tmp_path, "gga_x_mine")
    monkeypatch.setenv("XCNET_MODEL_PATH", str(folder))
    entry = registry.find("gga_x_mine")
    assert entry.origin == "path"
    assert entry.spec is not None
    assert entry.spec.folder == folder


def test_the_same_folder_twice_is_no_duplicate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_folder(tmp_path, "gga_x_mine")
    monkeypatch.setenv("XCNET_MODEL_PATH", os.pathsep.join([str(tmp_path), str(tmp_path)]))
    assert registry.find("gga_x_mine").id == 199001


def test_user_folder(user_folder: Path) -> None:
    folder = copy_folder(user_folder, "gga_x_of_the_user")
    try:
        registry.refresh()
        assert registry.find("gga_x_of_the_user").origin == "user"
    finally:
        shutil.rmtree(folder)
        registry.refresh()


def test_entry_points_are_located_without_importing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "functional_plugin"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('code of a model package ran')")
    copy_folder(package / "models", "gga_x_plugged")
    information = tmp_path / "functional_plugin-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: functional-plugin\n")
    (information / "entry_points.txt").write_text(
        "[xcnet.models]\nplugin = functional_plugin.models\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert metadata.entry_points(group="xcnet.models")
    registry.refresh()
    try:
        assert registry.find("gga_x_plugged").origin == "entry point"
    finally:
        registry.refresh()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"id": 199001}, {"id": 199001}),
        ({"aliases": ["Twin"]}, {"id": 199002, "aliases": ["t-w-i-n"]}),
        ({"aliases": ["gga-x-b"]}, {"id": 199002}),
    ],
)
def test_duplicates_name_both_folders(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    first: dict[str, Any],
    second: dict[str, Any],
) -> None:
    a = copy_folder(tmp_path, "gga_x_a", **first)
    b = copy_folder(tmp_path, "gga_x_b", **second)
    monkeypatch.setenv("XCNET_MODEL_PATH", str(tmp_path))
    with pytest.raises(RegistryError) as caught:
        registry.find("PBE")
    assert str(a) in str(caught.value)
    assert str(b) in str(caught.value)


def test_taking_a_name_of_libxc_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_folder(tmp_path, "gga_x_pbe")
    monkeypatch.setenv("XCNET_MODEL_PATH", str(tmp_path))
    with pytest.raises(RegistryError, match="libxc"):
        registry.find("gga_x_pbe")


def test_broken_folder_does_not_hide_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_folder(tmp_path, "gga_x_good")
    (copy_folder(tmp_path, "gga_x_bad") / "model.json").write_text("{")
    (tmp_path / "gga_x_empty").mkdir()
    monkeypatch.setenv("XCNET_MODEL_PATH", str(tmp_path))
    assert registry.find("gga_x_good").id == 199001
    with pytest.raises(ModelError, match="not valid JSON"):
        registry.find("GGA-X-bad")
    with pytest.raises(ModelError, match=r"model\.json is missing"):
        registry.find("gga_x_empty")
    # An alias cannot be read from a broken record, so the error for it names the broken folders.
    with pytest.raises(UnknownFunctionalError, match=r"gga_x_bad.*not valid JSON"):
        registry.find("alias_of_the_bad_one")
    assert len(registry.broken()) == 2


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_libxc_neural_functionals_remain() -> None:
    code = (
        "from xcnet import catalogue, libxc, registry, _libxc_library\n"
        "_libxc_library._candidates = lambda: iter(())\n"
        "print(registry.find('PBE_clone').name)\n"
        "registry.find('M06-L')\n"
    )
    done = run_python(code, XCNET_MODEL_PATH=str(MODELS))
    assert done.stdout.strip() == "gga_xc_pbe_clone"
    assert "UnknownFunctionalError" in done.stderr
    assert "XCNET_LIBXC" in done.stderr


def test_wrong_libxc_path_is_never_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    done = run_python(
        "from xcnet import registry; registry.find('PBE')", XCNET_LIBXC="/no/such/libxc.so"
    )
    assert LibxcNotFoundError.__name__ in done.stderr
    assert "/no/such/libxc.so" in done.stderr
