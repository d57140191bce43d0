"""The nonlocal part of one Kohn-Sham calculation of Psi4, at the density that it has just now."""

from __future__ import annotations

from typing import Any

import numpy as np
from psi4 import core

from xcnet import threads
from xcnet.adapters.psi4.nonlocal_grid import molecular_grid
from xcnet.adapters.psi4.nonlocal_orbitals import KeptOrbitals
from xcnet.adapters.psi4.nonlocal_parts import Parts
from xcnet.adapters.psi4.nonlocal_values import evaluate
from xcnet.errors import UnsupportedError
from xcnet.grid import OnRows
from xcnet.operators import Array


class NonlocalField:
    """Energy, potential and gradient of nonlocal functionals for one molecule and basis.

    Parameters
    ----------
    parts : Parts
        The functionals.
    wavefunction : psi4.core.HF
        Of closed shells (RKS) or of two spins (UKS).

    Attributes
    ----------
    grid : MolecularGrid
        All points.
    rows : (s, 5, N) ndarray
        n, its gradient and tau where they were last evaluated, of all electrons or of each spin;
        empty before.

    Raises
    ------
    UnsupportedError
        Another reference, or a grid that cannot be used.
    """

    def __init__(self, parts: Parts, wavefunction: Any) -> None:
        if not isinstance(wavefunction, (core.RHF, core.UHF)):
            raise UnsupportedError(
                f"{parts.text}: the reference {core.get_option('SCF', 'REFERENCE')} is not "
                "available with nonlocal functionals; set reference rks, or uks",
                functional=parts.text,
            )
        self._parts = parts
        self._closed = isinstance(wavefunction, core.RHF)
        with threads.of_host(core.get_num_threads()):
            self.grid = molecular_grid(wavefunction.basisset())
        # What Psi4's own part of the calculation leaves free.
        memory = core.get_memory() * (1.0 - core.get_global_option("SCF_MEM_SAFETY_FACTOR"))
        self._orbitals = KeptOrbitals(wavefunction.basisset(), self.grid, memory)
        self._matrices = np.empty(0)
        self.rows = np.empty(0)
        self._values: OnRows | None = None

    def describe(self) -> str:
        """Lines for Psi4's output."""
        atoms = len(self.grid.centres)
        return (
            f"  ==> Nonlocal functional: {self._parts.text} <==\n\n"
            f"    Evaluated by xcnet on {len(self.grid.grid)} points around {atoms} centers, in "
            f"{len(self.grid.blocks)} blocks.\n\n"
        )

    def energy(self, wavefunction: Any) -> float:
        """Energy in Hartree."""
        values = self._present(wavefunction)
        return float(self._weights @ (self._density * values.exc))

    def matrices(self, wavefunction: Any) -> list[Array]:
        """Potential matrices (nao, nao) in atomic orbitals, Hartree: one, or one of each spin."""
        potential = self._weights * self._present(wavefunction).potential
        return [self._orbitals.matrix(values) for values in potential]

    def gradient(self, wavefunction: Any) -> Array:
        """Derivatives (A, 3) of the energy by the nuclei, Hartree/bohr, of a stationary density."""
        values = self._present(wavefunction)
        weighted = self._weights * values.potential
        fixed = self._density * values.exc
        with threads.of_host(core.get_num_threads()):
            motion = values.motion()
            result = self.grid.response(fixed if motion.weights is None else fixed + motion.weights)
        if motion.atoms is not None:
            result += motion.atoms
        moving = motion.points
        for matrix, potential in zip(self._matrices, weighted, strict=True):
            by_atom, by_point = self._orbitals.moves(matrix, potential)
            result += by_atom
            moving += by_point
        np.add.at(result, self.grid.parents, moving.T)
        return result

    def release(self) -> None:
        """Forget the orbitals that are kept."""
        self._orbitals.release()

    @property
    def _weights(self) -> Array:
        return self.grid.grid.points.weights

    @property
    def _density(self) -> Array:
        """Total density (N,)."""
        result: Array = self.rows[:, 0].sum(axis=0)
        return result

    def _present(self, wavefunction: Any) -> OnRows:
        """Values at the wavefunction's density, evaluated if it has changed."""
        matrices = _density_matrices(wavefunction, self._closed)
        if self._values is None or not np.array_equal(matrices, self._matrices):
            self._matrices = matrices
            self.rows = np.array([self._orbitals.densities(matrix) for matrix in matrices])
            with threads.of_host(core.get_num_threads()):
                self._values = evaluate(self._parts, self.grid.grid, self.rows)
        return self._values


def _density_matrices(wavefunction: Any, closed: bool) -> Array:
    """Density matrices (s, nao, nao) in atomic orbitals: of all electrons, or of each spin."""
    alpha = np.array(wavefunction.Da_subset("AO"))
    if closed:
        return 2.0 * alpha[None]
    return np.array([alpha, np.array(wavefunction.Db_subset("AO"))])
