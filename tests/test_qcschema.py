"""QCSchema in and out: PySCF's numbers in its units, and failures in its words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyscf", reason="calculations need PySCF")

from pyscf import dft, gto

from tests.pyscf_methods import known
from xcnet import cli
from xcnet.job import qcschema

GEOMETRY = [0.0, 0.0, 0.0, 0.0, 0.1, 1.8]
#: No linear molecule, whose gradient can vanish to the last bit.
AMMONIA = {
    "symbols": ["N", "H", "H", "H"],
    "geometry": [0, 0, 0, 1.9, 0, -0.7, -0.9, 1.6, -0.7, -1.0, -1.6, -0.6],
}
MOLECULE = {"symbols": ["H", "F"], "geometry": GEOMETRY}


def _request(**changes: Any) -> dict[str, Any]:
    return {
        "schema_name": "qcschema_input",
        "schema_version": 1,
        "molecule": MOLECULE,
        "driver": "energy",
        "model": {"method": "PBE_clone", "basis": "sto-3g"},
        "keywords": {"grid_level": 1},
        **changes,
    }


def _pyscf() -> Any:
    atoms = list(zip(["H", "F"], np.reshape(GEOMETRY, (2, 3)), strict=True))
    mf = dft.RKS(gto.M(atom=atoms, unit="B", basis="sto-3g", verbose=0), xc="PBE")
    mf.grids.level = 1
    mf.conv_tol = 1e-10
    mf.kernel()
    return mf


def test_energy_and_gradient_are_pyscf_s() -> None:
    mf = _pyscf()
    with known():
        energy = qcschema.compute(_request())
        gradient = qcschema.compute(_request(driver="gradient"))
    assert energy["success"]
    assert gradient["success"]
    assert energy["schema_name"] == "qcschema_output"
    assert energy["return_result"] == pytest.approx(mf.e_tot, abs=1e-8)
    expected = mf.nuc_grad_method().set(grid_response=True).kernel()
    np.testing.assert_allclose(gradient["return_result"], np.ravel(expected), rtol=0, atol=1e-5)
    assert gradient["properties"]["return_energy"] == pytest.approx(mf.e_tot, abs=1e-8)
    assert json.loads(json.dumps(gradient)) == gradient


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"driver": "hessian"}, "InputError", "energy or gradient are"),
        ({"model": {"method": "PBQ", "basis": "sto-3g"}, "keywords": {}}, "Unknown", "'PBQ'"),
        ({"model": {"method": "PBE", "basis": "sto-4h"}}, "InputError", "sto-4h"),
        ({"model": {"method": "PBE", "basis": None}}, "InputError", "model.basis"),
        ({"keywords": {"grid": 1}}, "InputError", "no keyword grid, but grid_level"),
        ({"molecule": {**MOLECULE, "real": [True, False]}}, "InputError", "ghost"),
        ({"molecule": {**MOLECULE, "molecular_charge": 1.0}}, "SpinError", "9 electrons"),
        ({"molecule": {**MOLECULE, "molecular_charge": 0.5}}, "InputError", "whole number"),
        ({"molecule": {**MOLECULE, "geometry": [0.0] * 6}}, "InputError", "only 0.000"),
        (
            {"molecule": AMMONIA, "keywords": {"grid_level": 1, "tolerance": 1e-30}},
            "ConvergenceError",
            "not self-consistent",
        ),
    ],
)
def test_failures(changes: dict[str, Any], kind: str, message: str) -> None:
    with known():
        answer = qcschema.compute(_request(**changes))
    assert answer["success"] is False
    assert kind in answer["error"]["error_type"]
    assert message in answer["error"]["error_message"]
    assert answer["input_data"]["driver"] == changes.get("driver", "energy")


def test_run_writes_qcschema_beside_its_own(tmp_path: Path) -> None:
    own, exchange = tmp_path / "own.json", tmp_path / "qc.json"
    words = ["run", "HF", "OH", "--xc", "PBE", "--basis", "sto-3g", "--grid", "1", "--quiet"]
    assert cli.main([*words, "--json", str(own), "--qcschema", str(exchange)]) == 0
    results = json.loads(own.read_text())["results"]
    answers = json.loads(exchange.read_text())
    assert [a["return_result"] for a in answers] == [r["energy"] for r in results]
    assert answers[1]["molecule"]["molecular_multiplicity"] == 2
    again = qcschema.compute(answers[0])
    assert again["return_result"] == pytest.approx(answers[0]["return_result"], abs=1e-8)
