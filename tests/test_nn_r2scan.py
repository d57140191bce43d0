"""The shipped NN-r2SCAN against libxc's r2SCAN, at fixed densities and self-consistently."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pyscf import dft, gto

import xcnet
from benchmarks.nn_r2scan_atomization import FIRST_ROW, RESULT, geometry
from xcnet import engine, registry, variables
from xcnet.adapters import pyscf as adapter
from xcnet.errors import InputError
from xcnet.sample import sample
from xcnet.scf.densities import DensitySettings, GridDensity, file_sha256, solve
from xcnet.spec import FunctionalSpec
from xcnet.systems import training_sets
from xcnet.systems.molecules import read
from xcnet.training import recipe
from xcnet.training.publish import publication
from xcnet.training.publish.cards import card
from xcnet.training.publish.records import record

Array = npt.NDArray[np.float64]
RECIPE = recipe.load(recipe.find("nn_r2scan"))
WEIGHTS = file_sha256(publication.shipped_weights(RECIPE))
KCAL = 627.5094740631
#: None of them was trained on.
MOLECULES = ("N2", "CH2_s3B1d")


def words(text: FunctionalSpec | str) -> str:
    """Text, or that of a card, whatever its lines."""
    text = text if isinstance(text, str) else text.read("CARD.md").decode()
    return "".join(text.split())


CLAIM = words(publication.validation(RESULT, WEIGHTS))


@pytest.fixture(scope="module")
def spec() -> FunctionalSpec:
    functional_spec = registry.find("NN-r2SCAN").spec
    assert functional_spec is not None
    return functional_spec


@pytest.fixture(scope="module")
def density() -> dict[str, GridDensity]:
    settings = DensitySettings("r2scan", "6-31g*", 2, 1e-9)
    return {name: solve(read(name), settings) for name in MOLECULES}


def variables_of(density: GridDensity) -> dict[str, Array]:
    return {"rho": density.rho, "sigma": density.sigma, "tau": density.tau}


def both(density: GridDensity) -> tuple[dict[str, Array], dict[str, Array]]:
    inputs = variables_of(density)
    results = [
        xcnet.functional(name, "polarized").compute(inputs) for name in ("NN-r2SCAN", "r2SCAN")
    ]
    return results[0], results[1]


@pytest.mark.parametrize("name", MOLECULES)
def test_energy_and_potential_follow_r2scan(name: str, density: dict[str, GridDensity]) -> None:
    """At fixed densities; the tolerances are twice what was measured when the model was made."""
    column = density[name]
    network, wanted = both(column)
    electrons = column.rho.sum(axis=1) * column.weights
    errors = (network["zk"] - wanted["zk"])[:, 0]
    assert abs(errors @ electrons) < 4e-4
    total = electrons.sum()
    assert np.sqrt(errors**2 @ electrons / total) < 5e-4
    # Matrix elements of the potential are what counts, so derivatives go with their variable.
    units = {
        "vrho": np.ones_like(column.rho),
        "vtau": column.tau / column.rho.sum(axis=1, keepdims=True),
    }
    for label, unit in units.items():
        inside = column.rho.min(axis=1) > 1e-6
        squares = ((network[label] - wanted[label]) * unit)[inside] ** 2
        assert np.sqrt((squares.T @ electrons[inside]).max() / total) < 4e-3, label


def test_shipped_graphs_are_those_of_the_shipped_weights(
    spec: FunctionalSpec, tmp_path: Path
) -> None:
    orders = variables.ORDERS[:2]
    made = publication.republish(RECIPE, spec, tmp_path / spec.name, RESULT, orders)
    inputs = sample(spec.variables, 500, seed=7)
    old, new = engine.run(spec, 1, inputs), engine.run(made, 1, inputs)
    for label, values in old.items():
        np.testing.assert_allclose(new[label], values, rtol=1e-12, atol=0.0, err_msg=label)
    assert CLAIM in words(made)
    assert made.training["weights_sha256"] == WEIGHTS


def test_shipped_card_claims_what_was_measured_with_these_weights(spec: FunctionalSpec) -> None:
    assert CLAIM in words(spec)


def test_results_of_other_weights_never_reach_a_card(spec: FunctionalSpec, tmp_path: Path) -> None:
    module = publication.load_weights(publication.shipped_weights(RECIPE), RECIPE)
    network = module.network("exchange")
    assert network is not None
    network.load_vector(network.vector() + 1e-9)
    publication.save_weights(module, other := tmp_path / "other.npz")
    metrics, folder = spec.training["metrics"], tmp_path / spec.name
    with pytest.raises(InputError, match=f"results of the weights {WEIGHTS}, not of"):
        publication.publish(RECIPE, other, metrics, "", folder, RESULT)
    assert not folder.exists()
    facts = record(RECIPE, other, metrics, "")
    assert "atomization" not in words(card(RECIPE, facts))
    with pytest.raises(InputError, match="cannot read results"):
        publication.validation(tmp_path / "none.jsonl", WEIGHTS)


def test_record_says_what_it_was_made_from(spec: FunctionalSpec) -> None:
    training: dict[str, Any] = dict(spec.training)
    assert training["recipe_sha256"] == RECIPE.sha256
    assert training["weights_sha256"] == WEIGHTS
    systems = [
        s.name for s in training_sets.gather(training_sets.load(name) for name in RECIPE.sets)
    ]
    assert list(training["data"]) == systems
    errors = training["metrics"]["energy_errors_hartree"]
    assert max(abs(error) for error in errors.values()) < 2e-4


def energy(name: str, xc: str) -> float:
    atoms, spin = geometry(name)
    molecule = gto.M(atom=atoms, spin=spin, basis="def2-svp", verbose=0)
    method = (dft.UKS if spin else dft.RKS)(molecule, xc=xc).density_fit()
    assert adapter.converge(method).converged, (name, xc)
    return float(method.e_tot)


def test_atomization_energies_within_half_a_kcal() -> None:
    adapter.install()
    try:
        energies = {
            xc: {name: energy(name, xc) for name in ("H", "N", "H2", "NH2", "N2")}
            for xc in ("r2SCAN", "NN-r2SCAN")
        }
    finally:
        adapter.uninstall()
    for name, parts in (("H2", "HH"), ("NH2", "NHH"), ("N2", "NN")):
        values = [sum(e[x] for x in parts) - e[name] for e in energies.values()]
        assert abs(values[1] - values[0]) * KCAL < 0.25, name


def test_committed_table_holds_the_claim() -> None:
    """The full comparison, made by benchmarks/nn_r2scan_atomization.py."""
    settings, *rows = (json.loads(line) for line in RESULT.read_text().splitlines())
    by_system = {row["system"]: row for row in rows}
    assert set(FIRST_ROW) <= by_system.keys()
    assert settings["first_row"]["largest_kcal"] < 0.5
    assert all(abs(by_system[name]["difference_kcal"]) < 0.5 for name in FIRST_ROW)
    assert all(row["NN-r2SCAN"]["converged"] for row in rows)
