"""ASE: a calculator for molecules with any functional that the registry or PySCF knows.

::

    from ase.build import molecule
    from ase.optimize import BFGS
    from xcnet.adapters.ase import XCNet

    atoms = molecule("H2O")
    atoms.calc = XCNet(xc="NN-metaGGA", basis="def2-svp")
    BFGS(atoms).run(fmax=0.01)
    atoms.get_potential_energy()     # eV

The work is PySCF's, through `xcnet.adapters.pyscf`: gradients with the response of the grid, and
help where plain DIIS does not converge.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from xcnet import extras
from xcnet.errors import (
    ConvergenceError,
    InputError,
    MissingPackageError,
    SpinError,
    UnsupportedError,
)

try:
    from ase import Atoms
    from ase.calculators.calculator import (
        Calculator,
        PropertyNotImplementedError,
        all_changes,
        all_properties,
    )
    from ase.units import Bohr, Hartree
except ImportError as error:
    raise MissingPackageError(
        f"the ASE calculator needs ASE: {extras.hint('pyscf')}", package="ase"
    ) from error

from xcnet.adapters import pyscf as adapter  # first: explains a missing PySCF
from xcnet.scf import calculation
from xcnet.scf.molecule import build
from xcnet.systems.elements import GROUND_STATE_SPIN, SYMBOLS
from xcnet.systems.molecules import CLOSEST, Molecule

# isort: split
from pyscf import dft

#: Levels of PySCF's grids.
GRID_LEVELS = range(10)


class XCNet(Calculator):
    """Energies, forces and dipole moments of molecules, in ASE's units.

    The energy is in eV, forces in eV/Å, the dipole moment in e Å (of ions: about the origin).
    `mf` is PySCF's object with the last result.

    Parameters
    ----------
    xc : str
        As in ``mf.xc`` of PySCF: a name or an expression. Default ``NN-metaGGA``.
    basis : str
        Of PySCF; bases with effective core potentials bring them along. Default ``def2-svp``.
    charge : int, optional
        Of the molecule, e; by default the sum of the atoms' initial charges.
    spin : int, optional
        Number of unpaired electrons; by default the sum of the atoms' initial magnetic moments,
        without any the atom's ground state or the lowest that the electrons allow. Moments of both
        signs are where an unrestricted calculation starts from (antiferromagnets, diradicals).
    grid_level : int, optional
        PySCF's, 0 to 9; by default 3, or what the functional's record asks for.
    density_fit : bool
        Default False.
    conv_tol : float
        Of the self-consistent energy, Hartree. Default 1e-9.
    max_cycle : int
        Cycles of DIIS, before level shifts and second-order steps help. Default 50.
    verbose : int
        PySCF's, 0 (silent) to 9. Default 0.
    """

    implemented_properties = ["energy", "free_energy", "forces", "dipole", "magmom"]  # noqa: RUF012
    default_parameters = {  # noqa: RUF012
        "xc": "NN-metaGGA",
        "basis": "def2-svp",
        "charge": None,
        "spin": None,
        "grid_level": None,
        "density_fit": False,
        "conv_tol": 1e-9,
        "max_cycle": 50,
        "verbose": 0,
    }

    def __init__(self, **parameters: Any) -> None:
        self.mf: Any = None
        self._told: set[str] = set()  # elements of the atoms that were spoken of
        super().__init__(**parameters)

    def set(self, **parameters: Any) -> Any:
        """Change parameters; results that no longer fit are dropped."""
        unknown = sorted(set(parameters) - set(self.default_parameters))
        if unknown:
            raise UnsupportedError(
                f"the calculator has no parameters {', '.join(unknown)}; it has "
                f"{', '.join(self.default_parameters)}",
                given=unknown,
            )
        for name, value in parameters.items():
            _check_parameter(name, value)
        changed = super().set(**parameters)
        if changed:
            self.mf, self._told = None, set()
            self.reset()
        return changed

    def get_property(
        self, name: str, atoms: Atoms | None = None, allow_calculation: bool = True
    ) -> Any:
        """Value of a property, calculated if need be; those that molecules lack are named."""
        if name in all_properties and name not in self.implemented_properties:
            reason = ": molecules have none" if name in ("stress", "stresses") else ""
            raise PropertyNotImplementedError(
                f"this calculator has no {name}{reason}; it has "
                f"{', '.join(self.implemented_properties)}"
            )
        return super().get_property(name, atoms, allow_calculation)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Calculate what is asked for, and the energy and dipole moment that come with it.

        Raises
        ------
        UnsupportedError
            For periodic atoms, and for what PySCF cannot do with the functional.
        InputError, SpinError
            For positions, charges and magnetic moments that are not those of a molecule.
        ConvergenceError
            If no solver reaches self-consistency.
        """
        super().calculate(atoms, properties, system_changes)
        molecule = self._molecule()
        if self.mf is None or set(system_changes) - {"positions"}:
            self.mf = self._object(molecule)
            guess = self._guess()
        else:
            guess = self.mf.make_rdm1()
            self.mf.reset(self._build(molecule))
        outcome = adapter.converge(self.mf, guess)
        if not outcome.converged:
            raise ConvergenceError(
                f"{self.parameters.xc}: not self-consistent after {outcome.cycles} cycles "
                f"({outcome.rung}). {outcome.note}",
                functional=self.parameters.xc,
            )
        self._warn_of_domain(molecule)
        energy = float(self.mf.e_tot) * Hartree
        dipole = self.mf.dip_moment(unit="AU", verbose=0) * Bohr
        self.results |= {"energy": energy, "free_energy": energy, "dipole": np.asarray(dipole)}
        self.results["magmom"] = float(self.mf.mol.spin)
        if "forces" in properties:
            gradient = self.mf.nuc_grad_method().set(verbose=0).kernel()
            self.results["forces"] = -np.asarray(gradient) * (Hartree / Bohr)

    def _molecule(self) -> Molecule:
        """The atoms, checked, with charge and spin."""
        atoms = self.atoms
        if atoms.pbc.any():
            raise UnsupportedError(
                "this calculator is for molecules: set atoms.pbc = False, or use pyscf.pbc with "
                "xcnet.adapters.pyscf for crystals"
            )
        _check_atoms(atoms)
        charge = _charge(atoms) if self.parameters.charge is None else self.parameters.charge
        symbols, positions = tuple(atoms.symbols), tuple(map(tuple, atoms.positions.tolist()))
        molecule = Molecule(str(atoms.symbols), symbols, positions, int(charge))
        return replace(molecule, spin=_spin(atoms, molecule, self.parameters.spin))

    def _warn_of_domain(self, molecule: Molecule) -> None:
        """Say once where functionals had to extrapolate."""
        if self._told == set(molecule.symbols):
            return
        self._told = set(molecule.symbols)
        for spec, outside in calculation.outside(self.mf, molecule):
            if outside.is_large:
                name = (*spec.aliases, spec.name)[0]
                warnings.warn(outside.sentence(name, molecule.name), stacklevel=2)

    def _build(self, molecule: Molecule) -> Any:
        mol = build(molecule, self.parameters.basis)
        mol.verbose = self.parameters.verbose
        return mol

    def _object(self, molecule: Molecule) -> Any:
        mol, parameters = self._build(molecule), self.parameters
        polarized = mol.spin or _has_opposite(self.atoms)
        mf = adapter.attach((dft.UKS if polarized else dft.RKS)(mol, xc=parameters.xc))
        level = parameters.grid_level
        if level is None:
            level = calculation.grid_level([calculation.check_functional(parameters.xc)])
        mf.grids.level = level
        mf.conv_tol, mf.max_cycle = parameters.conv_tol, parameters.max_cycle
        mf.verbose = parameters.verbose
        return mf.density_fit() if parameters.density_fit else mf

    def _guess(self) -> Any:
        """Density matrices with the atoms' moments, where these have both signs."""
        if not _has_opposite(self.atoms):
            return None
        mf, mol = self.mf, self.mf.mol
        total = sum(mf.get_init_guess(mol))
        population = np.einsum("ij,ji->i", total, mf.get_ovlp())
        up = np.full(mol.nao, 0.5)
        moments = self.atoms.get_initial_magnetic_moments()
        for moment, (*_, start, stop) in zip(moments, mol.aoslice_by_atom(), strict=True):
            up[start:stop] += 0.5 * moment / population[start:stop].sum()
        shares = np.sqrt(np.clip([up, 1.0 - up], 0.0, 1.0))
        return total * shares[:, :, None] * shares[:, None, :]


def _check_parameter(name: str, value: Any) -> None:
    """Refuse values that PySCF would take for something else, or fail on later."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    wanted = {
        "grid_level": (whole and value in GRID_LEVELS) or value is None,
        "charge": whole or value is None,
        "spin": (whole and value >= 0) or value is None,
        "max_cycle": whole and value > 0,
        "verbose": whole and 0 <= value < 10,
        "conv_tol": isinstance(value, (int, float)) and 0.0 < value < float("inf"),
    }
    if not wanted.get(name, True):
        text = {
            "grid_level": "a whole number from 0 to 9, or None for what the functional needs",
            "charge": "a whole number, or None for the sum of the atoms' initial charges",
            "spin": "the number of unpaired electrons, or None for the sum of the atoms' moments",
            "max_cycle": "a positive whole number",
            "verbose": "a whole number from 0 to 9",
            "conv_tol": "a positive number of Hartree",
        }[name]
        raise InputError(f"{name} must be {text}, not {value!r}", argument=name, given=value)


def _check_atoms(atoms: Atoms) -> None:
    if not len(atoms):
        raise InputError("these Atoms hold no atom", argument="atoms")
    unknown = [i for i, number in enumerate(atoms.numbers) if not 0 < number < len(SYMBOLS)]
    if unknown:
        raise InputError(
            f"atom {unknown[0]} is {atoms.symbols[unknown[0]]}, for which there is no basis set",
            argument="numbers",
        )
    infinite = np.flatnonzero(~np.isfinite(atoms.positions).all(axis=1))
    if infinite.size:
        raise InputError(
            f"the position of atom {infinite[0]} is {atoms.positions[infinite[0]]}: "
            "atoms.positions must be finite, in angstrom",
            argument="positions",
        )
    distances = atoms.get_all_distances() + np.diag(np.full(len(atoms), np.inf))
    if distances.min() < CLOSEST:
        first, second = np.unravel_index(distances.argmin(), distances.shape)
        raise InputError(
            f"atoms {first} and {second} are only {distances.min():.3f} Å apart",
            argument="positions",
        )


def _charge(atoms: Atoms) -> int:
    charges = float(atoms.get_initial_charges().sum())
    if abs(charges - round(charges)) > 1e-3:
        raise InputError(
            f"the atoms' initial charges sum to {charges:.3f}, which is no whole number: give the "
            "calculator charge=",
            argument="charge",
            given=charges,
        )
    return round(charges)


def _spin(atoms: Atoms, molecule: Molecule, spin: int | None) -> int:
    """Number of unpaired electrons: as given, of the moments, or the lowest that is possible."""
    moments = atoms.get_initial_magnetic_moments()
    if moments.ndim > 1:
        raise UnsupportedError(
            "this calculator has no noncollinear magnetism: give one initial magnetic moment for "
            "each atom"
        )
    electrons = molecule.electrons
    origin = "spin="
    if spin is None and moments.any():
        spin, origin = round(abs(float(moments.sum()))), "the sum of the initial magnetic moments"
    elif spin is None:
        alone = len(atoms) == 1 and not molecule.charge
        spin = GROUND_STATE_SPIN.get(molecule.symbols[0], 0) if alone else electrons % 2
    if electrons < 1 or not 0 <= spin <= electrons or (electrons - spin) % 2:
        lowest = electrons % 2
        raise SpinError(
            f"{molecule.name} with charge {molecule.charge} has {electrons} electrons, of which "
            f"{spin} cannot be unpaired ({origin}). Possible: {lowest}, {lowest + 2}, ... Give "
            "the calculator spin= (and charge=), or the atoms initial magnetic moments with "
            "another sum",
            given=spin,
            expected=f"{lowest}, {lowest + 2}, ...",
        )
    return int(spin)


def _has_opposite(atoms: Atoms) -> bool:
    moments = atoms.get_initial_magnetic_moments()
    return bool((moments > 0.0).any() and (moments < 0.0).any())
