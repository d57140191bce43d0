"""Ground states kept as their occupied orbitals, from which any density can be had again.

The orbitals are what costs hours; they are small. Energies of other functionals at these densities,
on any grid and with any features, follow in seconds and need no self-consistency.

A file belongs to what was calculated, not to a name: systems of several sets that are the same
geometry in the same field share it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xcnet.errors import ConvergenceError
from xcnet.operators import GridOperator
from xcnet.scf import densities, kept, molecule
from xcnet.scf.densities import GridDensity
from xcnet.systems.molecules import Molecule

Array = npt.NDArray[np.float64]
#: Energies of a file, in this order.
ENERGIES = ("total", "rest", "exact_exchange")


@dataclass(frozen=True)
class Scheme:
    """How ground states are made.

    Parameters
    ----------
    xc, basis : str
        PySCF's names of the functional and the orbital basis.
    density_fit : str
        Auxiliary basis of the Coulomb energy; empty for exact integrals.
    grid_level : int
        PySCF's grid level; the first cycles run on level 1.
    tolerance : float
        Convergence of the energy, Hartree.
    """

    xc: str
    basis: str
    density_fit: str
    grid_level: int
    tolerance: float


@dataclass(frozen=True)
class FixedDensity:
    """Ground state of one system.

    Parameters
    ----------
    system : Molecule
    scheme : Scheme
    orbitals : tuple of (n, occupied)
        Occupied orbitals in PySCF's spherical atomic orbitals: of both spins, or once for a closed
        shell.
    energies : dict of str to float
        Hartree: ``total``; ``rest``, all but exchange and correlation; ``exact_exchange``, the
        Hartree-Fock exchange of these orbitals.
    seconds : float
        Processor time.
    """

    system: Molecule
    scheme: Scheme
    orbitals: tuple[Array, ...]
    energies: dict[str, float]
    seconds: float

    def molecule(self) -> Any:
        """PySCF's molecule."""
        return molecule.build(self.system, self.scheme.basis)

    def spins(self) -> tuple[Array, Array]:
        """Occupied orbitals of alpha and beta."""
        return self.orbitals[0], self.orbitals[-1]


def on_grid(
    state: FixedDensity, level: int, min_density: float, descriptor: GridOperator | None = None
) -> GridDensity:
    """Density of a ground state on a grid of any level, with what networks need of it.

    Points below ``min_density`` (bohr^-3) are dropped; with ``descriptor`` it has that one.
    """
    from pyscf import dft

    built = state.molecule()
    grids = dft.Grids(built)
    grids.level = level
    grids.build()
    matrices = [orbitals @ orbitals.T for orbitals in state.spins()]
    return densities.on_grid(state.system.name, built, matrices, grids, min_density, descriptor)


def key(system: Molecule, scheme: Scheme) -> str:
    """Name of a system's file: a hash of all that its ground state depends on."""
    text = json.dumps([_facts(system), asdict(scheme)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _facts(system: Molecule) -> dict[str, Any]:
    """Atoms lie at the origin, wherever the set has them."""
    free_atom = len(system.symbols) == 1 and system.field is None
    return {
        "symbols": list(system.symbols),
        "positions": [[0.0, 0.0, 0.0]] if free_atom else [list(row) for row in system.positions],
        "charge": system.charge,
        "spin": system.spin,
        "field": list(system.field) if system.field else None,
    }


def solve(system: Molecule, scheme: Scheme) -> FixedDensity:
    """Ground state of one system.

    Raises
    ------
    ConvergenceError
        It does not converge by any solver.
    """
    from xcnet.scf import calculation

    facts = _facts(system)
    settings = calculation.Settings(
        scheme.basis, scheme.grid_level, scheme.density_fit or False, scheme.tolerance, 1
    )
    calculations: list[Any] = []
    placed = molecule_of(asdict(system) | {"positions": facts["positions"]})
    result = calculation.solve(placed, scheme.xc, settings, lambda *_: None, calculations.append)
    if not result.converged:
        raise ConvergenceError(
            f"{scheme.xc}/{scheme.basis} of {system.name} did not converge by any of "
            f"{', '.join(name for name, _, _ in result.rungs)}",
            functional=scheme.xc,
        )
    mf = calculations[0]
    energies = {
        "total": result.energy,
        "rest": result.energy - result.exc,
        "exact_exchange": _exact_exchange(mf),
    }
    return FixedDensity(placed, scheme, _occupied(mf), energies, result.seconds)


def _occupied(mf: Any) -> tuple[Array, ...]:
    coefficients, occupations = np.asarray(mf.mo_coeff), np.asarray(mf.mo_occ)
    if occupations.ndim == 1:
        coefficients, occupations = coefficients[None], occupations[None]
    pairs = zip(coefficients, occupations, strict=True)
    return tuple(np.ascontiguousarray(c[:, n > 0.0]) for c, n in pairs)


def _exact_exchange(mf: Any) -> float:
    matrices = np.asarray(mf.make_rdm1())
    exchange = np.asarray(mf.get_k(mf.mol, matrices))
    share = 0.5 if matrices.ndim == 3 else 0.25
    return -share * float(np.vdot(exchange, matrices))


def write(path: Path, state: FixedDensity) -> None:
    """Keep a ground state."""
    arrays = {f"orbitals_{i}": matrix for i, matrix in enumerate(state.orbitals)}
    arrays["energies"] = np.array([*(state.energies[name] for name in ENERGIES), state.seconds])
    facts = {"system": asdict(state.system), "scheme": asdict(state.scheme)}
    kept.write(path, arrays | {"facts": np.array(json.dumps(facts))})


def read(path: Path) -> FixedDensity:
    """Ground state of a file; InputError if it was altered."""
    with np.load(path, allow_pickle=False) as stored:
        spins = [name for name in stored.files if name.startswith("orbitals_")]
    arrays = kept.read(path, (*spins, "energies", "facts"), "ground state")
    facts = json.loads(str(arrays["facts"]))
    *energies, seconds = arrays["energies"].tolist()
    return FixedDensity(
        molecule_of(facts["system"]),
        Scheme(**facts["scheme"]),
        tuple(arrays[name] for name in spins),
        dict(zip(ENERGIES, energies, strict=True)),
        seconds,
    )


def molecule_of(facts: dict[str, Any]) -> Molecule:
    """Molecule of its JSON."""
    tuples = {
        "symbols": tuple(facts["symbols"]),
        "positions": tuple(map(tuple, facts["positions"])),
        "field": tuple(facts["field"]) if facts["field"] else None,
    }
    return Molecule(**{**facts, **tuples})
