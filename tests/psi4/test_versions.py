"""What the adapter needs of Psi4 is there; what came with later versions is guarded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("psi4", reason="these tests need Psi4")

import psi4
from psi4.driver import driver
from psi4.driver.procrouting import dft, proc
from psi4.driver.procrouting.proc_table import procedures

from tests.psi4.calculations import HYDROGEN, energy, molecule
from xcnet.adapters._patch import Patches
from xcnet.adapters.psi4 import guards, versions
from xcnet.errors import UnsupportedError


def test_this_version_has_what_it_should_have() -> None:
    assert list(versions.problems()) == []


def test_changed_signature_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def build_superfunctional(label: str) -> None:
        raise AssertionError(label)

    monkeypatch.setattr(dft, "build_superfunctional", build_superfunctional)
    monkeypatch.delattr(psi4.core.HF, "soscf_update")
    problems_by_hook = {hook.name: problem for hook, problem in versions.problems()}
    assert problems_by_hook == {
        "build_superfunctional": "has no parameter name, restricted, but (label)",
        "HF.soscf_update": "is missing",
    }


def test_self_test(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "xcnet.cli", "psi4", "--self-test"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1] == "everything passed"
    assert sum(line.startswith("passed  water, nn-nra") for line in lines) == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "functional", ["nn-metagga", {"name": "m", "xc_functionals": {"NN-NRA": {}}}]
)
@pytest.mark.parametrize("method", ["scf/cc-pv[dt]z", "scf/sto-3g + d:mp2/sto-3g"])
def test_composite_methods_do_not_forget_the_functional(method: str, functional: Any) -> None:
    with pytest.raises(UnsupportedError, match="would compute Hartree-Fock"):
        energy(method, molecule(HYDROGEN), dft_functional=functional)


def test_one_basis_set_in_the_name_is_no_composite_method() -> None:
    definition = {"name": "m", "x_functionals": {"TPSS_clone": {}}, "c_functionals": {}}
    mol = molecule(HYDROGEN)
    expected = energy(definition, mol, options={"basis": "cc-pvdz"})
    total = energy("scf/cc-pvdz", mol, dft_functional=definition)
    assert total == pytest.approx(expected, abs=1e-10)


def test_guarded_procedures_are_those_that_psi4_compares_with() -> None:
    assert procedures["properties"]["scf"] is proc.run_scf_property
    if hasattr(proc, "run_tdscf_energy"):
        assert procedures["energy"]["td-pbe"] is proc.run_tdscf_energy


def test_functions_are_replaced_under_all_their_names() -> None:
    original = psi4.energy

    def ours(*args: Any, **kwargs: Any) -> Any:
        return original(*args, **kwargs)

    patches = Patches()
    patches.put_everywhere("psi4", original, lambda _: ours)
    try:
        assert psi4.energy is psi4.driver.energy is driver.energy is ours
    finally:
        patches.remove()
    assert psi4.energy is driver.energy is original


def test_iterations_in_the_core_are_refused_for_nonlocal_functionals() -> None:
    """Versions after 1.9 have them."""
    seen: list[Any] = []
    iterate = guards._checked_iterations(seen.append)
    for name, count in (("tpss_clone", 1), ("nn-nra", 1)):
        _, wavefunction = psi4.energy(
            f"{name}/sto-3g", molecule=molecule(HYDROGEN), return_wfn=True
        )
        if name == "nn-nra":
            with pytest.raises(UnsupportedError, match="orbital_optimizer_package internal"):
                iterate(wavefunction)
        else:
            iterate(wavefunction)
        assert len(seen) == count


def test_name_after_td_keeps_its_letters() -> None:
    seen: list[Any] = []
    run = guards._checked_excitations(lambda name, **kwargs: seen.append((name, kwargs)))
    run("td-pbe_clone", molecule="m")
    assert seen == [("td-scf", {"molecule": "m", "dft_functional": "pbe_clone"})]
