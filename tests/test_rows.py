"""Rows of the linear system and the fit of them: laws, on systems of a small basis."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.training_sets import public_folder
from xcnet.errors import InputError
from xcnet.scf.fixed_density import Scheme
from xcnet.systems import molecules, public_data, stretched
from xcnet.systems.molecules import Molecule, atom
from xcnet.systems.reactions import Reaction
from xcnet.training.linear import expansion, fit, mesh, preparation, recipe, table
from xcnet.training.linear.expansion import Orders
from xcnet.training.linear.preparation import Job
from xcnet.training.linear.recipe import Chosen
from xcnet.training.linear.table import IntegralTable
from xcnet.training.loss import constraints, energies, grids, prior, rows
from xcnet.training.loss.equations import Equations, solve
from xcnet.training.loss.rows import Linear, Row

SMALL = Scheme("r2scan", "def2-svp", "def2-universal-jkfit", 1, 1e-8)
GENERAL = recipe.load("general")
H2 = Molecule("H2", ("H", "H"), ((0.0, 0.0, 0.0), (0.0, 0.0, 0.7414)))
JOBS = {item.name: Job(item, SMALL, (1, 2)) for item in (atom("H"), atom("He"), H2)}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> IntegralTable:
    folder = tmp_path_factory.mktemp("rows")
    with ThreadPoolExecutor(1) as pool:
        assert preparation.run(JOBS.values(), folder, pool, lambda _: None) == {}
    return table.collect(JOBS.values(), folder, GENERAL.dispersion)


def _row(terms: dict[str, float], reference: float, level: int = 1) -> Row:
    named = tuple((n, JOBS[name], level) for name, n in terms.items())
    return Row("energies", "a set", "a row", named, reference, "mHa", 1000.0, 1.0)


def test_table_is_read_as_it_was_written(kept: IntegralTable, tmp_path: Path) -> None:
    table.write(tmp_path / "a.npz", kept)
    again = table.read(tmp_path / "a.npz")
    assert again.dispersion == GENERAL.dispersion
    assert again.entries.keys() == kept.entries.keys()
    for key, entry in kept.entries.items():
        other = again.entries[key]
        assert (other.columns == entry.columns).all()
        assert (other.rest, other.dispersion, other.levels) == (
            *(entry.rest, entry.dispersion),
            entry.levels,
        )
    (tmp_path / "a.npz").write_bytes(b"junk")
    with pytest.raises(InputError, match="table of integrals"):
        table.read(tmp_path / "a.npz")


def test_a_row_is_the_same_by_columns_and_by_functional(kept: IntegralTable) -> None:
    """The expansion's coefficients of uniform exchange alone give Slater's energy of the row."""
    row = _row({"H2": -1.0, "H": 2.0}, 0.0)
    system = rows.linear([row], kept)
    slater = np.zeros(system.matrix.shape[1])
    slater[0] = 1.0
    energies = {name: kept.value(job.name, 1, "columns")[0] for name, job in JOBS.items()}
    fixed = {name: float(kept.value(job.name, 1, "fixed")) for name, job in JOBS.items()}
    wanted = 2.0 * (energies["H"] + fixed["H"]) - energies["H2"] - fixed["H2"]
    error = float(system.matrix[0] @ slater - system.target[0])
    assert error == pytest.approx(1000.0 * float(wanted), abs=1e-9)
    # r2SCAN's atomization energy of H2 is 4.7 eV.
    assert rows.errors(row, kept, "r2SCAN") == pytest.approx(170.0, abs=15.0)


def test_rows_wait_for_what_is_not_calculated(kept: IntegralTable) -> None:
    unknown = Row(
        *("energies", "a set", "b", ((1.0, Job(atom("Li"), SMALL, (1,)), 1),)),
        *(0.0, "mHa", 1000.0, 1.0),
    )
    assert not unknown.ready(kept)
    assert not _row({"H": 1.0}, 0.0, level=6).ready(kept)
    assert rows.linear([_row({"H": 1.0}, 0.0), unknown], kept).matrix.shape[0] == 1


def test_the_recipe_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a recipe of rows"):
        recipe.load(str(tmp_path / "none.toml"))
    text = (recipe.FOLDER / "general.rows.toml").read_text()
    (tmp_path / "a.toml").write_text(text.replace('"e bohr"', '"debye"'))
    with pytest.raises(InputError, match="unit debye"):
        recipe.load(str(tmp_path / "a.toml"))
    for wrong in ("s8 = 1.0\na1 = 0.5", "s8 = 1.0\na1 = 0.5\na2 = 5.0\na3 = 1.0"):
        (tmp_path / "a.toml").write_text(
            f"{text.partition('[dispersion]')[0]}[dispersion]\n{wrong}"
        )
        with pytest.raises(InputError, match="has D4's a1, a2, s8"):
            recipe.load(str(tmp_path / "a.toml"))


def test_no_set_is_fitted_and_watched() -> None:
    fitted = {(item.set, item.part) for item in GENERAL.energies}
    watched = {(item.set, item.part) for item in GENERAL.validation}
    assert not fitted & watched
    assert not {item.set for item in GENERAL.chosen()} & {"diet30", "diet100"}


def test_what_the_recipe_names_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reactions with a sigma of their own, in a set and its unit: H and He among the atoms."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    public_data.install("ae18", public_folder("ae18"))
    (atoms,) = [item for item in GENERAL.energies if item.set == "ae18"]
    by_name = {row.name: row for row in energies.rows(atoms, "energies")}
    assert set(atoms.tight) <= by_name.keys()
    assert {by_name[name].terms[0][1].system.symbols for name in atoms.tight} == {("H",), ("He",)}
    assert by_name["AE18_1"].reference == pytest.approx(-500.0, abs=1e-3)  # mHa
    assert by_name["AE18_1"].sigma == atoms.tight["AE18_1"] < by_name["AE18_3"].sigma


def test_grids_of_systems_without_energies() -> None:
    """The set's tetrahedra have bonds where a grid has points; no test set has its molecules."""
    settings = replace(GENERAL.grids, sets=("halides",))
    chosen = replace(GENERAL, grids=settings)
    jobs = {job.name for job in grids.jobs(chosen)}
    made = list(grids.rows(chosen))
    assert {row.name for row in made} >= {"SiHCl3", "PCl4+", "AlCl4-"}
    for row in made:
        (one, coarse, low), (other, fine, high) = row.terms
        assert (one, other, low, high) == (1.0, -1.0, *settings.levels)
        assert coarse.name == fine.name
        assert coarse.name in jobs
        assert set(settings.levels) <= set(coarse.levels)


def test_rows_far_off_count_less_but_those_with_a_sigma_of_their_own() -> None:
    off = np.array([[1.0], [40.0], [40.0]])
    plain, far = _row({"H": 1.0}, 0.0), _row({"He": 1.0}, 0.0)
    linear = Linear((plain, far, replace(far, tight=True)), off, np.zeros(3))
    assert fit.robust(linear, np.ones(1)) == pytest.approx([1.0, fit.SPARSE / 40.0, 1.0])


def test_derivatives_of_factors() -> None:
    orders = Orders((5, 4), (3, 3), (4, 3), 2)
    points = np.array([[0.3, 0.6, 0.2], [0.7, 0.1, -0.5]])
    step = 1e-4
    for part in mesh.PARTS:
        for axis, order in ((0, (1, 0)), (1, (0, 1))):
            shift = step * np.eye(3)[axis]
            plus, minus = (mesh.values(part, orders, points + s * shift) for s in (1.0, -1.0))
            given = mesh.values(part, orders, points, order)
            assert given == pytest.approx((plus - minus) / (2.0 * step), abs=1e-5)


def test_the_prior_has_r2scans_exchange(kept: IntegralTable) -> None:
    """Known points: the gas, and one orbital (at most 1.174, a lower value at small u)."""
    u, beta = np.array([0.0, 0.0]), np.array([0.5, 0.0])
    factor = expansion.r2scan_exchange(u, beta)
    assert factor[0] == pytest.approx(1.0, abs=1e-4)
    assert factor[1] == pytest.approx(1.174, abs=1e-3)
    places = GENERAL.expansion.within(expansion.KEPT)
    system = rows.linear([_row({"He": 1.0}, 0.0)], kept)
    matrix = system.matrix[:, places]
    r2scan = system.target + rows.errors(system.rows[0], kept, "r2SCAN")
    nearest = prior.coefficients(GENERAL, matrix, r2scan, system.sigma)
    assert matrix @ nearest == pytest.approx(r2scan, abs=1.0)  # mHa


def test_bounds_hold_and_the_gas_is_exact() -> None:
    """A fit that is pulled far out of the bounds stays inside, and 1 at the uniform gas."""
    orders = GENERAL.expansion
    size = sum(orders.sizes().values())
    points = mesh.of_part("exchange", orders).points
    pull = 0.1 * mesh.rows("exchange", orders, points)
    wanted = 0.1 * (3.0 * points[:, 0] + 1.0 - points[:, 1])
    ridge = Equations(1e-3 * np.eye(size), np.zeros(size))
    gas = constraints.uniform_gas(GENERAL)
    everything = Equations(
        np.concatenate([pull, ridge.matrix, gas.matrix]),
        np.concatenate([wanted, ridge.target, gas.target]),
    )
    free, held = solve(everything), constraints.bounded(GENERAL, everything)
    assert constraints.broken(GENERAL, free)["exchange"] > 0.1
    assert constraints.broken(GENERAL, held) == dict.fromkeys(mesh.PARTS, 0.0)
    assert gas.matrix @ held / gas.target == pytest.approx(1.0, abs=1e-3)


def test_bonds_are_stretched_by_halves() -> None:
    water = molecules.read("H2O")
    (bond,) = stretched.bonds(water)  # both are one kind
    longer = stretched.stretch(water, bond, 0.02)
    i, j = bond

    def length(item: Molecule) -> float:
        return float(np.linalg.norm(np.subtract(item.positions[i], item.positions[j])))

    assert length(longer) - length(water) == pytest.approx(0.02, abs=1e-12)
    still = next(k for k in range(3) if k not in bond)
    center = water.symbols.index("O")
    kept = np.subtract(longer.positions[still], longer.positions[center])
    assert kept == pytest.approx(np.subtract(water.positions[still], water.positions[center]))


def test_bonds_in_rings_are_left_alone() -> None:
    ring = molecules.read("C3H6_D3h")
    bonds = {frozenset((ring.symbols[i], ring.symbols[j])) for i, j in stretched.bonds(ring)}
    assert bonds == {frozenset(("C", "H"))}


def test_orders_have_all_columns_once() -> None:
    places = expansion.KEPT.within(expansion.KEPT)
    assert (places == np.arange(sum(expansion.KEPT.sizes().values()))).all()


def test_reactions_with_anions_have_diffuse_functions() -> None:
    compact = Chosen("a set", "kcal/mol", scheme="compact")
    chlorine, anion = atom("Cl"), replace(atom("Cl"), charge=-1, spin=0)
    neutral = Reaction("neutral", ((1, chlorine),), 0.0)
    charged = Reaction("charged", ((1, chlorine), (-1, anion)), 0.0)
    assert [job.scheme for job in compact.jobs(neutral)] == [preparation.COMPACT]
    assert [job.scheme for job in compact.jobs(charged)] == [preparation.COARSE] * 2


def test_a_recipe_has_what_its_base_says() -> None:
    hybrid = recipe.load("hybrid")
    assert (hybrid.energies, hybrid.mesh) == (GENERAL.energies, GENERAL.mesh)
    assert (GENERAL.exact_exchange, hybrid.exact_exchange) == (0.0, 0.15)
    assert hybrid.record.name != GENERAL.record.name
    assert hybrid.sha256 != GENERAL.sha256


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"gga"', '"lda"', "family lda is none of mgga, gga"),
        ("[8, 1]", "[8, 4]", r"\[expansion\] is more than what gga integrates, .*\(24, 1\)"),
        ('"PBE"', '"TPSS"', "prior TPSS is none of r2SCAN, PBE"),
    ],
)
def test_recipes_of_a_family_have_what_it_integrates(
    tmp_path: Path, old: str, new: str, reason: str
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text((recipe.FOLDER / "gga.rows.toml").read_text().replace(old, new))
    with pytest.raises(InputError, match=reason):
        recipe.load(str(path))


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"general"\n\n[record]', '"nothing"\n\n[record]', "start nothing is no shipped recipe"),
        ("contrast = 2", "contrast = 3", "more than what near-region integrates"),
        ("contrast = 2", "contrast = 0", "powers of the contrast are 1 or more"),
        ('"near-region"', '"mgga"', "more than what mgga integrates"),
        ("contrast = 2", "radius = 2", "radius"),
    ],
)
def test_recipes_with_the_near_region_density_are_checked(
    tmp_path: Path, old: str, new: str, reason: str
) -> None:
    path = tmp_path / "mine.toml"
    text = (recipe.FOLDER / "nra.rows.toml").read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(InputError, match=reason):
        recipe.load(str(path))


def test_the_gas_and_bounds_of_an_expansion_with_the_contrast() -> None:
    """Factors are 1 in the gas whatever v, and broken bounds are found at any v."""
    chosen = recipe.load("nra")
    gas = constraints.uniform_gas(chosen)
    coefficients = np.linalg.lstsq(gas.matrix, gas.target, rcond=None)[0]
    v = np.linspace(-1.0, 1.0, 7)
    points = np.stack([np.zeros(7), np.full(7, 0.5), v], axis=1)
    for part in mesh.PARTS:
        assert mesh.rows(part, chosen.expansion, points) @ coefficients == pytest.approx(1.0)
    coefficients = np.zeros(len(coefficients))
    places = chosen.expansion.parts()["opposite"]
    coefficients[places.start] = 1.0
    coefficients[places.start + 25] = 1.2  # of v: below zero at v = -1
    assert constraints.broken(chosen, coefficients)["opposite"] == pytest.approx(0.2)
    assert constraints.broken(chosen, coefficients)["equal"] == 0.0


def test_no_recipe_has_a_base_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('base = "nothing"\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"mine\.toml is not a recipe of rows: .*nothing"):
        recipe.load(str(path))
