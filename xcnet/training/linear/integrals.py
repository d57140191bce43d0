"""Integrals of one system at its fixed density: all columns of the expansion, and functionals.

Kept in a small file each, named after the density's and after what is integrated.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xcnet.libxc import Functional
from xcnet.operators import GridOperator
from xcnet.scf import kept
from xcnet.scf.fixed_density import FixedDensity
from xcnet.training.linear.families import MGGA, RowsFamily

Array = npt.NDArray[np.float64]
BLOCK_MB = 200


@dataclass(frozen=True)
class Integrals:
    """Energies, Hartree, of one density by grid level: ``columns`` (all), ``functionals`` (each).

    ``electrons``: integral of the density, for the grid's quality.
    """

    levels: tuple[int, ...]
    columns: Array
    functionals: Array
    electrons: Array


def key(family: RowsFamily = MGGA) -> str:
    """What is integrated, as a hash."""
    near = family.descriptor and [family.descriptor.label, family.descriptor.parameters()]
    text = json.dumps([asdict(family.kept), family.functionals, near], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def calculate(state: FixedDensity, levels: tuple[int, ...], family: RowsFamily = MGGA) -> Integrals:
    """Integrals on grids of these levels."""
    by_level = [_level(state, level, family) for level in levels]
    columns, functionals, electrons = (np.stack(part) for part in zip(*by_level, strict=True))
    return Integrals(levels, columns, functionals, electrons)


def _level(state: FixedDensity, level: int, family: RowsFamily) -> tuple[Array, Array, Array]:
    totals: list[Array] = []
    functionals = family.functionals.values()
    for rho, sigma, tau, weights, *near in points(state, level, family.descriptor):
        part = (
            family.integrate(rho, sigma, tau, weights, *near, family.kept),
            np.array([_energy(names, rho, sigma, tau, weights) for names in functionals]),
            np.array(weights @ rho.sum(axis=1)),
        )
        totals = [a + b for a, b in zip(totals, part, strict=True)] if totals else list(part)
    return totals[0], totals[1], totals[2]


def points(
    state: FixedDensity, level: int, descriptor: GridOperator | None
) -> Iterator[tuple[Array, ...]]:
    """`blocks`, with a descriptor's values (N,) where there is one."""
    if descriptor is None:
        yield from blocks(state, level)
        return
    from xcnet.adapters.pyscf.blocks import whole_grid  # as in self-consistent calculations

    every = [*blocks(state, level)]  # of a point, it knows the density of all others
    n = np.concatenate([rho.sum(axis=1) for rho, *_ in every])
    ends = np.cumsum([len(rho) for rho, *_ in every])[:-1]
    values = whole_grid(_grid(state, level)).values(descriptor, n)
    for block, part in zip(every, np.split(values[:, 0], ends), strict=True):
        yield (*block, part)


def _grid(state: FixedDensity, level: int) -> Any:
    from pyscf import dft

    grids = dft.Grids(state.molecule())
    grids.level = level
    return grids.build(with_non0tab=True)


def blocks(state: FixedDensity, level: int) -> Iterator[tuple[Array, Array, Array, Array]]:
    """Spin densities (N, 2), gradient products (N, 3), kinetic densities (N, 2), weights (N,)."""
    from pyscf import dft

    molecule, grids = state.molecule(), _grid(state, level)
    numint = dft.numint.NumInt()
    n = molecule.nao
    for ao, mask, weight, _ in numint.block_loop(molecule, grids, n, 1, max_memory=BLOCK_MB):
        spins = [_density(numint, molecule, ao, mask, matrix) for matrix in state.orbitals]
        a, b = spins[0], spins[-1]
        rho = np.stack([a[0], b[0]], axis=1).clip(min=0.0)
        products = [(x[1:4] * y[1:4]).sum(axis=0) for x, y in ((a, a), (a, b), (b, b))]
        yield rho, np.stack(products, axis=1), np.stack([a[4], b[4]], axis=1), weight


def _density(numint: Any, molecule: Any, ao: Any, mask: Any, orbitals: Array) -> Array:
    """Density, gradient and kinetic energy density (5, N) of one spin."""
    if orbitals.shape[1] == 0:
        return np.zeros((5, ao.shape[1]))
    occupations = np.ones(orbitals.shape[1])
    rows = numint.eval_rho2(molecule, ao, orbitals, occupations, mask, "MGGA", with_lapl=False)
    return np.asarray(rows)


def _energy(names: tuple[str, ...], rho: Array, sigma: Array, tau: Array, weights: Array) -> float:
    return float(weights @ sum(energy_density(name, rho, sigma, tau) for name in names))


def energy_density(name: str, rho: Array, sigma: Array, tau: Array) -> Array:
    """Energy per volume (N,) of one of libxc's functionals, atomic units."""
    functional, zk = Functional(name, 2), np.zeros((len(rho), 1))
    inputs = {"rho": rho, "sigma": sigma, "tau": tau}
    used = functional.family_variables
    functional.evaluate({v: np.ascontiguousarray(inputs[v]) for v in used}, {"zk": zk})
    return np.asarray(zk[:, 0] * rho.sum(axis=1))


def write(path: Path, integrals: Integrals) -> None:
    """Keep integrals."""
    arrays = {name: np.asarray(value) for name, value in vars(integrals).items()}
    kept.write(path, arrays)


def read(path: Path) -> Integrals:
    """Integrals of a file; InputError if it was altered."""
    arrays = kept.read(path, Integrals.__dataclass_fields__, "integrals")
    levels = tuple(int(level) for level in arrays.pop("levels"))
    return Integrals(levels, **arrays)
