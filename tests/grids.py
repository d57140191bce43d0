"""Molecular grids and densities from PySCF, and the analytic near-region density."""

from __future__ import annotations

import dataclasses
import math
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from xcnet.operators.points import Points, read_points

Array = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """A molecule, its grid, and a sum of atomic densities on it."""

    molecule: Any
    density_matrix: Array
    points: Points
    density: Array
    sigma: Array  # |grad n|^2
    tau: Array  # positive definite, 1/2 sum |grad phi|^2, of the sum of atoms

    def reordered(self, order: npt.NDArray[np.int64]) -> Case:
        atoms = self.points.atoms
        assert atoms is not None
        points = read_points(
            self.points.coords[order],
            self.points.weights[order],
            atoms.centres,
            atoms.parents[order],
            atoms.volumes[order],
            atoms.numbers,
        )
        return dataclasses.replace(
            self,
            points=points,
            density=self.density[order],
            sigma=self.sigma[order],
            tau=self.tau[order],
        )

    def sample(self, size: int) -> npt.NDArray[np.int64]:
        """Points drawn with the density's probability, so that their mean is weighted by it."""
        weight = np.abs(self.points.weights * self.density)
        rng = np.random.default_rng(0)
        return rng.choice(len(weight), size, p=weight / weight.sum())

    def analytic_near_region(self, points: npt.NDArray[np.int64], sigma: float) -> Array:
        """R at some points with the kernel as a sum of Gaussians, integrated analytically.

        exp(-a r) = a / (2 sqrt(pi)) integral exp(-u/2 - a^2 exp(-u)/4 - exp(u) r^2) du, by the
        trapezoidal rule; 66 terms are within 2e-14 of it everywhere but at r = 0. That matters
        where there is little density: fewer terms (40) bring in 6e-9 of all electrons.
        """
        from pyscf.df.incore import aux_e2
        from pyscf.gto import Mole

        a, step = 1.0 / sigma, 0.3
        u = np.arange(math.log(a * a / 144), 18, step)
        exponents = np.exp(u)
        weights = step * a / (2 * math.sqrt(math.pi)) * np.exp(-u / 2 - a * a / 4 / exponents)
        size = len(points)
        other = Mole()
        other._built = True
        # One contracted s shell per point; the integrals multiply it by Y_00.
        shell = [exponents, weights * math.sqrt(4 * math.pi)]
        other._env = np.concatenate([np.zeros(20), self.points.coords[points].ravel(), *shell])
        other._atm = np.zeros((size, 6), np.int32)
        other._atm[:, 1] = 20 + 3 * np.arange(size)
        other._bas = np.zeros((size, 8), np.int32)
        other._bas[:, 0] = np.arange(size)
        first = 20 + 3 * size
        other._bas[:, 2:7] = [len(u), 1, 0, first, first + len(u)]
        integrals = aux_e2(self.molecule, other, "int3c1e", aosym="s1")
        return np.asarray(np.einsum("ijk,ij->k", integrals, self.density_matrix))


@cache
def molecular_grid(
    atoms: Any, level: int, basis: str = "6-31g", scheme: str = "original_becke"
) -> Case:
    """Grid of PySCF with a superposition of atomic densities (no calculation needed)."""
    from pyscf import dft, gto, scf

    molecule = gto.M(atom=atoms, basis=basis, verbose=0, spin=None)
    grids = dft.Grids(molecule)
    grids.level = level
    grids.becke_scheme = getattr(dft.gen_grid, scheme)
    grids.build()
    matrix = np.asarray(scf.hf.init_guess_by_minao(molecule))
    rho = np.concatenate(
        [
            dft.numint.eval_rho(
                molecule,
                dft.numint.eval_ao(molecule, part, deriv=1),
                matrix,
                xctype="MGGA",
                hermi=1,
                with_lapl=False,
            )
            for part in np.array_split(grids.coords, max(1, len(grids.coords) // 20_000))
        ],
        axis=1,
    )
    points = read_points(
        grids.coords,
        grids.weights,
        molecule.atom_coords(),
        grids.atm_idx,
        grids.quadrature_weights,
        [gto.charge(molecule.atom_symbol(atom)) for atom in range(molecule.natm)],
    )
    return Case(molecule, matrix, points, rho[0], (rho[1:4] ** 2).sum(axis=0), rho[4])


def benchmark_molecule(name: str, level: int) -> Case:
    """A molecule of the G2 set."""
    from ase.build import molecule

    atoms = molecule(name)
    return molecular_grid(
        tuple(zip(atoms.get_chemical_symbols(), map(tuple, atoms.positions), strict=True)), level
    )
