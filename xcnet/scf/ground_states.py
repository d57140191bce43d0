"""Self-consistent ground states whose energies are trained on: made once, kept in checked files.

Every system has a file of its own, so an interrupted run goes on with the systems that are left.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from xcnet.errors import XCNetError
from xcnet.operators import GridOperator
from xcnet.scf import kept
from xcnet.scf.densities import GridDensity, array_names, on_grid
from xcnet.systems.molecules import Molecule

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class GroundStateSettings:
    """How the ground states are made.

    Parameters
    ----------
    basis : str
        PySCF's name of the orbital basis.
    grid_level : int
        PySCF's grid level (0 to 9); the first cycles run on level 1.
    density_fit : str
        Auxiliary basis; empty for exact Coulomb integrals.
    tolerance : float
        Convergence of the total energy, Hartree.
    min_density : float
        Grid points below this total density are dropped, bohr^-3.
    """

    basis: str
    grid_level: int
    density_fit: str
    tolerance: float
    min_density: float


@dataclass(frozen=True)
class GroundState:
    """Ground state of one system: its density, and its energy without exchange and correlation.

    ``total`` is the energy with the functional it was made with; both in Hartree.
    """

    density: GridDensity
    total: float
    rest: float


def solve(
    systems: Sequence[Molecule],
    xc: str,
    settings: GroundStateSettings,
    folder: Path,
    identity: str = "",
    descriptor: GridOperator | None = None,
) -> dict[str, GroundState]:
    """Ground states of all systems with one functional, by the systems' names.

    Parameters
    ----------
    systems : sequence of Molecule
    xc : str
        Any functional that PySCF or xcnet know.
    settings : GroundStateSettings
    folder : path
        Where the files are kept. A file that is there is read, not made again.
    identity : str
        Tells functionals of the same name apart, such as the hash of their weights.
    descriptor : GridOperator, optional
        Descriptor that the densities have.

    Raises
    ------
    InputError
        A file was altered.
    XCNetError
        A system did not converge.
    """
    states = {}
    with tqdm(systems, desc=f"ground states, {xc}") as bar:
        for system in bar:
            bar.set_postfix_str(system.name)
            path = folder / f"{system.name}-{_key(system, xc, settings, identity, descriptor)}.npz"
            if not path.exists():
                kept.write(path, _arrays(_solve(system, xc, settings, descriptor)))
            states[system.name] = _read(path, system.name, descriptor)
    return states


def digest(states: Iterable[GroundState]) -> str:
    """SHA-256 of ground states."""
    whole = hashlib.sha256()
    for state in states:
        whole.update(kept.digest(_arrays(state)).encode())
    return whole.hexdigest()


def _solve(
    system: Molecule, xc: str, settings: GroundStateSettings, descriptor: GridOperator | None
) -> GroundState:
    from xcnet.scf import calculation

    chosen = calculation.Settings(
        settings.basis, settings.grid_level, settings.density_fit, settings.tolerance, 1
    )
    calculations: list[Any] = []
    result = calculation.solve(system, xc, chosen, lambda *_: None, calculations.append)
    if not result.converged:
        raise XCNetError(
            f"{xc}/{settings.basis} of {system.name} did not converge by any of "
            f"{', '.join(name for name, _, _ in result.rungs)}",
            functional=xc,
        )
    mf = calculations[0]
    matrices = np.asarray(mf.make_rdm1())
    spins = matrices if matrices.ndim == 3 else [0.5 * matrices] * 2
    density = on_grid(system.name, mf.mol, spins, mf.grids, settings.min_density, descriptor)
    return GroundState(density, result.energy, result.energy - result.exc)


def _key(
    system: Molecule,
    xc: str,
    settings: GroundStateSettings,
    identity: str,
    descriptor: GridOperator | None,
) -> str:
    facts = [asdict(system), xc, asdict(settings), identity]
    if descriptor is not None:
        facts.append(asdict(descriptor))
    text = json.dumps(facts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _arrays(state: GroundState) -> kept.Arrays:
    return state.density.arrays() | {"energies": np.array([state.total, state.rest])}


def _read(path: Path, name: str, descriptor: GridOperator | None) -> GroundState:
    arrays = kept.read(path, (*array_names(descriptor), "energies"), "ground state")
    total, rest = arrays.pop("energies").tolist()
    return GroundState(GridDensity.of(name, arrays), total, rest)
