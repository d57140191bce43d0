"""Quantities of molecules beside the energy: bonds, frequencies, dipole moments, grid errors.

Each is a function of a molecule, a functional and settings, and returns its values: `KINDS`. The
first calculation of each starts as `calculation.solve` does; others begin with its density.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xcnet import extras
from xcnet.adapters import pyscf as adapter  # first: explains a missing PySCF
from xcnet.adapters.pyscf.hessian import finite_differences
from xcnet.errors import ConvergenceError, MissingPackageError
from xcnet.scf import calculation
from xcnet.scf.calculation import Settings
from xcnet.systems.molecules import Molecule

FINE_GRID = 6  # PySCF's level that coarser ones are compared with
#: Distances of the energies that a cubic goes through, relative to the middle one.
SCAN = np.array([0.97, 0.99, 1.01, 1.03])
SHIFT = 0.02  # relative: a minimum farther from the middle is looked for again from there
FAR = 0.1  # relative: the longest way to another middle
TRIES = 8
STEPS = 50  # of an optimization


@dataclass(frozen=True)
class Values:
    """Numbers of a quantity, in the unit that its function names, and all cycles they took."""

    values: tuple[float, ...]
    cycles: int


class _Calculation:
    """Self-consistent calculations of one molecule with one functional, each from the last."""

    def __init__(self, xc: str, settings: Settings) -> None:
        self.xc, self.settings, self.cycles = xc, settings, 0
        self.density: Any = None

    def run(self, molecule: Molecule, grid_level: int | None = None) -> Any:
        """The finished mean field (ConvergenceError if it does not become self-consistent)."""
        level = self.settings.grid_level if grid_level is None else grid_level
        settings = replace(self.settings, grid_level=level)
        found: list[Any] = []
        outcome = calculation.solve(
            molecule, self.xc, settings, lambda *_: None, found.append, self.density
        )
        self.cycles += outcome.cycles + outcome.guess_cycles
        if not outcome.converged:
            raise ConvergenceError(
                f"{molecule.name} with {self.xc} is not self-consistent after {outcome.cycles} "
                "cycles",
                functional=self.xc,
            )
        (mf,) = found
        self.density = mf.make_rdm1()
        return mf


def bond(molecule: Molecule, xc: str, settings: Settings) -> Values:
    """Length of a diatomic molecule's bond where its energy is least, angstrom.

    The scan begins at the molecule's own length.
    """
    calculations = _Calculation(xc, settings)
    (first, second) = molecule.positions
    begin = float(np.linalg.norm(np.subtract(second, first)))

    def energy(distance: float) -> float:
        places = ((0.0, 0.0, 0.0), (0.0, 0.0, distance))
        return float(calculations.run(replace(molecule, positions=places)).e_tot)

    return Values((minimum(energy, begin),), calculations.cycles)


def minimum(energy: Callable[[float], float], near: float) -> float:
    """Where the cubic through four energies has its minimum, found again until that is inside.

    Raises
    ------
    ConvergenceError
        There is no minimum where it is looked for.
    """
    middle = near
    for _ in range(TRIES):
        energies = [energy(float(distance)) for distance in middle * SCAN]
        cubic = np.polynomial.Polynomial.fit(SCAN - 1.0, energies, 3)
        roots = [float(x.real) for x in cubic.deriv().roots() if abs(x.imag) < 1e-9]
        lowest = [x for x in roots if cubic.deriv(2)(x) > 0.0]
        downhill = -FAR * float(np.sign(cubic.deriv()(0.0)))
        shift = min(lowest, key=abs) if lowest else downhill
        if abs(shift) < SHIFT:
            return middle * (1.0 + shift)
        middle *= 1.0 + min(max(shift, -FAR), FAR)
    raise ConvergenceError(f"the energy has no minimum near {near:.3f} angstrom")


def frequencies(molecule: Molecule, xc: str, settings: Settings) -> Values:
    """Harmonic frequencies at the functional's own geometry from the lowest, 1/cm.

    From differences of gradients with the response of the grid, for all functionals alike; an
    imaginary one is negative.
    """
    from pyscf.hessian import thermo

    calculations = _Calculation(xc, settings)
    mf = _at_rest(calculations.run(molecule))
    with _quiet():
        hessian = finite_differences(mf, range(mf.mol.natm), "all functionals are compared")
    analysis = thermo.harmonic_analysis(mf.mol, hessian, imaginary_freq=False)
    return Values(
        tuple(sorted(round(float(x), 2) for x in analysis["freq_wavenumber"])), calculations.cycles
    )


def _at_rest(mf: Any) -> Any:
    """The object where its gradient vanishes, self-consistent there."""
    try:
        from pyscf.geomopt import geometric_solver
    except ImportError as error:
        raise MissingPackageError(
            f"geometries need geometric: {extras.hint('bench')}", package="geometric"
        ) from error
    gradients = mf.nuc_grad_method().set(grid_response=True)
    converged, mol = geometric_solver.kernel(
        gradients, convergence_set="GAU_TIGHT", maxsteps=STEPS, assert_convergence=False
    )
    if not converged:
        raise ConvergenceError(f"no geometry at rest after {STEPS} steps", functional=mf.xc)
    density = mf.make_rdm1()
    mf.reset(mol)
    if not adapter.converge(mf, density).converged:
        raise ConvergenceError("not self-consistent at rest", functional=mf.xc)
    return mf


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*Hessian by finite differences")
        yield


def dipole(molecule: Molecule, xc: str, settings: Settings) -> Values:
    """Dipole moment (x, y, z) in debye, the derivative of the energy by a field."""
    calculations = _Calculation(xc, settings)
    x, y, z = calculations.run(molecule).dip_moment(unit="Debye", verbose=0).tolist()
    return Values((x, y, z), calculations.cycles)


def grid(molecule: Molecule, xc: str, settings: Settings) -> Values:
    """Energy on the grid of the settings minus that on a fine one, Hartree."""
    calculations = _Calculation(xc, settings)
    coarse = float(calculations.run(molecule).e_tot)
    fine = float(calculations.run(molecule, FINE_GRID).e_tot)
    return Values((coarse - fine,), calculations.cycles)


KINDS: Mapping[str, Callable[[Molecule, str, Settings], Values]] = {
    "bond": bond,
    "frequencies": frequencies,
    "dipole": dipole,
    "grid": grid,
}
