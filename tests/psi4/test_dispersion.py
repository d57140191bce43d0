"""D4 of a record in Psi4, against the package dftd4 itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("psi4")
pytest.importorskip("dftd4", reason="D4 needs dftd4")

import psi4
from dftd4 import interface

from tests.folders import copy_folder
from tests.psi4.calculations import BENT, energy, gradient, molecule, run
from tests.pyscf_methods import MODELS
from xcnet import dispersion, registry
from xcnet.errors import MissingPackageError, UnsupportedError

PARAMETERS = {"s6": 0.9, "s8": 0.6019, "s9": 0.8, "a1": 0.5156, "a2": 5.7734}
NAME = "my-pbe-d4"


@pytest.fixture(scope="module", autouse=True)
def functional(adapter: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("models")
    record = {"method": "D4", "parameters": PARAMETERS}
    names = {"id": 199020, "aliases": ["My-PBE"]}
    copy_folder(folder, "gga_xc_my_pbe", "gga_xc_pbe_clone", dispersion=record, **names)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(registry.MODEL_PATH_VARIABLE, f"{MODELS}:{folder}")
        registry.refresh()
        yield
    registry.refresh()


def expected(mol: Any) -> Any:
    """Energy and gradient by dftd4."""
    numbers = np.array([int(mol.Z(i)) for i in range(mol.natom())])
    model = interface.DispersionModel(
        numbers, np.array(mol.geometry()), charge=mol.molecular_charge()
    )
    return model.get_dispersion(interface.DampingParam(**PARAMETERS), grad=True)


def test_energy_and_gradient_are_dftd4_s() -> None:
    ion = molecule(f"{BENT}; H -1.7 0.2 -0.7", charge=1)
    plain, ours = gradient("my-pbe", ion), gradient(NAME, ion)
    np.testing.assert_allclose(ours - plain, expected(ion)["gradient"], rtol=0, atol=1e-9)
    assert psi4.variable("DISPERSION CORRECTION ENERGY") == pytest.approx(
        float(expected(ion)["energy"]), abs=1e-13
    )


def test_every_way_of_naming_it_adds_the_energy() -> None:
    water = molecule(BENT)
    with_d4 = energy("my_pbe", water) + float(expected(water)["energy"])
    assert energy(NAME, water) == pytest.approx(with_d4, abs=1e-10)
    by_argument = run(psi4.energy, "scf", water, dft_functional="MY_PBE-D4")
    assert by_argument == pytest.approx(with_d4, abs=1e-10)


def test_ghosts_attract_nobody() -> None:
    alone = molecule("Ne 0 0 0")
    beside = molecule("Ne 0 0 0; @Ne 0 0 5")
    energy(NAME, beside)
    found = psi4.variable("DISPERSION CORRECTION ENERGY")
    assert found == pytest.approx(float(expected(alone)["energy"]), abs=1e-14)


def test_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    helium = molecule("He 0 0 0")
    with pytest.raises(psi4.p4util.ValidationError, match="is not available"):
        energy("pbe_clone-d4", helium)
    with pytest.raises(UnsupportedError, match="unset dft_dispersion_parameters"):
        energy(NAME, helium, options={"dft_dispersion_parameters": [1.0, 1.0, 1.0, 1.0]})
    monkeypatch.setitem(dispersion.PACKAGES, "D4", "no_such_package")
    with pytest.raises(MissingPackageError, match="pip install no_such_package"):
        energy(NAME, helium)
