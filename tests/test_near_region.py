"""The near-region descriptor: both definitions against direct evaluation, and their adjoints."""

from __future__ import annotations

import dataclasses
import math
import multiprocessing
import subprocess
import sys
import tracemalloc

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("numba")

from scipy.special import spherical_in, spherical_kn

from tests.grids import Case, benchmark_molecule, molecular_grid
from xcnet import engine
from xcnet.errors import (
    ArgumentTypeError,
    InputError,
    MissingInputError,
    MissingPackageError,
)
from xcnet.operators import compiled
from xcnet.operators.near_region import NearRegion
from xcnet.operators.near_region.continuum import HIGH_ORDER, ORDER, Continuum
from xcnet.operators.near_region.grid_sum import BLOCK, GridSum
from xcnet.operators.near_region.radial import DECAY, _mesh, kernel
from xcnet.operators.points import read_points

Array = npt.NDArray[np.float64]

SIGMA, CUTOFF = 0.2, 1e-3
PUBLISHED = NearRegion("grid-sum", SIGMA, CUTOFF)
CONTINUUM = NearRegion("continuum", SIGMA)


def direct_sum(coords: Array, charges: Array, sigma: float, cutoff: float) -> Array:
    """The published formula, one pair after the other."""
    result = np.zeros(len(coords))
    for i, r in enumerate(coords):
        for s, charge in zip(coords, charges, strict=True):
            d = math.dist(r, s) / sigma
            if d < -math.log(cutoff):
                result[i] += math.exp(-d) * charge
    return result


def clouds(points: int, seed: int = 0) -> Array:
    """Points as around nuclei: dense at a few places, some coinciding, some far away."""
    rng = np.random.default_rng(seed)
    centres = np.array([[0.0, 0.0, 0.0], [1.5, 0.3, 0.0], [40.0, -7.0, 3.0]])
    radii = 10.0 ** rng.uniform(-4, 0.6, (points, 1))
    directions = rng.normal(size=(points, 3))
    coords = centres[rng.integers(0, 3, points)] + radii * directions
    coords[: points // 10] = coords[points // 2 : points // 2 + points // 10]
    return coords


# -- grid sum ----------------------------------------------------------------------------------


@pytest.mark.parametrize("points", [1, 2, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5, 700])
@pytest.mark.parametrize(("sigma", "cutoff"), [(0.2, 1e-3), (0.5, 1e-3), (0.2, 1e-14)])
def test_grid_sum_is_the_direct_sum(points: int, sigma: float, cutoff: float) -> None:
    coords = clouds(points)
    charges = np.random.default_rng(1).normal(size=points)
    expected = direct_sum(coords, charges, sigma, cutoff)
    scale = direct_sum(coords, np.abs(charges), sigma, cutoff)
    given = GridSum(coords, sigma, cutoff).apply(charges)
    assert (np.abs(given - expected) / scale).max() < 1e-12


def test_grid_sum_of_nothing() -> None:
    assert GridSum(np.zeros((0, 3)), SIGMA, CUTOFF).apply(np.zeros(0)).shape == (0,)
    assert not GridSum(clouds(50), SIGMA, CUTOFF).apply(np.zeros(50)).any()


def test_grid_sum_of_points_that_coincide() -> None:
    coords, charges = np.ones((100, 3)), np.arange(100.0)
    given = GridSum(coords, SIGMA, CUTOFF).apply(charges)
    np.testing.assert_allclose(given, charges.sum(), rtol=1e-13)


def test_grid_sum_does_not_depend_on_order_or_threads() -> None:
    coords, charges = clouds(3000), np.random.default_rng(2).uniform(size=3000)
    first = GridSum(coords, SIGMA, CUTOFF).apply(charges)
    engine.set_num_threads(1)
    try:
        np.testing.assert_array_equal(GridSum(coords, SIGMA, CUTOFF).apply(charges), first)
    finally:
        engine.set_num_threads(None)
    order = np.random.default_rng(3).permutation(3000)
    shuffled = GridSum(coords[order], SIGMA, CUTOFF).apply(charges[order])
    np.testing.assert_allclose(shuffled, first[order], rtol=1e-13)


def test_grid_sum_on_a_molecule_with_a_ghost_and_a_far_atom() -> None:
    case = molecular_grid("O 0 0 0; H 0 0 1; ghost-H 0 1 0; He 0 0 30", level=0)
    some = np.random.default_rng(0).choice(len(case.density), 40, replace=False)
    charges = case.points.weights * case.density
    given = GridSum(case.points.coords, SIGMA, CUTOFF).apply(charges)
    d = np.linalg.norm(case.points.coords[some, None] - case.points.coords, axis=2) / SIGMA
    expected = (np.exp(-d) * (d < -math.log(CUTOFF))) @ charges
    np.testing.assert_allclose(given[some], expected, rtol=1e-12)


# -- adjoint, invariance, resources ------------------------------------------------------------


@pytest.fixture(scope="module")
def water() -> Case:
    return molecular_grid("O 0 0 0; H 0 0.757 0.587; H 0 -0.757 0.587", level=1)


@pytest.mark.parametrize("descriptor", [PUBLISHED, CONTINUUM], ids=lambda d: d.definition)
def test_adjoint(water: Case, descriptor: NearRegion) -> None:
    rng = np.random.default_rng(0)
    matrix = descriptor.on(water.points)
    for _ in range(3):
        u, v = rng.normal(size=(2, len(water.density), 1))
        forward, backward = matrix.apply(u), matrix.transpose(v)
        scale = np.linalg.norm(v) * np.linalg.norm(forward)
        assert abs((v * forward - backward * u).sum()) < 1e-13 * scale


@pytest.mark.parametrize("descriptor", [PUBLISHED, CONTINUUM], ids=lambda d: d.definition)
def test_linear(water: Case, descriptor: NearRegion) -> None:
    u, v = np.random.default_rng(1).normal(size=(2, len(water.density), 1))
    matrix = descriptor.on(water.points)
    together = matrix.apply(2 * u - v)
    apart = 2 * matrix.apply(u) - matrix.apply(v)
    np.testing.assert_allclose(together, apart, atol=1e-13 * np.abs(apart).max())


def test_continuum_does_not_depend_on_the_order_of_points(water: Case) -> None:
    order = np.random.default_rng(3).permutation(len(water.density))
    charges = water.points.weights * water.density
    first = Continuum(water.points, SIGMA).apply(charges)
    shuffled = Continuum(water.reordered(order).points, SIGMA).apply(charges[order])
    np.testing.assert_allclose(shuffled, first[order], atol=1e-12)


def test_memory_is_linear() -> None:
    coords = np.random.default_rng(0).normal(size=(200_000, 3)) * 6.0
    charges = np.ones(len(coords))
    GridSum(coords[:100], SIGMA, CUTOFF).apply(charges[:100])
    tracemalloc.start()
    GridSum(coords, SIGMA, CUTOFF).apply(charges)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300 * len(coords)  # bytes


def _sum_in_child(queue: multiprocessing.queues.Queue[Array]) -> None:
    queue.put(GridSum(clouds(200), SIGMA, CUTOFF).apply(np.ones(200)))


def test_works_after_fork() -> None:
    expected = GridSum(clouds(200), SIGMA, CUTOFF).apply(np.ones(200))
    code = (
        "import multiprocessing, numpy as np, tests.test_near_region as t\n"
        "t.GridSum(t.clouds(200), t.SIGMA, t.CUTOFF).apply(np.ones(200))\n"
        "context = multiprocessing.get_context('fork')\n"
        "queue = context.Queue()\n"
        "child = context.Process(target=t._sum_in_child, args=(queue,))\n"
        "child.start()\n"
        "print(repr(float(queue.get(timeout=300).sum())))\n"
        "child.join()\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=600
    )
    assert float(result.stdout) == pytest.approx(float(expected.sum()), rel=1e-14)


# -- continuum ---------------------------------------------------------------------------------


def test_radial_kernel_is_the_derivative_of_products_of_bessel_functions() -> None:
    """g_l from i_l(a r<) k_l(a r>) by a derivative with respect to a = 1/sigma."""

    def product(a: float, low: Array, high: Array, degree: int) -> Array:
        # SciPy's k_l has a factor pi/2.
        decaying = 2 / math.pi * spherical_kn(degree, a * high)
        return np.asarray(a * spherical_in(degree, a * low) * decaying)

    mesh = np.array([1e-3, 0.05, 0.3, 0.69, 0.71, 1.2, 2.5])
    values, slopes = kernel(0.7, mesh, SIGMA, 4)
    low, high = np.minimum(mesh, 0.7), np.maximum(mesh, 0.7)
    a, h = 1 / SIGMA, 1e-3
    for degree in range(5):
        # exp(-a d)/d is a sum of products; exp(-a d) is its negative derivative.
        change = [
            product(a + s * h, low, high, degree) - product(a - s * h, low, high, degree)
            for s in (1, 2)
        ]
        expected = -4 * math.pi * (8 * change[0] - change[1]) / (12 * h)
        np.testing.assert_allclose(values[degree], expected, rtol=1e-8, atol=1e-12)
    step = 1e-5
    after, before = (kernel(0.7 + s * step, mesh, SIGMA, 4)[0] for s in (1, -1))
    np.testing.assert_allclose(slopes, (after - before) / (2 * step), atol=1e-7)


def test_charges_of_shells_decay_and_stay_finite() -> None:
    """Radial interpolation of exp(-DECAY r) is exact between near shells, and bounded elsewhere."""
    nodes = np.concatenate([np.geomspace(1e-3, 8.0, 40), np.geomspace(9.0, 1e3, 12)])
    mesh, _, matrix = _mesh(nodes, SIGMA)
    inner = (mesh > nodes[0]) & (mesh < 5.0)
    given = matrix[inner] @ np.exp(-DECAY * nodes)
    np.testing.assert_allclose(given, np.exp(-DECAY * mesh[inner]), rtol=1e-9)
    assert np.isfinite(matrix).all()


@pytest.mark.parametrize(
    ("atoms", "level"),
    [
        *[(name, 2) for name in ("LiH", "H2O", "C2H4", "CO", "Na2", "SiH4", "PH3", "Cl2")],
        *[(name, 3) for name in ("H2", "LiH", "CH4", "NaCl")],
        *[("SO2", 4), ("HF", 5)],
    ],
)
def test_continuum_is_the_integral(atoms: str, level: int) -> None:
    """Against the expansion of the kernel in Gaussians, analytic with PySCF's integrals."""
    case = benchmark_molecule(atoms, level)
    charges = case.points.weights * case.density
    points = case.sample(300)
    exact = case.analytic_near_region(points, SIGMA)
    for order, limit in ((ORDER, 1e-3), (HIGH_ORDER, 1e-4)):
        given = Continuum(case.points, SIGMA, order).apply(charges)
        assert math.sqrt(((given[points] / exact - 1) ** 2).mean()) < limit


def test_own_partition_needs_the_elements_and_cells_without_ends(water: Case) -> None:
    """Otherwise the host's partition is used: still the integral, with larger errors."""
    atoms = water.points.atoms
    assert atoms is not None
    nameless = dataclasses.replace(water.points, atoms=dataclasses.replace(atoms, numbers=None))
    sharp = molecular_grid("O 0 0 0; H 0 0.757 0.587; H 0 -0.757 0.587", 3, scheme="stratmann")
    assert not np.array_equal(sharp.points.weights != 0.0, np.ones(len(sharp.density), bool))
    for case, limit in (
        (dataclasses.replace(water, points=nameless), 1e-3),
        (sharp, 1e-3),
    ):
        points = case.sample(200)
        given = Continuum(case.points, SIGMA).apply(case.points.weights * case.density)
        exact = case.analytic_near_region(points, SIGMA)
        assert math.sqrt(((given[points] / exact - 1) ** 2).mean()) < limit


def test_shares_of_all_atoms_add_up_to_one() -> None:
    """At every point, whichever atom it belongs to, also far above a sheet of many."""
    rng = np.random.default_rng(0)
    sheet = np.stack(np.meshgrid(np.arange(8.0), np.arange(8.0), [60.0]), axis=-1).reshape(-1, 3)
    apart = [[0.0, 0, 0], [0, 0, 2.1], [0, 2.0, -1], [9, 0, 0], [40, 0, 0], [9, 0, 0]]
    centres = np.concatenate([apart, 2.5 * sheet])
    rows = np.concatenate([[1, 0, 2, 1, 0, 0], np.arange(64) % 3])
    between = np.linalg.norm(centres[:, None] - centres, axis=2)
    neighbours = np.argsort(between, axis=1, kind="stable")
    distances = np.take_along_axis(between, neighbours, axis=1)
    coords = centres[rng.integers(0, 6, 500)] + rng.normal(size=(500, 3)) * 2
    coords[400:] = centres[rng.integers(6, 70, 100)] + rng.normal(size=(100, 3)) * 30
    total = np.zeros(500)
    loops = compiled.loops("near_region.partition_loops")
    for atom in range(len(centres)):
        share = np.zeros(500)
        owner = np.full(500, atom)
        loops.shares(coords, owner, centres, rows, neighbours, distances, 0, 500, share)
        assert (share >= 0).all()
        total += share
    np.testing.assert_allclose(total, 1.0, rtol=1e-9)


def test_continuum_of_one_atom_and_of_a_ghost() -> None:
    atom = molecular_grid("He 0 0 0", level=2)
    ghost = molecular_grid("He 0 0 0; ghost-H 0 0 1.2", level=2)
    for case in (atom, ghost):
        points = case.sample(100)
        given = Continuum(case.points, SIGMA).apply(case.points.weights * case.density)
        exact = case.analytic_near_region(points, SIGMA)
        assert math.sqrt(((given[points] / exact - 1) ** 2).mean()) < 1e-3


# -- bad input ---------------------------------------------------------------------------------


def test_incomplete_shells_are_refused(water: Case) -> None:
    keep = np.ones(len(water.density), bool)
    keep[5] = False
    with pytest.raises(InputError, match="complete Lebedev"):
        Continuum(water.reordered(np.flatnonzero(keep)).points, SIGMA)


def test_continuum_needs_atoms() -> None:
    with pytest.raises(MissingInputError, match="centres, parents and volumes"):
        CONTINUUM.on(read_points(np.zeros((3, 3)), np.ones(3)))


@pytest.mark.parametrize(("definition", "says"), [("fourier", "known"), ("grid-sum", "cutoff")])
def test_unknown_definitions_are_refused(definition: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        NearRegion(definition, SIGMA)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"weights": np.ones(4)}, InputError, r"weights has the shape \(4,\)"),
        ({"coords": np.ones((3, 2))}, InputError, "coords has the shape"),
        ({"coords": np.full((3, 3), np.nan)}, InputError, "coords has 9 values that are NaN"),
        ({"weights": np.array([1.0, np.inf, 1.0])}, InputError, "at point 1"),
        ({"coords": [["a"] * 3] * 3}, ArgumentTypeError, "coords"),
        ({"centres": np.zeros((1, 3))}, InputError, "belong together"),
        (
            {"centres": np.zeros((1, 3)), "parents": [0, 1, 0], "volumes": np.ones(3)},
            InputError,
            "numbered from 0 to 0",
        ),
        (
            {"centres": np.zeros((1, 3)), "parents": [0, -1, 0], "volumes": np.ones(3)},
            InputError,
            "of no centre",
        ),
    ],
)
def test_bad_points_are_refused(
    change: dict[str, object], error: type[Exception], match: str
) -> None:
    arguments: dict[str, object] = {"coords": np.zeros((3, 3)), "weights": np.ones(3)}
    with pytest.raises(error, match=match):
        read_points(**{**arguments, **change})


def test_without_numba_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(MissingPackageError, match="pip install numba"):
        GridSum(np.zeros((3, 3)), SIGMA, CUTOFF)


@pytest.mark.parametrize("cutoff", [0.0, 1.0, 1e-40])
def test_impossible_cutoffs_are_refused(cutoff: float) -> None:
    with pytest.raises(InputError, match="cut-off"):
        GridSum(np.zeros((3, 3)), SIGMA, cutoff)
