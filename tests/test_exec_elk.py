"""Elk, an all-electron program in Fortran, with xcnet's functionals under ``xcnet exec``."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.hosts import need
from tests.hosts import xcnet as command
from xcnet import registry

CLONES = Path(__file__).resolve().parent / "models"
INPUT = """
tasks
  0

avec
  3.75 3.75 0.00
  3.75 0.00 3.75
  0.00 3.75 3.75

sppath
  '/usr/share/elk-lapw/species/'

atoms
  1
  'Al.in'
  1
  0.0 0.0 0.0  0.0 0.0 0.0

ngridk
  2 2 2

xctype
  100 {exchange} {correlation}

"""


@pytest.fixture(autouse=True)
def elk(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("Elk (elk-lapw) is not installed", shutil.which("elk-lapw") is not None)
    monkeypatch.setenv("XCNET_MODEL_PATH", f"{published}:{CLONES}")


@cache
def energy(exchange: str | None, correlation: str) -> float:
    """Total energy of aluminium in Hartree; Elk takes libxc's numbers."""
    numbers = [0 if name is None else registry.find(name).id for name in (exchange, correlation)]
    with TemporaryDirectory() as folder:
        text = INPUT.format(exchange=numbers[0], correlation=numbers[1])
        Path(folder, "elk.in").write_text(text)
        done = command("exec", "--", "env", "-C", folder, "elk-lapw")
        assert done.returncode == 0, done.stderr
        facts = Path(folder, "INFO.OUT").read_text()
        assert f"correlation: {registry.find(correlation).name}" in facts
        return float(Path(folder, "TOTENERGY.OUT").read_text().split()[-1])


def test_twin_of_pbe() -> None:
    own = energy("gga_x_pbe", "gga_c_pbe")
    assert energy("gga_x_pbe_clone", "gga_c_pbe_clone") == pytest.approx(own, abs=1e-8)


def test_published_gga() -> None:
    """Exchange and correlation together stand in the place of correlation."""
    assert energy(None, "NN-GGA-Nagai2020") == pytest.approx(
        energy("gga_x_pbe", "gga_c_pbe"), abs=1
    )
