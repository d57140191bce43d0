"""Few accurate energies: the recipe, fits that share what they are held by, and AE147's rows."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import ae147_rows, few_molecules, few_molecules_page
from benchmarks.ae147_rows import Ae147
from benchmarks.few_molecules import Prepared
from tests.training_sets import public_folder
from xcnet.bench import statistics, store
from xcnet.errors import InputError
from xcnet.scf.fixed_density import Scheme
from xcnet.systems import public_data
from xcnet.systems.molecules import Molecule, atom
from xcnet.training.linear import expansion, factors, fit, preparation, recipe, table
from xcnet.training.linear.expansion import Orders
from xcnet.training.linear.fit import LinearProblem
from xcnet.training.linear.preparation import Job
from xcnet.training.linear.report import Line
from xcnet.training.linear.table import IntegralTable
from xcnet.training.loss import rows
from xcnet.training.loss.equations import Equations, compressed, solve
from xcnet.training.loss.rows import Linear, Row
from xcnet.training.publish import general

THREE = replace(recipe.load(str(few_molecules.RECIPE)), expansion=Orders((3, 3), (2, 2), (3, 3), 1))
SCHEME = Scheme("r2scan", "def2-svp", "def2-universal-jkfit", 1, 1e-8)
FACTS = {"description": "Three factors", "domain": {"elements": ["H"]}}
H2 = Molecule("H2", ("H", "H"), ((0.0, 0.0, 0.0), (0.0, 0.0, 0.7414)))
JOBS = {system.name: Job(system, SCHEME, (1,)) for system in (atom("H"), atom("He"), H2)}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> IntegralTable:
    folder = tmp_path_factory.mktemp("rows")
    lithium = [job for job in ae147_rows.jobs() if job.system.name in ("H", "Li", "LiH")]
    jobs = [*JOBS.values(), *lithium]
    with ThreadPoolExecutor(1) as pool:
        assert preparation.run(jobs, folder, pool, lambda _: None) == {}
    return table.collect(jobs, folder, None)


def _linear(integrals: IntegralTable, shift: float = 0.0) -> Linear:
    sums = {"h2": {"H2": -1.0, "H": 2.0}, "h": {"H": 1.0}, "he": {"He": 1.0}}
    known = {"h2": 174.5, "h": -500.0, "he": -2903.7}
    return rows.linear(
        [
            Row(
                *("energies", "a set", name, tuple((n, JOBS[s], 1) for s, n in terms.items())),
                *(known[name] + shift, "mHa", 1000.0, 0.5),
            )
            for name, terms in sums.items()
        ],
        integrals,
    )


@pytest.fixture(scope="module")
def problem(kept: IntegralTable) -> LinearProblem:
    small = fit.columns(_linear(kept), THREE.expansion.within(expansion.KEPT))
    none = small.subset(np.arange(0))
    prior = fit.nearest(THREE, (none, none, small), kept)
    return LinearProblem(THREE.expanded(), small, none, small, prior)


def test_the_recipe_trains_on_three_molecules_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Validation molecules are in no other part; the atoms are those of the three, and helium."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    public_data.install("ae18", public_folder("ae18"))
    three = recipe.load(str(few_molecules.RECIPE))
    molecules, atoms = three.energies
    names = {reaction.name for reaction in molecules.reactions()}
    assert {name for name in names if "+" not in name} == {"H2O", "NH3", "NO"}
    assert len(atoms.reactions()) == 4
    assert {(c.set, c.part) for c in three.validation} == {("w4-17", "validation")}
    assert {(c.set, c.part) for c in three.known} == {("w4-17", "train"), ("ae18", "")}
    (tmp_path / "weights").write_bytes(b"none")
    facts = general.record(three, [], {"O", "H"}, "0" * 64, tmp_path / "weights")
    assert facts["domain"]["elements"] == ["H", "O"]
    assert facts["dispersion"] is None
    assert "r2SCAN's energies of w4-17 and ae18" in facts["training"]["protocol"]
    assert "Validation energies chose which factor changes" in facts["training"]["protocol"]


def test_the_card_says_what_was_fitted() -> None:
    """Errors of rows that only watched are told apart; no dispersion is claimed."""
    lines = [
        Line(term, "w4-17", "kcal/mol", 3, 3, 0.5, None, 0.7, "a", {})
        for term in ("energies", "validation")
    ]
    three = recipe.load(str(few_molecules.RECIPE))
    text = " ".join(general.card(three, FACTS, lines).split())
    assert "w4-17 (3 energies) 0.5 kcal/mol; w4-17 (3 validation, not fitted) 0.5" in text
    assert "it was fitted without any" in text


def test_dispersion_is_left_out_where_no_recipe_asks_for_it(kept: IntegralTable) -> None:
    assert {entry.dispersion for entry in kept.entries.values()} == {0.0}
    some = {key: replace(entry, dispersion=-1e-3) for key, entry in kept.entries.items()}
    made = IntegralTable(some, {"s8": 1.0, "a1": 0.5, "a2": 5.0})
    left = table.beside(made, None)
    assert left.entries.keys() == kept.entries.keys()
    assert {entry.dispersion for entry in left.entries.values()} == {0.0}
    assert table.beside(made, {"s8": 1.0, "a1": 0.5, "a2": 5.0}) is made
    for other in (made, left):
        with pytest.raises(InputError, match="make a table by this recipe"):
            table.beside(other, {"s8": 0.9, "a1": 0.5, "a2": 5.0})


def test_the_prior_knows_no_accurate_energy(kept: IntegralTable, problem: LinearProblem) -> None:
    """Other accurate values of the known rows, the same prior: r2SCAN's energies make it."""
    moved = fit.columns(_linear(kept, shift=50.0), THREE.expansion.within(expansion.KEPT))
    none = moved.subset(np.arange(0))
    prior = fit.nearest(THREE, (none, none, moved), kept)
    assert prior == pytest.approx(problem.prior, abs=1e-8)


def test_only_opposite_spins_change(problem: LinearProblem) -> None:
    change = problem.fit(constrained=False) - problem.prior
    sizes = {name: np.abs(change[part]).max() for name, part in THREE.expansion.parts().items()}
    assert sizes["opposite"] > 10.0 * max(sizes["exchange"], sizes["equal"])


def test_fits_that_share_equations_are_the_same(problem: LinearProblem) -> None:
    """With and without rows that are far off and count less."""
    shared = Prepared(problem, problem.held())
    for kept in ([0, 1, 2], [0], [1, 2]):
        alone = problem.fit(np.array(kept), constrained=False)
        assert shared.fit(kept) == pytest.approx(alone, rel=1e-6, abs=1e-9)


def test_compressed_equations_have_the_same_sums_of_squares() -> None:
    rng = np.random.default_rng(1)
    long = Equations(rng.normal(size=(30, 4)), rng.normal(size=30))
    short = compressed(long)
    assert short.matrix.shape == (5, 4)
    for x in rng.normal(size=(3, 4)):
        sums = [np.square(e.matrix @ x - e.target).sum() for e in (long, short)]
        assert sums[0] == pytest.approx(sums[1], rel=1e-12)
    assert solve(short) == pytest.approx(solve(long), abs=1e-10)


def test_few_directions_are_those_that_rows_see_most(problem: LinearProblem) -> None:
    """One direction: the fit moves along the change of least cost that moves the one row."""
    held, row = problem.held(), problem.known.matrix[:1]
    triangle = held.matrix[: len(problem.prior)]
    cheapest = np.linalg.solve(triangle, np.linalg.solve(triangle.T, row[0]))
    one = few_molecules.along(held, row, problem.prior, 1)
    change = problem.fit(constrained=False, held=one) - problem.prior
    cosine = change @ triangle.T @ triangle @ cheapest
    cosine /= np.linalg.norm(triangle @ change) * np.linalg.norm(triangle @ cheapest)
    assert abs(cosine) == pytest.approx(1.0, abs=1e-3)


def test_evidence_is_the_density_of_what_the_prior_predicts(problem: LinearProblem) -> None:
    """Of one row: a normal distribution about the prior's value, its variance by the mesh."""
    held = problem.held()
    item, row = Prepared(problem, held), problem.fitted.matrix[0]
    triangle = held.matrix[: len(problem.prior)]
    sigma = problem.fitted.sigma[0]
    variance = np.square(np.linalg.solve(triangle.T, row)).sum() / sigma**2 + 1.0
    off = (problem.fitted.target[0] - row @ problem.prior) / sigma
    wanted = -0.5 * (off**2 / variance + np.log(variance))
    assert item.evidence([0]) == pytest.approx(wanted, rel=1e-6)


def test_networks_keep_the_energies_that_the_expansion_reached(problem: LinearProblem) -> None:
    """At the prior's coefficients nothing of what holds the networks is broken."""
    fixed = factors._fixed(problem)
    assert fixed.matrix @ problem.prior == pytest.approx(fixed.target, abs=1e-9)
    assert len(fixed.target) == len(problem.fixed().target) + len(problem.known.rows)


def test_ae147_is_r2scan_where_nothing_changes(kept: IntegralTable) -> None:
    members = Ae147.of(kept, expansion.KEPT)
    assert (members.members, members.total) == (("LiH",), 147)
    shape = members.matrix[0] / (members.matrix[0] @ members.matrix[0])
    same = shape * members.base[0]
    assert members.means(same) == pytest.approx(members.measured("r2SCAN"), abs=1e-9)
    more = shape * (members.base[0] + 2.0)
    both = zip(members.errors["r2SCAN"], members.means(more), strict=True)
    assert [abs(of[0] + 2.0) for of, _ in both] == pytest.approx(list(members.means(more)))
    (section,) = statistics.sections(store.read(ae147_rows.RECORDS))
    known = next(c for c in section.columns if c.label == "r2SCAN").statistics(
        section.subsets["AE147"]
    )
    assert known is not None
    assert members.whole["r2SCAN"][1] == pytest.approx(known.mae)


def test_results_are_of_the_recipe_as_it_is() -> None:
    """The page's alternative that the fifteen chose is the recipe's."""
    page = few_molecules_page.RESULT.read_text(encoding="utf-8")
    cells = next(x for x in page.splitlines() if x.startswith("| the fifteen")).split(" | ")
    change = THREE.change
    assert change is not None
    assert few_molecules.FACTORS[cells[1]] == (change.exchange, change.equal, change.opposite)
    assert (float(cells[2]), cells[3]) == (change.curvature, "all")
