"""Densities in the loss: how far a functional would move accurate Kohn-Sham orbitals.

In the orbitals that give an accurate density, the Kohn-Sham Hamiltonian of the exact functional
has no elements F_ia between occupied and empty orbitals. Those of a trial functional are linear
in its derivatives, need no self-consistency, and say to second order how far the energy falls when
the orbitals relax to the functional's own density:

    dE = - sum_ia |F_ia|^2 / (e_a - e_i)        per spin.

The loss is this energy, averaged over the systems. F_ia is the derivative of the total energy by
a rotation of the orbitals, so a functional whose loss vanishes has the accurate density.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from xcnet.operators import GridOperator
from xcnet.references.accurate import Reference
from xcnet.scf.densities import GridDensity, on_grid
from xcnet.systems.units import KCAL_PER_HARTREE
from xcnet.training.form.forms import FORMS
from xcnet.training.form.semilocal import DENSITY_THRESHOLD, Semilocal
from xcnet.training.loss import parts
from xcnet.training.loss.problem import PointResiduals, point_residuals
from xcnet.training.loss.sampling import channels
from xcnet.training.recipe import OrbitalSettings

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Rows:
    """F_ia / sqrt(e_a - e_i) of one spin, by the parts' derivatives at the points.

    ``fixed`` (rows,): without exchange and correlation; ``integrals``: per part, matrix (rows,
    points times derivatives) that integrates them; ``slopes``: these derivatives.
    """

    fixed: Tensor
    integrals: Mapping[str, Tensor]
    slopes: Mapping[str, PointResiduals]

    def values(self, module: Semilocal) -> Tensor:
        total = self.fixed
        for name, matrix in self.integrals.items():
            network, slopes = module.network(name), self.slopes[name]
            rows = slopes.constant.flatten() if network is None else slopes.residuals(network)
            total = total + matrix @ rows
        return total

    def jacobian(self, module: Semilocal) -> Tensor:
        blocks = []
        for name, matrix in self.integrals.items():
            if (network := module.network(name)) is None:
                continue
            block, first = matrix.new_zeros(len(matrix), len(network.vector())), 0
            for rows in self.slopes[name].jacobian_chunks(network):
                block.addmm_(matrix[:, first : first + len(rows)], rows)
                first += len(rows)
            blocks.append(block)
        return torch.cat(blocks, dim=1)


@dataclass(frozen=True)
class Relaxation:
    """Estimated relaxation energies of all systems, kcal/mol."""

    names: tuple[str, ...]
    rows: tuple[tuple[_Rows, ...], ...]

    @torch.no_grad()
    def energies(self, module: Semilocal) -> dict[str, float]:
        """How far the energy of each system would fall, kcal/mol."""
        return {
            name: KCAL_PER_HARTREE * sum(float(spin.values(module).square().sum()) for spin in rows)
            for name, rows in zip(self.names, self.rows, strict=True)
        }

    def mean(self, module: Semilocal) -> float:
        """Mean of `energies`."""
        return float(np.mean(list(self.energies(module).values())))

    @torch.no_grad()
    def normal_equations(self, module: Semilocal) -> tuple[Tensor, Tensor]:
        """Normal matrix and half the gradient of `mean`."""
        scale = KCAL_PER_HARTREE / len(self.names)
        matrix, gradient = torch.zeros(()), torch.zeros(())
        for spin in (spin for rows in self.rows for spin in rows):
            jacobian = spin.jacobian(module)
            matrix = matrix + scale * (jacobian.T @ jacobian)
            gradient = gradient + scale * (jacobian.T @ spin.values(module))
        return matrix, gradient


def relaxation(
    form: str, references: Mapping[str, Reference], settings: OrbitalSettings
) -> Relaxation:
    """Matrix elements of all systems that have empty orbitals to relax into.

    Parameters
    ----------
    form : str
        Form of the functional, see `xcnet.training.form.forms`.
    references : mapping of str to Reference
    settings : OrbitalSettings
    """
    systems = {name: _system(form, reference, settings) for name, reference in references.items()}
    return Relaxation(tuple(systems), tuple(systems.values()))


def _system(form: str, reference: Reference, settings: OrbitalSettings) -> tuple[_Rows, ...]:
    from pyscf import dft
    from pyscf.scf import hf

    molecule, inversions = reference.molecule(), reference.kohn_sham()
    grids = dft.Grids(molecule)
    grids.level = settings.grid_level
    grids.build()
    matrices = [inversion.density_matrix for inversion in inversions]
    descriptor = FORMS[form].descriptor
    name, every_point = reference.system.name, -1.0
    density = on_grid(name, molecule, matrices, grids, every_point, descriptor)
    hamiltonian = hf.get_hcore(molecule) + hf.get_jk(molecule, sum(matrices))[0]
    values = dft.numint.eval_ao(molecule, grids.coords, deriv=1)
    gradients = [
        dft.numint.eval_rho(molecule, values, matrix, xctype="GGA")[1:4] for matrix in matrices
    ]
    rows = []
    for spin, inversion in enumerate(inversions):
        if inversion.occupied:
            chosen = _Orbitals(inversion, settings.highest, hamiltonian, values)
            near = _change(grids, descriptor, density)
            rows.append(_rows(form, spin, density, gradients, chosen, near))
    return tuple(rows)


def _change(
    grids: Any, descriptor: GridOperator | None, density: GridDensity
) -> Callable[[Array], Array] | None:
    """How R changes, where it is not clipped, with densities (pairs, N); None without it."""
    if descriptor is None:
        return None
    from xcnet.adapters.pyscf.blocks import whole_grid

    grid, followed = whole_grid(grids), density.descriptors[descriptor.label] > 0.0

    def change(products: Array) -> Array:
        changes = [grid.values(descriptor, product)[:, 0] for product in products]
        return np.stack(changes) * followed

    return change


class _Orbitals:
    """Occupied and empty orbitals of one spin: gaps, fixed matrix elements, values at points."""

    def __init__(self, inversion: Any, highest: float, hamiltonian: Array, values: Array) -> None:
        count, energies = inversion.occupied, inversion.energies
        empty = np.flatnonzero(energies[count:] < highest) + count
        occupied, virtual = inversion.orbitals[:, :count], inversion.orbitals[:, empty]
        self.gaps = (energies[empty] - energies[:count, None]).ravel()
        self.fixed = (occupied.T @ hamiltonian @ virtual).ravel()
        self.occupied, self.virtual = values @ occupied, values @ virtual

    def products(self, field: Array) -> tuple[Array, Array, Array]:
        """Per pair and point: product, its derivative along a field (3, N), scalar product."""
        o, v = self.occupied, self.virtual
        along_o = np.einsum("xn,xni->ni", field, o[1:4])
        along_v = np.einsum("xn,xna->na", field, v[1:4])
        product = np.einsum("ni,na->ian", o[0], v[0])
        slope = np.einsum("ni,na->ian", along_o, v[0]) + np.einsum("ni,na->ian", o[0], along_v)
        kinetic = np.einsum("xni,xna->ian", o[1:4], v[1:4])
        shape = (-1, product.shape[2])
        return product.reshape(shape), slope.reshape(shape), kinetic.reshape(shape)


def _rows(
    form: str,
    spin: int,
    density: GridDensity,
    gradients: Sequence[Array],
    orbitals: _Orbitals,
    nonlocal_change: Callable[[Array], Array] | None,
) -> _Rows:
    scale = 1.0 / np.sqrt(orbitals.gaps)
    integrals, slopes = {}, {}
    for part in parts.of(form):
        variables, kept, field = _variables(part, spin, density, gradients)
        product, slope, kinetic = orbitals.products(field)
        by_density = np.zeros_like(product)
        columns = [np.zeros_like(product), product, 2.0 * slope, 0.5 * kinetic]
        if part.name == "correlation":
            # Of the two spin densities only this spin's depends on the orbitals.
            columns[1:2] = [product, by_density] if spin == 0 else [by_density, product]
            if nonlocal_change is not None:
                columns.append(nonlocal_change(product))
        matrix = np.stack([column[:, kept] for column in columns], axis=2)
        matrix *= density.weights[kept][:, None] * scale[:, None, None]
        integrals[part.name] = torch.from_numpy(matrix.reshape(len(matrix), -1))
        zeros = torch.zeros(len(variables), variables.shape[1] + 1, dtype=torch.float64)
        slopes[part.name] = point_residuals(
            part.columns, torch.from_numpy(variables), zeros, zeros + 1.0
        )
    return _Rows(torch.from_numpy(orbitals.fixed * scale), integrals, slopes)


def _variables(
    part: parts.Part, spin: int, density: GridDensity, gradients: Sequence[Array]
) -> tuple[Array, npt.NDArray[np.bool_], Array]:
    """Variables of a part at the points that count, which ones, and the gradient of its density."""
    if part.name == "exchange":
        rows = [density.rho[:, spin], density.sigma[:, 2 * spin], density.tau[:, spin]]
        variables, field = np.stack(rows, axis=1), gradients[spin]
    else:
        sigma = density.sigma @ np.array([1.0, 2.0, 1.0])
        columns = [density.rho, sigma, density.tau.sum(axis=1)]
        columns += [values.clip(min=0.0) for values in density.descriptors.values()]
        variables = np.column_stack(columns)
        field = gradients[0] + gradients[1]
    kept = density.rho[:, spin] > 1e-8
    rows_kept = variables[kept]
    spins = slice(channels(rows_kept))
    rows_kept[:, spins] = rows_kept[:, spins].clip(min=DENSITY_THRESHOLD)
    return rows_kept, kept, field
