"""Making the stored references of a set: one system after the other, each kept when finished."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from xcnet import files
from xcnet.errors import InputError
from xcnet.references.accurate import FOLDER, SPINS, load, pack
from xcnet.references.coupled_cluster import SCHEME, CompositeScheme, Solution, solve
from xcnet.references.inversion import STRENGTHS, Inverter
from xcnet.scf.kept import write_arrays
from xcnet.scf.molecule import build
from xcnet.systems import training_sets
from xcnet.systems.molecules import Molecule, of_record
from xcnet.systems.training_sets.described import DescribedSet

Array = npt.NDArray[np.float64]
METHOD = (
    "energy: CCSD(T), frozen core, extrapolated to the basis-set limit, plus core-valence "
    "correlation; density: CCSD with all electrons, from the Lambda equations, with the "
    "response of the orbitals"
)


def make_set(name: str, folder: Path) -> tuple[Path, Path]:
    """Compute the references of a training set that has its own; see `make`."""
    source = training_sets.source(name)
    if not isinstance(source, DescribedSet) or not source.geometries:
        raise InputError(f"the training set {name} has no references of the project", given=name)
    systems = [of_record(record) for record in source.systems]
    return make(name, systems, source.geometries, folder)


def make(
    name: str,
    systems: Sequence[Molecule],
    geometry_source: str,
    folder: Path,
    scheme: CompositeScheme = SCHEME,
) -> tuple[Path, Path]:
    """Compute the references of a set and write both files to ``folder``; returns their paths.

    Each finished system is kept in ``folder``/NAME.parts, so that an interrupted run goes on where
    it was; the parts are removed at the end.
    """
    parts = folder / f"{name}.parts"
    parts.mkdir(parents=True, exist_ok=True)
    records: list[dict[str, Any]] = []
    arrays: dict[str, Array] = {}
    progress = tqdm(systems, desc=name, unit="system")
    for system in progress:
        progress.set_postfix_str(system.name)
        solution = _solution(system, scheme, parts)
        orbitals = _orbitals(system, scheme, solution.density_matrix, parts)
        records.append(_record(system, solution, orbitals, scheme, geometry_source))
        arrays[system.name] = pack(solution.density_matrix)
        arrays |= {f"{system.name}.{spin}": orbitals[spin] for spin in orbitals if spin in SPINS}
    written = _write(name, folder, records, arrays, scheme)
    for path in parts.iterdir():
        path.unlink()
    parts.rmdir()
    return written


def _solution(system: Molecule, scheme: CompositeScheme, parts: Path) -> Solution:
    def work() -> dict[str, Any]:
        solution = solve(system, scheme)
        labels, energies = zip(*solution.energies.items(), strict=True)
        return {"labels": labels, "energies": energies, "matrix": solution.density_matrix}

    kept = _kept(parts, [training_sets.record(system), asdict(scheme)], system.name, work)
    energies = zip(kept["labels"].tolist(), kept["energies"].tolist(), strict=True)
    return Solution(dict(energies), kept["matrix"])


def _orbitals(
    system: Molecule, scheme: CompositeScheme, matrix: Array, parts: Path
) -> dict[str, Array]:
    """Occupied orbitals, ``alpha`` and for open shells ``beta``, and numbers on the inversion."""

    def work() -> dict[str, Any]:
        molecule = build(system, scheme.core)
        inverter = Inverter(molecule, np.broadcast_to(matrix, (2, *matrix.shape[1:])))
        spins = [inverter.solve(spin) for spin in range(len(matrix))]
        matrices = np.stack([spin.density_matrix for spin in spins])
        same = 2 // len(spins)  # closed shells: one spin stands for both
        kinetic = same * float((matrices * inverter.kinetic).sum())
        misplaced = same * _misplaced(molecule, matrices - matrix)
        filled = [spin.orbitals[:, : spin.occupied] for spin in spins]
        numbers = (STRENGTHS[-1], kinetic, misplaced)
        return {**dict(zip(SPINS, filled, strict=False)), "numbers": numbers}

    return _kept(parts, [STRENGTHS, matrix.tolist()], f"{system.name}-orbitals", work)


def _misplaced(molecule: Any, differences: Array) -> float:
    """Integral of the density differences' absolute values, electrons."""
    from pyscf import dft

    grid = dft.Grids(molecule).build()
    orbitals = dft.numint.eval_ao(molecule, grid.coords)
    rows = [
        dft.numint.eval_rho(molecule, orbitals, difference, hermi=1) for difference in differences
    ]
    return float(np.abs(rows).sum(axis=0) @ grid.weights)


def _kept(
    parts: Path, key: Any, title: str, work: Callable[[], dict[str, Any]]
) -> dict[str, Array]:
    """Arrays from the file of a finished piece of work, which is done when it is not there."""
    path = parts / f"{title}-{training_sets.digest(key)[:16]}.npz"
    if not path.exists():
        write_arrays(path, {name: np.asarray(value) for name, value in work().items()})
    with np.load(path, allow_pickle=False) as stored:
        return dict(stored)


def _record(
    system: Molecule,
    solution: Solution,
    orbitals: dict[str, Array],
    scheme: CompositeScheme,
    geometry_source: str,
) -> dict[str, Any]:
    labels = ("strength", "kinetic", "misplaced_electrons")
    return {
        **training_sets.record(system),
        "geometry": geometry_source,
        "method": METHOD,
        "basis": dict(scheme.core),
        "energies": solution.energies,
        "kohn_sham": dict(zip(labels, orbitals["numbers"].tolist(), strict=True)),
    }


def _write(
    name: str, folder: Path, records: list[Any], arrays: dict[str, Array], scheme: CompositeScheme
) -> tuple[Path, Path]:
    stored, text = folder / f"{name}.npz", folder / f"{name}.json"
    write_arrays(stored, arrays)
    facts = {
        "program": f"PySCF {metadata.version('pyscf')}, Python {platform.python_version()}",
        "scheme": asdict(scheme),
        "arrays_sha256": hashlib.sha256(stored.read_bytes()).hexdigest(),
        "systems": records,
    }
    files.write(text, json.dumps(facts, indent=1) + "\n")
    return text, stored


def comparison(name: str, folder: Path) -> list[str]:
    """Lines that say how far the energies in ``folder`` are from the shipped ones, Hartree."""
    if not (FOLDER / f"{name}.json").is_file():
        return []
    shipped = load(name)
    return [
        f"{key:6} {made.energy:14.8f}, {made.energy - shipped[key].energy:+.1e} from the shipped"
        for key, made in load(name, folder).items()
        if key in shipped
    ]
