"""Directions in which three molecules may change r2SCAN."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import few_directions
from benchmarks.few_directions import Changes
from xcnet.scf import fixed_density
from xcnet.scf.fixed_density import Scheme
from xcnet.systems.molecules import Molecule, atom
from xcnet.training.linear import integrals

SCHEME = Scheme("r2scan", "def2-svp", "def2-universal-jkfit", 1, 1e-8)
H2 = Molecule("H2", ("H", "H"), ((0.0, 0.0, 0.0), (0.0, 0.0, 0.7414)))


def test_no_direction_changes_one_electron() -> None:
    change = few_directions.directions(fixed_density.solve(atom("H"), SCHEME))
    assert np.abs(change).max() < 1e-8


def test_lyp_is_lyp() -> None:
    """Of a closed shell, where the factor of paired spins is 1."""
    state = fixed_density.solve(H2, SCHEME)
    _, lyp, paired, _ = few_directions.directions(state)
    expected = sum(
        integrals._energy(("GGA_C_LYP",), *block) - integrals._energy(("MGGA_C_R2SCAN",), *block)
        for block in integrals.blocks(state, few_directions.LEVEL)
    )
    assert lyp == pytest.approx(expected, abs=1e-9)
    assert paired == pytest.approx(lyp, abs=1e-12)


def test_three_energies_determine_numbers() -> None:
    rng = np.random.default_rng(3)
    three = Changes(rng.normal(size=(3, 4)), rng.normal(size=3))
    exact = few_directions.numbers(three, (0, 1, 3), 0.0)
    assert three.mean((0, 1, 3), exact) < 1e-12
    held = few_directions.numbers(three, (0, 1, 3), 1.0)
    assert np.abs(held).sum() < np.abs(exact).sum()


def test_the_fifteen_choose() -> None:
    """The best by them stands first, r2SCAN last."""
    rng = np.random.default_rng(4)
    three, fifteen, sixty, accurate, experiment = (
        Changes(rng.normal(size=(n, 4)), rng.normal(size=n)) for n in (3, 5, 6, 7, 7)
    )
    made = few_directions.page(three, fifteen, sixty, (accurate, experiment))
    rows = [line.split(" | ") for line in made.splitlines() if line.startswith("| ")][2:]
    means = [float(row[3]) for row in rows[:-1]]
    assert means == sorted(means)
    assert "r2SCAN" in rows[-1][0]
