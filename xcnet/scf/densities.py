"""Kohn-Sham densities of the training systems: made with PySCF, kept in a checked cache file."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from xcnet.errors import InputError, XCNetError
from xcnet.operators import GridOperator
from xcnet.paths import training_folder
from xcnet.scf import kept
from xcnet.scf.molecule import build
from xcnet.systems.molecules import Molecule

Array = npt.NDArray[np.float64]
#: Arrays that every density has.
FIELDS = ("rho", "sigma", "tau", "weights")


@dataclass(frozen=True)
class DensitySettings:
    """How the reference densities are made; part of the cache file's name.

    Parameters
    ----------
    xc, basis : str
        PySCF's names of the functional and the orbital basis.
    grid_level : int
        PySCF's grid level (0 to 9).
    min_density : float
        Grid points below this total density are dropped, bohr^-3.
    """

    xc: str
    basis: str
    grid_level: int
    min_density: float


@dataclass(frozen=True)
class GridDensity:
    """Spin density of one system on its integration grid (N points, atomic units).

    ``rho`` (N, 2), ``sigma`` (N, 3) in the order aa, ab, bb, ``tau`` (N, 2) with
    tau = 1/2 sum |grad phi|^2, ``weights`` (N,); ``descriptors`` (N,) by label, as asked for.
    """

    name: str
    rho: Array
    sigma: Array
    tau: Array
    weights: Array
    descriptors: Mapping[str, Array] = field(default_factory=dict)

    def arrays(self) -> dict[str, Array]:
        """Its arrays by name."""
        return {name: getattr(self, name) for name in FIELDS} | dict(self.descriptors)

    @classmethod
    def of(cls, name: str, arrays: Mapping[str, Array]) -> GridDensity:
        """Density of a system from `arrays`."""
        fields = {key: arrays[key] for key in FIELDS}
        others = {key: array for key, array in arrays.items() if key not in FIELDS}
        return cls(name, **fields, descriptors=others)


def array_names(descriptor: GridOperator | None) -> tuple[str, ...]:
    """Names of a density's arrays."""
    return FIELDS if descriptor is None else (*FIELDS, descriptor.label)


def of_systems(
    systems: Iterable[Molecule],
    settings: DensitySettings,
    folder: Path | None = None,
    descriptor: GridOperator | None = None,
) -> tuple[list[GridDensity], str]:
    """Densities of all systems and the SHA-256 of the file they are kept in.

    The file is made on the first call and only read afterwards. An altered file is an InputError.
    Until all are made each system has a file of its own, so an interrupted call goes on with the
    systems that are left. With ``descriptor`` the densities have it.
    """
    systems = list(systems)
    path = (folder or training_folder()) / f"densities-{_key(systems, settings, descriptor)}.npz"
    if not path.exists():
        singles = path.with_suffix("")
        bar = tqdm(systems, desc="densities")
        _write(path, [_single(system, settings, descriptor, singles) for system in bar])
        shutil.rmtree(singles, ignore_errors=True)
    return _read(path, [system.name for system in systems], array_names(descriptor))


def solve(
    system: Molecule, settings: DensitySettings, descriptor: GridOperator | None = None
) -> GridDensity:
    """Unrestricted Kohn-Sham ground state of one system on its grid."""
    molecule = build(system, settings.basis)
    from pyscf import dft

    method = dft.UKS(molecule, xc=settings.xc)
    method.grids.level = settings.grid_level
    method.conv_tol = 1e-9
    method.kernel()
    if not method.converged:
        method = method.newton().run()
    if not method.converged:
        raise XCNetError(f"{settings.xc}/{settings.basis} of {system.name} did not converge")
    return on_grid(
        system.name, molecule, method.make_rdm1(), method.grids, settings.min_density, descriptor
    )


def on_grid(
    name: str,
    molecule: Any,
    matrices: Iterable[Array],
    grids: Any,
    min_density: float,
    descriptor: GridOperator | None = None,
) -> GridDensity:
    """Density on a built grid from the density matrices of Kohn-Sham orbitals, alpha and beta."""
    from pyscf.dft import numint

    orbitals = numint.eval_ao(molecule, grids.coords, deriv=1)
    spins = [
        numint.eval_rho(molecule, orbitals, matrix, xctype="MGGA", with_lapl=False)
        for matrix in matrices
    ]
    a, b = (rows[1:4] for rows in spins)
    rho = np.stack([rows[0] for rows in spins], axis=1)
    sigma = np.stack([(x * y).sum(axis=0) for x, y in ((a, a), (a, b), (b, b))], axis=1)
    tau = np.stack([rows[4] for rows in spins], axis=1)
    dense = rho.sum(axis=1) > min_density
    descriptors = {}
    if descriptor is not None:
        from xcnet.adapters.pyscf.blocks import whole_grid  # as in self-consistent calculations

        values = whole_grid(grids).values(descriptor, rho.sum(axis=1))[dense, 0]
        descriptors = {descriptor.label: values}
    return GridDensity(
        name, rho[dense].clip(min=0.0), sigma[dense], tau[dense], grids.weights[dense], descriptors
    )


def _single(
    system: Molecule, settings: DensitySettings, descriptor: GridOperator | None, folder: Path
) -> GridDensity:
    """Density of one system, made now or by a call that was interrupted later."""
    path = folder / f"{system.name}.npz"
    if not path.exists():
        kept.write(path, solve(system, settings, descriptor).arrays())
    return GridDensity.of(system.name, kept.read(path, array_names(descriptor), "density"))


def _key(
    systems: list[Molecule], settings: DensitySettings, descriptor: GridOperator | None
) -> str:
    facts: list[Any] = [[asdict(system) for system in systems], asdict(settings)]
    if descriptor is not None:
        facts.append(asdict(descriptor))
    text = json.dumps(facts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _write(path: Path, solved: list[GridDensity]) -> None:
    arrays = {
        f"{density.name}.{field}": array
        for density in solved
        for field, array in density.arrays().items()
    }
    kept.write_arrays(path, arrays)
    checksum = path.with_suffix(".sha256")
    checksum.write_text(hashlib.sha256(path.read_bytes()).hexdigest() + "\n")


def file_sha256(path: Path) -> str:
    """Hash of a file (InputError if it cannot be read)."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error}", file=str(path)) from error


def _read(path: Path, names: list[str], arrays: Iterable[str]) -> tuple[list[GridDensity], str]:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    checksum = path.with_suffix(".sha256")
    if not checksum.exists() or checksum.read_text().strip() != digest:
        raise InputError(
            f"the training densities {path} do not match their SHA-256 in {checksum.name}: "
            "delete both files and run the command again to make them anew",
            file=str(path),
            given=digest,
        )
    with np.load(path, allow_pickle=False) as stored:
        solved = [
            GridDensity.of(name, {field: stored[f"{name}.{field}"] for field in arrays})
            for name in names
        ]
    return solved, digest
