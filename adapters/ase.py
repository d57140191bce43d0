"""ASE: a calculator for molecules with any functional that the registry or PySCF knows.

::

    from ase.build import molecule
    from ase.optimize import BFGS
    from xcnet.adapters.ase import XCNet

    atoms = molecule("H2O")
    atoms.calc = XCNet(xc="NN-r2SCAN", basis="def2-svp")
    BFGS(atoms).run(fmax=0.01)
    atoms.get_potential_energy()     # eV

The work is PySCF's, through `xcnet.adapters.pyscf`: gradients with the response of the grid, and
help where plain DIIS does not converge.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from xcnet import extras
from xcnet.errors import ConvergenceError, MissingPackageError, UnsupportedError

try:
    from ase import Atoms
    from ase.calculators.calculator import Calculator, all_changes
    from ase.units import Bohr, Hartree
except ImportError as error:
    raise MissingPackageError(
        f"the ASE calculator needs ASE: {extras.hint('pyscf')}", package="ase"
    ) from error

from xcnet.adapters import pyscf as adapter  # first: explains a missing PySCF
from xcnet.scf import calculation
from xcnet.scf.molecule import build
from xcnet.systems.molecules import Molecule

# isort: split
from pyscf import dft


class XCNet(Calculator):
    """Energies, forces and dipole moments of molecules, in ASE's units.

    The energy is in eV, forces in eV/Å, the dipole moment in e Å (of ions: about the origin).
    `mf` is PySCF's object with the last result.

    Parameters
    ----------
    xc : str
        As in ``mf.xc`` of PySCF: a name or an expression. Default ``NN-r2SCAN``.
    basis : str
        Of PySCF; bases with effective core potentials bring them along. Default ``def2-svp``.
    charge : int
        Of the molecule, e. Default 0.
    spin : int, optional
        Number of unpaired electrons; by default the sum of the atoms' initial magnetic moments.
    grid_level : int, optional
        PySCF's; by default 3, or what the functional's record asks for.
    density_fit : bool
        Default False.
    conv_tol : float
        Of the self-consistent energy, Hartree. Default 1e-9.
    """

    implemented_properties = ["energy", "free_energy", "forces", "dipole", "magmom"]  # noqa: RUF012
    default_parameters = {  # noqa: RUF012
        "xc": "NN-r2SCAN",
        "basis": "def2-svp",
        "charge": 0,
        "spin": None,
        "grid_level": None,
        "density_fit": False,
        "conv_tol": 1e-9,
    }

    def __init__(self, **parameters: Any) -> None:
        self.mf: Any = None
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
        changed = super().set(**parameters)
        if changed:
            self.mf = None
            self.reset()
        return changed

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
        ConvergenceError
            If no solver reaches self-consistency.
        """
        super().calculate(atoms, properties, system_changes)
        if self.atoms.pbc.any():
            raise UnsupportedError(
                "this calculator is for molecules: set atoms.pbc = False, or use pyscf.pbc with "
                "xcnet.adapters.pyscf for crystals"
            )
        if self.mf is None or set(system_changes) - {"positions"}:
            self.mf, guess = self._object(), None
        else:
            guess = self.mf.make_rdm1()
            self.mf.reset(self._molecule())
        outcome = adapter.converge(self.mf, guess)
        if not outcome.converged:
            raise ConvergenceError(
                f"{self.parameters.xc}: not self-consistent after {outcome.cycles} cycles "
                f"({outcome.rung}). {outcome.note}",
                functional=self.parameters.xc,
            )
        energy = float(self.mf.e_tot) * Hartree
        dipole = self.mf.dip_moment(unit="AU", verbose=0) * Bohr
        self.results |= {"energy": energy, "free_energy": energy, "dipole": np.asarray(dipole)}
        self.results["magmom"] = float(self.mf.mol.spin)
        if "forces" in properties:
            gradient = self.mf.nuc_grad_method().set(verbose=0).kernel()
            self.results["forces"] = -np.asarray(gradient) * (Hartree / Bohr)

    def _molecule(self) -> Any:
        spin = self.parameters.spin
        if spin is None:
            spin = round(abs(self.atoms.get_initial_magnetic_moments().sum()))
        symbols, positions = self.atoms.symbols, self.atoms.positions.tolist()
        molecule = Molecule(
            str(symbols), tuple(symbols), tuple(positions), self.parameters.charge, spin
        )
        return build(molecule, self.parameters.basis)

    def _object(self) -> Any:
        mol, parameters = self._molecule(), self.parameters
        mf = adapter.attach((dft.UKS if mol.spin else dft.RKS)(mol, xc=parameters.xc))
        level = parameters.grid_level
        if level is None:
            level = calculation.grid_level([calculation.check_functional(parameters.xc)])
        mf.grids.level = level
        mf.conv_tol = parameters.conv_tol
        return mf.density_fit() if parameters.density_fit else mf
