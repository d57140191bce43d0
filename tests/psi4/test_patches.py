"""The Psi4 adapter puts back all that it replaces: in another process, which starts without it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("psi4", reason="these tests need Psi4")

PROGRAM = """
import gc, sys
from types import ModuleType
sys.meta_path = [f for f in sys.meta_path if "psi4_hook" not in repr(f)]  # of xcnet psi4
import psi4
from psi4.driver.procrouting import dft, proc_util, response

def attributes():
    modules = [m for name, m in sys.modules.items() if name.split(".")[0] == "psi4"]
    classes = {v for m in modules for v in vars(m).values() if isinstance(v, type)}
    return {
        (owner, name): dict(value) if isinstance(value, dict) else value
        for owner in (*modules, *classes)
        for name, value in vars(owner).items()
        if not isinstance(value, ModuleType) and not name.startswith("__") or name == "__init__"
    }

def energy(name="nn-metagga"):
    psi4.core.be_quiet()
    psi4.set_options({"basis": "sto-3g"})
    return psi4.energy(name, molecule=psi4.geometry("He"))

energy("pbe")  # imports what it will
before = attributes()
procedures = {k: dict(v) for k, v in psi4.driver.procedures.items()}
import xcnet.adapters.psi4 as adapter
print(energy() < -2.5)
after = attributes()
print(sorted({n for (o, n), v in before.items() if after[o, n] is not v and type(v) is not dict}))
gc.collect()
adapter.uninstall()
after = attributes()
print([n for (o, n), v in before.items() if after[o, n] is not v and not v == after[o, n]])
print(sorted(n for _, n in after.keys() - before.keys()))
print({k: dict(v) for k, v in psi4.driver.procedures.items()} == procedures)
try:
    energy()
except Exception as error:
    print(type(error).__name__)
adapter.install()
print(energy() < -2.5)
"""


def test_uninstall_puts_everything_back(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout + done.stderr
    worked, replaced, left, new, tables, refused, again = done.stdout.splitlines()
    assert worked == again == "True"
    for name in ("compute_E", "form_F", "energy", "scfgrad", "build_superfunctional", "__init__"):
        assert f"'{name}'" in replaced
    assert (left, new, tables) == ("[]", "[]", "True")
    assert refused == "ValidationError"
