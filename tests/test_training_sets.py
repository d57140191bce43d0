"""Training sets: their form, their parts, and that none holds a molecule of the test set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.training_sets import added, w4_17_file
from xcnet import cli
from xcnet.errors import InputError
from xcnet.systems import (
    kept_data,
    molecules,
    overlap,
    public_data,
    public_sets,
    reactions,
    sets,
    training_sets,
    units,
)
from xcnet.systems.molecules import Molecule
from xcnet.systems.training_sets.described import DescribedSet

SHIPPED = ("atoms_h_ne", "atoms_na_ar", "halides", "three-molecules", "water_ammonia_nitric_oxide")
W4_17 = training_sets.source("w4-17")
assert isinstance(W4_17, DescribedSet)
MEMBERS = W4_17.molecules
TESTED = [r.terms[0][1] for r in reactions.reactions(sets.load("ae147"))]

METHANE = """
title = "a test"
doi = ""
format = "inline"
[splits]
train = 1
[[systems]]
name = "CH4"
charge = 0
multiplicity = 1
symbols = ["C", "H", "H", "H", "H"]
positions_angstrom = [
    [0.0, 0.0, 0.0],
    [0.629118, 0.629118, 0.629118],
    [-0.629118, -0.629118, 0.629118],
    [0.629118, -0.629118, -0.629118],
    [-0.629118, 0.629118, -0.629118],
]
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """User's cache of one test, empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def w4(cache: Path) -> training_sets.DataSet:
    public_data.install("w4-17", w4_17_file())
    return training_sets.load("w4-17")


def test_sets_are_found() -> None:
    assert training_sets.names() == sorted([*SHIPPED, "w4-17", *public_sets.names()])


@pytest.mark.parametrize("name", training_sets.names())
def test_each_says_what_it_is(name: str) -> None:
    source = training_sets.source(name)
    assert len(source.sha256) == 64
    assert set(source.splits) & {"train", "validation", "test"}
    assert source.title


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_sets_load(name: str) -> None:
    chosen = training_sets.load(name)
    known = {system.name: system for system in chosen.systems}
    assert len(known) == len(chosen.systems)
    for reaction in chosen.reactions:
        assert all(known[system.name] == system for _, system in reaction.terms)
        # Nuclei balance, but for the proton that H becomes.
        nuclei = sum(n * (item.electrons + item.charge) for n, item in reaction.terms)
        assert nuclei == (-1 if reaction.name == "H+" else 0)


def test_three_molecules_have_atomization_and_ionization_energies() -> None:
    by_name = {item.name: item for item in training_sets.load("three-molecules").reactions}
    assert set(by_name) == {"H2O", "NH3", "NO", "H+", "N+", "O+", "H2O+", "NH3+", "NO+"}
    # W4 of A. Karton et al. (2017), zero-point exclusive and nonrelativistic, kcal/mol.
    for name, wanted in {"H2O": 232.98, "NH3": 298.01, "NO": 152.75}.items():
        assert by_name[name].reference * units.KCAL_PER_HARTREE == pytest.approx(wanted, abs=0.75)
    # NIST Atomic Spectra Database, eV; the largest deviation is that of O, -0.022.
    for name, wanted in {"H+": 13.598, "N+": 14.534, "O+": 13.618}.items():
        given = by_name[name].reference * units.EV_PER_HARTREE
        assert given == pytest.approx(wanted, abs=0.025)


def test_split_takes_every_fifth_whatever_the_order() -> None:
    names = [f"molecule {i}" for i in range(77)]
    parts = training_sets.split(names, {"train": 4, "validation": 1})
    assert sorted(parts["train"] + parts["validation"]) == sorted(names)
    assert len(parts["validation"]) == 15
    assert training_sets.split(names[::-1], {"train": 4, "validation": 1}) == parts


def test_part_of_a_set_has_the_systems_it_needs(w4: training_sets.DataSet) -> None:
    assert len(w4.reactions) == 75
    train, validation = w4.part("train"), w4.part("validation")
    assert (len(train.reactions), len(validation.reactions)) == (60, 15)
    assert set(train.reactions) | set(validation.reactions) == set(w4.reactions)
    for part in (train, validation):
        needed = {term.name for reaction in part.reactions for _, term in reaction.terms}
        assert {system.name for system in part.systems} == needed
    assert len(training_sets.load("atoms_h_ne").part("train").systems) == 10
    with pytest.raises(InputError, match="no part 'test', but train, validation"):
        w4.part("test")


def test_w4_17_is_in_hartree(w4: training_sets.DataSet) -> None:
    energies = {reaction.name: reaction.reference for reaction in w4.reactions}
    assert energies.keys() == MEMBERS.keys()
    assert energies["alh"] == pytest.approx(0.11726, abs=1e-4)


def test_missing_or_altered_data_name_the_command(cache: Path) -> None:
    with pytest.raises(InputError, match="run `xcnet train data w4-17`"):
        training_sets.load("w4-17")
    path = kept_data.location("w4-17")
    path.parent.mkdir(parents=True)
    path.write_text("[]")
    with pytest.raises(InputError, match=r"are altered .*; run `xcnet train data w4-17`"):
        training_sets.load("w4-17")
    path.write_text("junk")
    with pytest.raises(InputError, match=r"cannot be read .*: run `xcnet train data w4-17`"):
        training_sets.load("w4-17")


def test_altered_shipped_data(monkeypatch: pytest.MonkeyPatch) -> None:
    altered = replace(training_sets.source("atoms_h_ne"), sha256="0" * 64)
    monkeypatch.setitem(training_sets._sources(), "atoms_h_ne", altered)
    with pytest.raises(InputError, match=r"are altered .*reinstall xcnet"):
        training_sets.load("atoms_h_ne")


def test_one_name_is_one_system() -> None:
    water = training_sets.load("water_ammonia_nitric_oxide")
    moved = replace(water, systems=(replace(water.systems[0], charge=1), *water.systems[1:]))
    assert training_sets.gather([water, water]) == list(water.systems)
    with pytest.raises(InputError, match="a system H2O each, and these differ"):
        training_sets.gather([water, moved])


def test_no_shipped_set_is_in_the_test_set() -> None:
    for name in SHIPPED:
        training_sets.gather([training_sets.load(name)])


def test_w4_17_is_not_in_the_test_set_by_its_fingerprints() -> None:
    assert len(MEMBERS) == 75
    assert not set(MEMBERS.values()) & {overlap.fingerprint(item) for item in TESTED}


def test_w4_17_is_not_in_the_test_set_by_its_geometries(w4: training_sets.DataSet) -> None:
    training_sets.gather([w4])
    molecules = [system for system in w4.systems if len(system.symbols) > 1]
    assert {m.name: overlap.fingerprint(m) for m in molecules} == dict(MEMBERS)


def moved(molecule: Molecule, rng: np.random.Generator) -> Molecule:
    """The molecule with its atoms in another order, turned, and moved by 0.03 angstrom."""
    order = rng.permutation(len(molecule.symbols))
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    positions = np.array(molecule.positions)[order] @ turn
    positions += 0.03 * rng.uniform(-1.0, 1.0, positions.shape)
    return replace(
        molecule,
        name="other",
        symbols=tuple(molecule.symbols[i] for i in order),
        positions=tuple((float(x), float(y), float(z)) for x, y, z in positions),
    )


def test_every_test_molecule_is_recognized() -> None:
    rng = np.random.default_rng(0)
    for molecule in TESTED:
        known = overlap.in_test_set(moved(molecule, rng))
        # Two states of CH2 and of SiH2 are one molecule here.
        assert known.split("_")[0] == molecule.name.split("_")[0], molecule.name


def test_isomers_and_stretched_molecules() -> None:
    vinylidene = molecules.read("C 0 0 0; C 0 0 1.3; H 0.94 0 1.83; H -0.94 0 1.83")
    assert overlap.in_test_set(vinylidene) == ""
    # Far from bonded: no bond counts, the distances do.
    assert overlap.in_test_set(molecules.read("N 0 0 0; N 0 0 1.19")) == "N2"
    assert overlap.in_test_set(molecules.read("N 0 0 0; N 0 0 3.0")) == ""


def test_only_the_three_molecules_may_be_trained_on() -> None:
    for name in overlap.ALLOWED:
        overlap.refuse([molecules.read(name)])
        overlap.refuse([molecules.read(name, charge=1)])
    with pytest.raises(InputError, match="training molecule CH4 is CH4 of the test set AE147"):
        overlap.refuse([molecules.atom("C"), molecules.read("CH4")])


@pytest.mark.slow
def test_training_on_the_test_set_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the command, before any work; the set is one more file."""
    shipped = (Path(cli.__file__).parent / "training/recipes/nn_r2scan.toml").read_text()
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(shipped.replace('sets = ["', 'sets = ["methane", "'))
    with added(tmp_path / "sets", METHANE, "methane"):
        assert "methane" in training_sets.names()
        words = ["train", str(recipe), "--output", str(tmp_path), "--data", str(tmp_path / "data")]
        assert cli.main(words) == cli.EXIT_ERROR
    assert "CH4 of the test set" in capsys.readouterr().err
    assert "methane" not in training_sets.names()


def test_parts_of_three_molecules() -> None:
    whole = training_sets.load("three-molecules")
    atomization, ionization = whole.part("atomization"), whole.part("ionization")
    assert whole.part("train").reactions == whole.reactions
    assert {item.name for item in atomization.reactions} == {"H2O", "NH3", "NO"}
    assert {item.name for item in atomization.systems} == {"H", "N", "O", "H2O", "NH3", "NO"}
    rest = set(whole.reactions) - set(atomization.reactions)
    assert set(ionization.reactions) == rest
