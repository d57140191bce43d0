"""Accurate references that the project made: energies and densities of a few systems, stored.

A set's references are two files beside it in ``systems/training_sets``: a JSON file with the
systems, their energies, method, basis and geometry source, and the ``.npz`` file, whose SHA-256 it
names, of the density matrices and Kohn-Sham orbitals. `.accurate_making` makes them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from xcnet.errors import InputError
from xcnet.scf.densities import GridDensity, on_grid
from xcnet.scf.molecule import build
from xcnet.systems import training_sets
from xcnet.systems.molecules import Molecule, of_record
from xcnet.systems.training_sets.described import REMEDY

if TYPE_CHECKING:
    from xcnet.references.inversion import Inversion

Array = npt.NDArray[np.float64]
SPINS = ("alpha", "beta")
FOLDER = training_sets.FOLDER


@dataclass(frozen=True)
class Reference:
    """Accurate energy and density of one system.

    Parameters
    ----------
    system : Molecule
        Positions in angstrom.
    energy : float
        Total energy, Hartree.
    basis : dict
        PySCF's names of the basis sets of the density by element.
    density_matrix : (2, n, n) array
        Alpha and beta in the spherical atomic orbitals of ``basis``, in PySCF's order.
    orbitals : two (n, electrons) arrays
        Occupied Kohn-Sham orbitals, alpha and beta, of (nearly) this density.
    strength : float
        That of the inversion which made them, see `xcnet.references.inversion`.
    """

    system: Molecule
    energy: float
    basis: dict[str, str]
    density_matrix: Array
    orbitals: tuple[Array, Array]
    strength: float

    def molecule(self) -> Any:
        """PySCF's molecule in the basis of the density."""
        return build(self.system, self.basis)

    def on_points(self, points: Array) -> tuple[Array, Array]:
        """CCSD spin densities (N, 2) and gradients (N, 2, 3) at points (N, 3); atomic units.

        There is no kinetic energy density here: that of a correlated density matrix is not that
        of Kohn-Sham orbitals, on which meta-GGAs are defined. `on_grid` has the latter.
        """
        from pyscf.dft import numint

        molecule = self.molecule()
        orbitals = numint.eval_ao(molecule, points, deriv=1)
        rows = np.stack(
            [
                numint.eval_rho(molecule, orbitals, matrix, xctype="GGA", hermi=1)
                for matrix in self.density_matrix
            ]
        )
        return rows[:, 0].T, rows[:, 1:].transpose(2, 0, 1)

    def on_grid(self, level: int, min_density: float) -> GridDensity:
        """Density of the Kohn-Sham orbitals, with their tau, on PySCF's grid of a level."""
        from pyscf import dft

        molecule = self.molecule()
        grids = dft.Grids(molecule)
        grids.level = level
        matrices = [filled @ filled.T for filled in self.orbitals]
        return on_grid(self.system.name, molecule, matrices, grids.build(), min_density)

    def kohn_sham(self) -> tuple[Inversion, Inversion]:
        """All Kohn-Sham orbitals, occupied and empty, with their energies: alpha and beta."""
        from xcnet.references.inversion import Inverter

        inverter = Inverter(self.molecule(), self.density_matrix)
        alpha, beta = (
            inverter.complete(spin, filled, self.strength)
            for spin, filled in enumerate(self.orbitals)
        )
        return alpha, beta


def load(name: str, folder: Path = FOLDER) -> dict[str, Reference]:
    """References of a set by the systems' names.

    Raises
    ------
    InputError
        A file is missing or altered.
    """
    facts, path = training_sets.shipped(name, folder), folder / f"{name}.npz"
    digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "none"
    if digest != facts["arrays_sha256"]:
        raise InputError(
            f"{path}: the file is missing or altered (SHA-256 {digest}, expected "
            f"{facts['arrays_sha256']}); {REMEDY}",
            file=str(path),
            given=digest,
        )
    with np.load(path, allow_pickle=False) as stored:
        return {record["name"]: _reference(record, stored) for record in facts["systems"]}


def _reference(record: dict[str, Any], stored: Any) -> Reference:
    name = record["name"]
    alpha = stored[f"{name}.alpha"]
    beta = stored.get(f"{name}.beta", alpha)  # closed shells have one for both
    return Reference(
        of_record(record),
        record["energies"]["total"],
        record["basis"],
        unpack(stored[name]),
        (alpha, beta),
        record["kohn_sham"]["strength"],
    )


def pack(matrix: Array) -> Array:
    """Lower triangles (S, n (n + 1) / 2) of symmetric matrices (S, n, n)."""
    rows, columns = np.tril_indices(matrix.shape[-1])
    packed: Array = matrix[:, rows, columns]
    return packed


def unpack(packed: Array) -> Array:
    """Alpha and beta matrices (2, n, n) of what `pack` made; closed shells have one for both."""
    n = round((np.sqrt(8 * packed.shape[1] + 1) - 1) / 2)
    matrix = np.zeros((2, n, n))
    rows, columns = np.tril_indices(n)
    matrix[:, rows, columns] = matrix[:, columns, rows] = packed
    return matrix
