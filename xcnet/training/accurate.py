"""Accurate references that the project made: energies and densities of a few systems, stored.

A set's references are two files beside it in ``datasets``: a JSON file with the systems, their
energies, method, basis and geometry source, and the ``.npz`` file of the density matrices whose
SHA-256 it names.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from xcnet.errors import InputError
from xcnet.job.geometry import Molecule
from xcnet.training import datasets
from xcnet.training.coupled_cluster import SCHEME, Scheme, Solution, build, solve
from xcnet.training.reference import write_arrays

Array = npt.NDArray[np.float64]
FOLDER = Path(__file__).parent / "datasets"
METHOD = (
    "energy: CCSD(T), frozen core, extrapolated to the basis-set limit, plus core-valence "
    "correlation; density: CCSD with all electrons, from the Lambda equations, without the "
    "response of the orbitals"
)
REMEDY = "reinstall xcnet, or make it anew with `xcnet train reference`"


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
    """

    system: Molecule
    energy: float
    basis: dict[str, str]
    density_matrix: Array

    def molecule(self) -> Any:
        """PySCF's molecule in the basis of the density."""
        return build(self.system, self.basis)

    def on_points(self, points: Array) -> tuple[Array, Array]:
        """Spin densities (N, 2) and gradients (N, 2, 3) at points (N, 3); atomic units.

        There is no kinetic energy density here: that of a correlated density matrix is not that
        of Kohn-Sham orbitals, on which meta-GGAs are defined.
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


def make_set(name: str, folder: Path) -> tuple[Path, Path]:
    """Compute the references of a training set that has its own; see `make`."""
    source = datasets.module(name)
    if not hasattr(source, "GEOMETRIES"):
        raise InputError(f"the training set {name} has no references of the project", given=name)
    return make(name, source.SYSTEMS, source.GEOMETRIES, folder)


def make(
    name: str,
    systems: Sequence[Molecule],
    geometry_source: str,
    folder: Path,
    scheme: Scheme = SCHEME,
) -> tuple[Path, Path]:
    """Compute the references of a set and write both files to ``folder``; returns their paths.

    Each finished system is kept in ``folder``/NAME.parts, so that an interrupted run goes on where
    it was; the parts are removed at the end.
    """
    parts = folder / f"{name}.parts"
    parts.mkdir(parents=True, exist_ok=True)
    progress = tqdm(systems, desc=name, unit="system")
    solved = []
    for system in progress:
        progress.set_postfix_str(system.name)
        solved.append(_kept(system, scheme, parts))
    arrays, text = folder / f"{name}.npz", folder / f"{name}.json"
    named = zip(systems, solved, strict=True)
    write_arrays(arrays, {system.name: pack(one.density_matrix) for system, one in named})
    digest = hashlib.sha256(arrays.read_bytes()).hexdigest()
    facts = {
        "program": f"PySCF {metadata.version('pyscf')}, Python {platform.python_version()}",
        "scheme": asdict(scheme),
        "density_matrices_sha256": digest,
        "systems": [
            _record(system, solution, scheme, geometry_source)
            for system, solution in zip(systems, solved, strict=True)
        ],
    }
    unfinished = text.with_name(f".{text.name}.{os.getpid()}")
    unfinished.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    unfinished.replace(text)
    for path in parts.iterdir():
        path.unlink()
    parts.rmdir()
    return text, arrays


def _kept(system: Molecule, scheme: Scheme, parts: Path) -> Solution:
    """Solution of a system from its file, which is made when it is not there."""
    key = datasets.digest([datasets.record(system), asdict(scheme)])[:16]
    path = parts / f"{system.name}-{key}.npz"
    if not path.exists():
        solution = solve(system, scheme)
        labels, values = np.array(list(solution.energies)), list(solution.energies.values())
        write_arrays(
            path,
            {"labels": labels, "energies": np.array(values), "matrix": solution.density_matrix},
        )
    with np.load(path, allow_pickle=False) as stored:
        energies = zip(stored["labels"].tolist(), stored["energies"].tolist(), strict=True)
        return Solution(dict(energies), stored["matrix"])


def _record(
    system: Molecule, solution: Solution, scheme: Scheme, geometry_source: str
) -> dict[str, Any]:
    return {
        **datasets.record(system),
        "geometry": geometry_source,
        "method": METHOD,
        "basis": dict(scheme.core),
        "energies": solution.energies,
    }


def read_facts(name: str, folder: Path = FOLDER) -> dict[str, Any]:
    """The JSON file of a set's references (InputError if it cannot be read)."""
    path = folder / f"{name}.json"
    try:
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}; {REMEDY}", file=str(path)) from error
    return facts


def load(name: str, folder: Path = FOLDER) -> dict[str, Reference]:
    """References of a set by the systems' names.

    Raises
    ------
    InputError
        A file is missing or altered.
    """
    facts, path = read_facts(name, folder), folder / f"{name}.npz"
    digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "none"
    if digest != facts["density_matrices_sha256"]:
        raise InputError(
            f"{path}: the file is missing or altered (SHA-256 {digest}, expected "
            f"{facts['density_matrices_sha256']}); {REMEDY}",
            file=str(path),
            given=digest,
        )
    with np.load(path, allow_pickle=False) as stored:
        return {
            record["name"]: Reference(
                datasets.system(record), record["energies"]["total"], record["basis"],
                unpack(stored[record["name"]]),
            )
            for record in facts["systems"]
        }  # fmt: skip


def comparison(name: str, folder: Path) -> list[str]:
    """Lines that say how far the energies in ``folder`` are from the shipped ones, Hartree."""
    made, shipped = load(name, folder), load(name)
    return [
        f"{key:6} {one.energy:14.8f}  differs from the shipped by {one.energy - old.energy:9.1e}"
        for key, one in made.items()
        if (old := shipped.get(key))
    ]


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
