"""The map through atomic multipoles against its formula without harmonics, and its derivatives."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import eval_legendre

from xcnet import threads
from xcnet.errors import MissingInputError
from xcnet.grid import Grid
from xcnet.operators.atomic_multipoles import AtomicMultipoles

Array = npt.NDArray[np.float64]

CUTOFF = 5.0
ATOMS = np.array([[0.0, 0.0, 0.0], [1.9, 0.4, -0.3], [-0.7, 2.6, 1.0], [14.0, 0.0, 0.0]])
RNG = np.random.default_rng(7)
WIDTHS = np.linspace(0.3, 2.2, 16)
DOWN, UP = RNG.normal(size=(2, 4, 16, 16))
PARAMETERS: dict[str, Any] = {
    "cutoff_bohr": CUTOFF,
    "widths_bohr": WIDTHS.tolist(),
    "down": DOWN.tolist(),
    "up": UP.tolist(),
}
MULTIPOLES = AtomicMultipoles.from_record(PARAMETERS)


def points(count: int, seed: int = 0) -> tuple[Array, Array]:
    """Points around the atoms, one of them on an atom, some far from all; weights of any sign."""
    rng = np.random.default_rng(seed)
    coords = ATOMS[rng.integers(0, len(ATOMS), count)] + rng.normal(size=(count, 3)) * 1.8
    coords[0] = ATOMS[1]
    coords[1] = [1e4, 1e4, 1e4]
    return coords, rng.uniform(-0.2, 1.0, count)


def on(coords: Array, weights: Array, centres: Array = ATOMS) -> Grid:
    parents = np.zeros(len(coords))
    return Grid(coords, weights, centres=centres, parents=parents, volumes=np.ones(len(coords)))


def radial(distance: Array) -> Array:
    t: Array = 2.0 * WIDTHS**2
    q = np.minimum(distance / CUTOFF, 1.0)[:, None]
    fade = 1.0 - 45.0 * q**8 + 80.0 * q**9 - 36.0 * q**10
    square = distance[:, None] ** 2
    return np.asarray(2.0 / 3.0 * square / t * np.exp(-square / t) / (np.pi * t) ** 1.5 * fade)


def shares(coords: Array) -> Array:
    q = np.minimum(np.linalg.norm(coords[:, None] - ATOMS, axis=2) / CUTOFF, 1.0)
    near = 1.0 - np.where(q < 0.5, 2.0 * q * q, -2.0 * q * q + 4.0 * q - 1.0)
    return np.asarray(near / (near.sum(axis=1, keepdims=True) + 0.1))


def formula(coords: Array, charges: Array) -> Array:
    """All pairs of points at once: sum_m Y_lm Y_lm is a Legendre polynomial."""
    result = np.zeros((len(coords), 16))
    for atom, share in zip(ATOMS, shares(coords).T, strict=True):
        vectors = coords - atom
        distance = np.linalg.norm(vectors, axis=1)
        phi, unit = radial(distance), vectors / np.maximum(distance, 1e-300)[:, None]
        for degree in range(4):
            angles = eval_legendre(degree, np.clip(unit @ unit.T, -1.0, 1.0))
            gathered = angles @ (phi * (charges @ DOWN[degree]))
            result += share[:, None] * phi * (gathered @ UP[degree]) / (2 * degree + 1)
    return result


def test_map_is_the_formula() -> None:
    coords, weights = points(700)
    channels = np.random.default_rng(1).normal(size=(700, 16))
    given = on(coords, weights).values(MULTIPOLES, channels)
    expected = formula(coords, weights[:, None] * channels)
    np.testing.assert_allclose(given, expected, rtol=0, atol=1e-12 * np.abs(expected).max())
    assert not given[1].any()  # far from all atoms


def test_transpose_is_exact() -> None:
    coords, weights = points(900)
    charges, slopes = np.random.default_rng(2).normal(size=(2, 900, 16))
    linear_map = on(coords, weights).map(MULTIPOLES)
    forth, back = linear_map.apply(charges), linear_map.transpose(slopes)
    size = np.abs(slopes * forth).sum()
    assert abs((slopes * forth).sum() - (charges * back).sum()) < 1e-13 * size
    assert (slopes * forth).sum() == pytest.approx((charges * back).sum(), rel=1e-12)


def test_motion_is_exact() -> None:
    coords, weights = (array[1:] for array in points(301))  # on an atom differences are rough
    rng = np.random.default_rng(3)
    channels, slopes = rng.normal(size=(2, 300, 16))
    along, change = rng.normal(size=coords.shape), rng.normal(size=300)
    shift = rng.normal(size=ATOMS.shape)

    def product(x: float, y: float, z: float) -> float:
        changed = weights + z * change
        grid = on(coords + x * along, changed, ATOMS + y * shift)
        return float((changed[:, None] * slopes * grid.values(MULTIPOLES, channels)).sum())

    def difference(direction: Array) -> float:
        values = [product(*(k * 1e-4 * direction)) for k in (-2, -1, 1, 2)]
        return (values[0] - 8.0 * values[1] + 8.0 * values[2] - values[3]) / 12e-4

    grid = on(coords, weights)
    values = grid.values(MULTIPOLES, channels)
    adjoint = grid.adjoint(MULTIPOLES, values, slopes)
    motion = grid.map(MULTIPOLES).motion(channels, slopes, adjoint, None)
    assert motion.atoms is not None
    assert motion.weights is not None
    by_points, by_atoms, by_weights = (difference(axis) for axis in np.eye(3))
    assert (motion.points.T * along).sum() == pytest.approx(by_points, rel=1e-8)
    assert (motion.atoms * shift).sum() == pytest.approx(by_atoms, rel=1e-8)
    both = motion.weights + (slopes * values).sum(axis=1)
    assert both @ change == pytest.approx(by_weights, rel=1e-8)
    total = motion.points.sum(axis=1) + motion.atoms.sum(axis=0)
    np.testing.assert_allclose(total, 0.0, atol=1e-12 * np.abs(motion.atoms).max())


def test_order_and_threads_change_nothing() -> None:
    coords, weights = points(1500)
    channels = np.random.default_rng(4).normal(size=(1500, 16))
    before = threads.num_threads()
    sums = []
    for count in (1, 3):
        threads.set_num_threads(count)
        sums.append(on(coords, weights).values(MULTIPOLES, channels))
    threads.set_num_threads(None)
    assert threads.num_threads() == before
    np.testing.assert_array_equal(sums[0], sums[1])
    order = np.random.default_rng(5).permutation(1500)
    shuffled = on(coords[order], weights[order]).values(MULTIPOLES, channels[order])
    np.testing.assert_allclose(shuffled, sums[0][order], rtol=0, atol=1e-12 * np.abs(sums[0]).max())


def test_memory_is_that_of_a_few_blocks() -> None:
    """A row of 40 atoms: one array of all pairs in it, 16 numbers each, would take 15 MB."""
    centres = np.zeros((40, 3))
    centres[:, 0] = 2.0 * np.arange(40)
    coords = np.repeat(centres, 500, axis=0)
    coords += np.random.default_rng(6).normal(size=coords.shape)
    linear_map = on(coords, np.ones(len(coords)), centres).map(MULTIPOLES)
    charges = np.ones((len(coords), 16))
    tracemalloc.start()
    try:
        linear_map.apply(charges)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 * charges.nbytes + 3e6 * threads.num_threads()


def test_far_atoms_cost_nothing() -> None:
    """Points meet the atoms of their own molecule only, however many others there are."""
    coords, weights = points(500)
    some = slice(2, None)
    far = np.array([[100.0 * (i + 1), 0.0, 0.0] for i in range(50)])
    alone = on(coords[some], weights[some]).map(MULTIPOLES)
    among = on(coords[some], weights[some], np.concatenate([ATOMS, far])).map(MULTIPOLES)
    charges = np.ones((498, 16))
    np.testing.assert_array_equal(alone.apply(charges), among.apply(charges))


def test_nothing_and_what_is_missing() -> None:
    empty = on(np.zeros((0, 3)), np.zeros(0)).map(MULTIPOLES)
    assert empty.apply(np.zeros((0, 16))).shape == (0, 16)
    assert empty.transpose(np.zeros((0, 16))).shape == (0, 16)
    with pytest.raises(MissingInputError, match="give centres"):
        Grid(*points(5)).map(MULTIPOLES)
