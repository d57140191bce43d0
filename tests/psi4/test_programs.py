"""Input files through the program ``psi4``, with the adapter in each of its ways."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("psi4", reason="these tests need Psi4")

from xcnet.commands.psi4 import FILES

README = Path(__file__).resolve().parents[2] / "README.md"
PROGRAM = shutil.which("psi4")
INPUT = """
molecule {
  H 0 0 0
  H 0 0 0.74
}
set basis sto-3g
set dft_radial_points 30
set dft_spherical_points 110
"""


def _run(*words: object, folder: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=folder,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def _energies(folder: Path) -> list[float]:
    text = (folder / "input.out").read_text()
    return [float(x) for x in re.findall(r"Final Energy:\s+(-\S+)", text)]


def _write(folder: Path, text: str) -> Path:
    path = folder / "input.dat"
    path.write_text(text)
    return path


def test_one_line_in_the_input(tmp_path: Path) -> None:
    tail = "energy('tpss_clone')\nenergy('TPSS')\n"
    path = _write(tmp_path, f"import xcnet.adapters.psi4\n{INPUT}{tail}")
    _run(PROGRAM, path, folder=tmp_path)
    ours, original = _energies(tmp_path)
    assert ours == pytest.approx(original, abs=1e-9)


def test_command_runs_psi4(tmp_path: Path) -> None:
    path = _write(tmp_path, f"{INPUT}energy('tpss_clone')\nenergy('tpss')\n")
    _run("-m", "xcnet.cli", "psi4", path, "-n", "2", folder=tmp_path)
    ours, original = _energies(tmp_path)
    assert ours == pytest.approx(original, abs=1e-9)
    assert re.search(r"Threads:\s+2", (tmp_path / "input.out").read_text())


def test_command_returns_psi4s_failure(tmp_path: Path) -> None:
    path = _write(tmp_path, f"{INPUT}energy('unheard-of')\n")
    done = _run("-m", "xcnet.cli", "psi4", path, folder=tmp_path, code=1)
    assert 'method "unheard-of" is not available' in done.stdout


def test_refusal_ends_an_input_with_its_message(tmp_path: Path) -> None:
    text = f"import xcnet.adapters.psi4\n{INPUT}set soscf true\nenergy('tpss_clone')\n"
    done = _run(PROGRAM, _write(tmp_path, text), folder=tmp_path, code=1)
    assert "SOSCF needs second derivatives" in done.stdout
    assert "SOSCF needs second derivatives" in (tmp_path / "input.out").read_text()


def test_psi4s_own_functionals_are_left_alone(tmp_path: Path) -> None:
    """Alone in a process: stopping like this, Psi4 leaves a timer on that ends any later SOSCF."""
    text = f"import xcnet.adapters.psi4\n{INPUT}set basis 6-31g\nset soscf true\nenergy('tpss')\n"
    done = _run(PROGRAM, _write(tmp_path, text), folder=tmp_path, code=1)
    assert "Vx" in done.stdout
    assert "UnsupportedError" not in done.stdout


@pytest.fixture
def hook(tmp_path: Path) -> Iterator[Path]:
    """The hook in this environment, for one test."""
    _run("-m", "xcnet.cli", "psi4", "--install-hook", folder=tmp_path)
    yield tmp_path
    _run("-m", "xcnet.cli", "psi4", "--remove-hook", folder=tmp_path)
    assert not [name for name in FILES if Path(sysconfig.get_path("purelib"), name).exists()]


def test_no_line_with_the_hook(hook: Path) -> None:
    path = _write(hook, f"{INPUT}energy('tpss_clone')\n")
    _run(PROGRAM, path, folder=hook)
    assert len(_energies(hook)) == 1


def test_hook_outlives_a_question_where_psi4_is(hook: Path) -> None:
    code = "import importlib.util, sys; importlib.util.find_spec('psi4'); import psi4; "
    code += "print('xcnet.adapters.psi4' in sys.modules)"
    assert _run("-c", code, folder=hook).stdout.split()[-1] == "True"


def test_hook_loads_nothing_where_psi4_is_not(hook: Path) -> None:
    code = "import sys; print({'xcnet', 'numpy', 'psi4'} & set(sys.modules))"
    assert _run("-c", code, folder=hook).stdout == "set()\n"


def test_psi4_goes_on_where_the_adapter_cannot(hook: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XCNET_LIBRARY", str(hook / "absent.so"))
    path = _write(hook, f"{INPUT}energy('hf')\n")
    done = _run(PROGRAM, path, folder=hook)
    assert "xcnet: its functionals are not available in Psi4" in done.stderr
    assert len(_energies(hook)) == 1
    done = _run("-m", "xcnet.cli", "psi4", path, folder=hook, code=1)
    assert "absent.so: no such file" in done.stderr


def test_readme_input(tmp_path: Path) -> None:
    (text,) = re.findall(r"```psi4\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    _run("-m", "xcnet.cli", "psi4", _write(tmp_path, text), folder=tmp_path)
    assert _energies(tmp_path)
