"""The examples in C and Fortran: compiled as they say, run under ``xcnet exec``, against Python."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

import xcnet
from tests.hosts import build, need, need_libxc_headers, run
from tests.hosts import xcnet as command

ROOT = Path(__file__).resolve().parent.parent
SOURCES = {"c": ROOT / "examples/c/energy.c", "fortran": ROOT / "examples/fortran/energy.f90"}
FUNCTIONALS = ("MGGA_XC_NN_R2SCAN", "NN-metaGGA-Nagai2020", "mgga_xc_tpss_clone")

#: The points of the examples.
INPUTS = {
    "rho": [[0.3, 0.2], [0.05, 0.01]],
    "sigma": [[0.10, 0.08, 0.07], [0.02, 0.01, 0.006]],
    "tau": [[0.30, 0.20], [0.06, 0.09]],
}


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The examples, compiled with the line in their first comment."""
    need_libxc_headers()
    need("gfortran is not installed", shutil.which("gfortran") is not None)
    programs = {}
    for language, source in SOURCES.items():
        folder = tmp_path_factory.mktemp(language)
        line = re.search(r"\bg(cc|fortran) .*", source.read_text())
        assert line is not None
        words = [str(source) if w == source.name else w for w in shlex.split(line[0])]
        words[words.index("-o") + 1] = str(folder / "energy")
        build(*words, "-Wall", "-Wextra")
        programs[language] = folder / "energy"
    return programs


@pytest.fixture
def model_path(published: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Path of the published functionals and the clones, in this process as well."""
    path = f"{published}:{ROOT / 'tests' / 'models'}"
    monkeypatch.setenv("XCNET_MODEL_PATH", path)
    return path


@pytest.mark.parametrize("path", ["c/energy.c", "gpaw/diamond.py"])
def test_documentation_shows_them(path: str) -> None:
    page = (ROOT / "docs/start/libxc.md").read_text(encoding="utf-8")
    assert f"```{{literalinclude}} ../../examples/{path}\n" in page
    assert f"`examples/{path}`" in (ROOT / "README.md").read_text(encoding="utf-8") + page


@pytest.mark.parametrize("functional", FUNCTIONALS)
@pytest.mark.parametrize("language", SOURCES)
def test_agrees_with_python(
    programs: dict[str, Path], language: str, functional: str, model_path: str
) -> None:
    done = command("exec", "--", programs[language], functional)
    assert (done.returncode, done.stderr) == (0, "")
    title, *lines = done.stdout.splitlines()
    reference = xcnet.functional(functional, "polarized")
    assert title == reference.get_name()
    out = reference.compute(INPUTS)
    expected = np.hstack([out[label] for label in ("zk", "vrho", "vsigma", "vtau")])
    given = np.array([line.split() for line in lines], dtype=float)
    np.testing.assert_allclose(given, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("language", SOURCES)
def test_functionals_that_cannot_be_used(
    programs: dict[str, Path], language: str, model_path: str
) -> None:
    unknown = command("exec", "--", programs[language], "MGGA_XC_NN_R3SCAN")
    assert unknown.returncode == 1
    assert "cannot use the functional MGGA_XC_NN_R3SCAN" in unknown.stderr
    nonlocal_one = command("exec", "--", programs[language], "NN-NRA-Nagai2020")
    assert nonlocal_one.returncode == 1
    assert "cannot use the functional" in nonlocal_one.stderr
    assert "PySCF" in nonlocal_one.stderr
    # Without xcnet the program has libxc's functionals and no others.
    assert run(programs[language], "MGGA_XC_NN_R2SCAN").returncode == 1
    own = run(programs[language], "MGGA_X_TPSS")
    assert own.returncode == 0
    assert command("exec", "--", programs[language], "MGGA_X_TPSS").stdout == own.stdout
