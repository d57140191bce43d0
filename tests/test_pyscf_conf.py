"""``import xcnet.adapters.pyscf_conf`` in ``~/.pyscf_conf.py`` or in a script."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

LINE = "import xcnet.adapters.pyscf_conf\n"
MOLECULE = "gto.M(atom='He', basis='sto-3g', verbose=0)"
ENERGY = "-2.8"

SCRIPTS = {
    "as PySCF's examples": f"from pyscf import gto, dft\nmf = dft.RKS({MOLECULE})",
    "one package": "import pyscf\nmf = pyscf.M(atom='He', basis='sto-3g', verbose=0).RKS()",
    "names": f"from pyscf.dft import RKS\nfrom pyscf import gto\nmf = RKS({MOLECULE})",
    "response first": f"from pyscf import gto, tdscf, dft\nmf = dft.UKS({MOLECULE})",
    "installed too": "import xcnet.adapters.pyscf as adapter\nadapter.install()\n"
    f"from pyscf import gto, dft\nmf = dft.RKS({MOLECULE})",
    "crystals": "from pyscf.pbc import dft\nfrom pyscf import gto\n"
    f"from pyscf.dft import RKS\nmf = RKS({MOLECULE})",
}


def run(script: str, home: Path) -> str:
    env = {k: v for k, v in os.environ.items() if k != "PYSCF_CONFIG_FILE"} | {"HOME": str(home)}
    code = script + "\nmf.xc = 'NN-r2SCAN'\nprint(f'{mf.kernel():.1f}')"
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, cwd=home, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[-1]


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=list(SCRIPTS))
def test_configuration_file(script: str, tmp_path: Path) -> None:
    (tmp_path / ".pyscf_conf.py").write_text(LINE)
    assert run(script, tmp_path) == ENERGY


@pytest.mark.parametrize("first", [True, False])
def test_one_line_in_a_script(first: bool, tmp_path: Path) -> None:
    imports, rest = SCRIPTS["as PySCF's examples"].split("\n")
    lines = [LINE, imports] if first else [imports, LINE]
    assert run("\n".join([*lines, rest]), tmp_path) == ENERGY


def test_other_scripts_load_nothing(tmp_path: Path) -> None:
    (tmp_path / ".pyscf_conf.py").write_text(LINE)
    code = "import sys, pyscf.gto; print('onnxruntime' in sys.modules)"
    env = os.environ | {"HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, cwd=tmp_path, capture_output=True, check=True
    )
    assert done.stdout.split() == [b"False"]
