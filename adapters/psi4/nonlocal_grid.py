"""Psi4's molecular grid, atom by atom.

Nonlocal descriptors and exact gradients need to know which atom a point belongs to and what it
weighs before the partition among the atoms; Psi4's blocks of points say neither. Both follow from
the grids that Psi4 makes, with the user's options, for each atom alone. Unlike Psi4's molecular
grid, they are not turned with the molecule: points move with their atoms and do nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from psi4 import core
from psi4.driver import p4util

from xcnet.errors import UnsupportedError
from xcnet.grid import Grid
from xcnet.operators import Array, bisection, cells
from xcnet.operators.cells import Indices

#: Points of a compact block, at most.
BLOCK = 512
#: Psi4's partitions by Becke, and the power of the ratio of radii that they depend on.
SCHEMES = {"NAIVE": 0.0, "BECKE": 1.0, "TREUTLER": 0.5}
#: A grid with shells in proportion to the atomic radii that Psi4's partition uses as well.
_PROBE = (
    {"DFT_RADIAL_POINTS": 3, "DFT_SPHERICAL_POINTS": 6},
    {"DFT_GRID_NAME": "", "DFT_RADIAL_SCHEME": "TREUTLER"},
)


@dataclass(frozen=True, eq=False)
class MolecularGrid:
    """All points of a molecule, neighbours together.

    Attributes
    ----------
    grid : Grid
        Coordinates, weights, parents and volumes.
    adjustments : (A, A)
        See `cells.adjustments`.
    blocks : list of slice
        Compact groups of points.
    """

    grid: Grid
    adjustments: Array
    blocks: list[slice]

    @property
    def parents(self) -> Indices:
        """Atom (N,) of each point."""
        atoms = self.grid.points.atoms
        assert atoms is not None
        return atoms.parents

    @property
    def centres(self) -> Array:
        """Atoms (A, 3), bohr."""
        atoms = self.grid.points.atoms
        assert atoms is not None
        return atoms.centres

    def response(self, values: Array) -> Array:
        """Derivatives (A, 3) of sum_i w_i f_i by the atoms, for values f (N,) that do not move."""
        points = self.grid.points
        charges = points.weights * values
        arguments = points.coords, self.centres, self.parents, charges, self.adjustments
        return cells.response(*arguments)


def molecular_grid(basis: Any) -> MolecularGrid:
    """Grid for a molecule and its basis set, with Psi4's present options of the SCF module.

    Raises
    ------
    UnsupportedError
        DFT_NUCLEAR_SCHEME is none of Becke's partitions.
    """
    core.prepare_options_for_module("SCF")
    molecule = basis.molecule()
    charges = [molecule.true_atomic_number(i) for i in range(molecule.natom())]
    centres = np.array(molecule.geometry())
    reach = core.BasisExtents(basis, core.get_option("SCF", "DFT_BASIS_TOLERANCE")).maxR()
    shapes = {charge: _atomic_grid(charge, basis, reach) for charge in set(charges)}
    relative = np.concatenate([shapes[charge] for charge in charges])
    parents = np.repeat(np.arange(len(charges)), [len(shapes[charge]) for charge in charges])
    coords = relative[:, :3] + centres[parents]
    start = bisection.starts(len(coords), BLOCK)
    order = bisection.order(coords, start)
    blocks = [slice(*pair) for pair in pairwise(start.tolist())]
    coords, parents, volumes = coords[order], parents[order], relative[order, 3]
    adjust = _adjustments(charges, basis)
    weights = volumes * cells.shares(coords, centres, parents, adjust)
    numbers = [molecule.Z(i) for i in range(molecule.natom())]  # 0 for ghosts
    grid = Grid(coords, weights, centres=centres, parents=parents, volumes=volumes, numbers=numbers)
    return MolecularGrid(grid, adjust, blocks)


def _adjustments(charges: list[int], basis: Any) -> Array:
    scheme = core.get_option("SCF", "DFT_NUCLEAR_SCHEME")
    if scheme not in SCHEMES:
        raise UnsupportedError(
            f"nonlocal functionals need a partition by Becke: set dft_nuclear_scheme to one of "
            f"{', '.join(SCHEMES)}, not {scheme}",
            argument="DFT_NUCLEAR_SCHEME",
            given=scheme,
        )
    probes = {charge: _points(charge, basis, *_PROBE) for charge in set(charges)}
    radii = [np.linalg.norm(probes[charge][:, :3], axis=1).min() for charge in charges]
    return cells.adjustments(np.array(radii), SCHEMES[scheme])


def _atomic_grid(charge: int, basis: Any, reach: float) -> Array:
    """Points and volumes (N, 4) around an atom at the origin, up to where orbitals vanish."""
    points = _points(charge, basis, {}, {})
    # A shell stays whole.
    inside: Array = points[np.linalg.norm(points[:, :3], axis=1) < reach * (1.0 + 1e-10)]
    return inside


def _points(charge: int, basis: Any, numbers: dict[str, int], words: dict[str, str]) -> Array:
    """Coordinates and weights (N, 4) of Psi4's grid for one atom at the origin."""
    atom = core.Molecule.from_arrays(
        elez=[charge], real=[False], geom=[0.0, 0.0, 0.0], units="Bohr", fix_com=True
    )
    atom.update_geometry()
    stash = p4util.OptionsState(["SCF", "DFT_BASIS_TOLERANCE"])
    core.set_local_option("SCF", "DFT_BASIS_TOLERANCE", 0.0)  # Psi4 then leaves out nothing
    try:
        grid = core.DFTGrid.build(atom, basis, numbers, words)  # its blocks do not outlive it
    finally:
        stash.restore()
    rows = [[np.array(getattr(block, row)()) for row in "xyzw"] for block in grid.blocks()]
    return np.concatenate(rows, axis=1).T
