"""Densities on all points of a PySCF grid, and potential matrices from all points.

The two halves of PySCF's ``nr_rks``, which evaluates a functional between them block by block; a
nonlocal functional needs all densities before the first potential.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from pyscf import gto
from pyscf.dft import numint

from xcnet.adapters.pyscf.layout import ROWS, Array
from xcnet.grid import Grid

_grids: WeakKeyDictionary[Any, tuple[Any, Any, Grid]] = WeakKeyDictionary()


def whole_grid(grids: Any) -> Grid:
    """The points of a PySCF grid for nonlocal descriptors, prepared once per geometry."""
    if grids.coords is None:
        grids.build(with_non0tab=True)
    coords, weights, grid = _grids.get(grids, (None, None, None))
    if grid is None or coords is not grids.coords or weights is not grids.weights:
        grid = Grid(grids.coords, grids.weights, **_atoms(grids))
        _grids[grids] = grids.coords, grids.weights, grid
    return grid


def atomic_grids(grids: Any) -> list[tuple[Array, Array, Array]]:
    """Points, weights, and weights before the partition, of each atom in PySCF's order."""
    mol = grids.mol
    table = grids.gen_atomic_grids(
        mol, grids.atom_grid, grids.radi_method, grids.level, grids.prune
    )
    coords, weights = grids.get_partition(
        mol, table, grids.radii_adjust, grids.atomic_radii, grids.becke_scheme, concat=False
    )
    volumes = [table[mol.atom_symbol(atom)][1] for atom in range(mol.natm)]
    return list(zip(coords, weights, volumes, strict=True))


def joined(grids: Any, parts: list[tuple[Array, Array, Array]]) -> dict[str, Any]:
    """Arguments of `Grid` for the atomic grids one after the other."""
    coords, weights, volumes = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    parents = np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts])
    centres = grids.mol.atom_coords()
    return {
        **{"coords": coords, "weights": weights, "centres": centres},
        **{"parents": parents, "volumes": volumes, "numbers": _numbers(grids.mol)},
    }


def _atoms(grids: Any) -> dict[str, Any]:
    """Parent atoms of the points; nothing for points that are not PySCF's own."""
    parents = getattr(grids, "atm_idx", None)
    if parents is None:
        return _found_atoms(grids)
    return {
        "centres": grids.mol.atom_coords(),
        "parents": parents,
        "volumes": grids.quadrature_weights,
        "numbers": _numbers(grids.mol),
    }


def _numbers(mol: Any) -> list[int]:
    """Atomic numbers, 0 for ghosts; pseudopotentials do not change them."""
    return [gto.charge(mol.atom_symbol(atom)) for atom in range(mol.natm)]


def _found_atoms(grids: Any) -> dict[str, Any]:
    """The same where PySCF (2.8) does not keep it: the points of the atoms, found again."""
    made = joined(grids, atomic_grids(grids))
    ours = np.column_stack([made["coords"], made["weights"]])
    theirs = np.column_stack([grids.coords, grids.weights])[: len(ours)]  # then padding
    place, target = np.lexsort(ours.T), np.lexsort(theirs.T)
    if not np.array_equal(ours[place], theirs[target]):
        return {}
    parents, volumes = np.full(len(grids.weights), -1), np.zeros(len(grids.weights))
    parents[target], volumes[target] = made["parents"][place], made["volumes"][place]
    return {
        **{"centres": made["centres"], "parents": parents, "volumes": volumes},
        "numbers": made["numbers"],
    }


def densities(
    ni: Any, mol: Any, grids: Any, kind: str, matrix: Any, hermi: int, max_memory: float
) -> Array:
    """Density rows (sets, rows, N) of one density matrix or a list of them, atomic units.

    Rows: n, its gradient, tau, as many as `kind` has. Matrices that are not symmetric
    (``hermi=0``) count with their symmetric part.
    """
    make_rho, sets, nao = ni._gen_rho_evaluator(mol, matrix, hermi, False, grids)
    result = np.empty((sets, ROWS[kind], len(grids.weights)))
    for part, ao, mask in _blocks(ni, mol, grids, nao, kind, max_memory):
        for i in range(sets):
            result[i, :, part] = make_rho(i, ao, mask, kind)
    return result


def matrices(
    ni: Any, mol: Any, grids: Any, kind: str, potentials: Array, max_memory: float
) -> Array:
    """Potential matrices (sets, nao, nao), Hartree, from derivatives by the density rows.

    Parameters
    ----------
    ni, mol, grids
        PySCF's.
    kind
        PySCF's ``xc_type``.
    potentials
        (sets, rows, N) derivatives of n zk by n, its gradient and tau.
    max_memory
        For one block of orbitals, in MB.
    """
    nao, ao_loc = mol.nao, mol.ao_loc_nr()
    cutoff = grids.cutoff * 1e2
    nbins = numint.NBINS * 2 - int(numint.NBINS * np.log(cutoff) / np.log(grids.cutoff))
    pairs = mol.get_overlap_cond() < -np.log(ni.cutoff)
    weighted = grids.weights * potentials
    if kind != "LDA":
        weighted[:, 0] *= 0.5  # half of it comes with the transpose
    result = np.zeros((len(potentials), nao, nao))
    kinetic = np.zeros_like(result)
    scaled = None
    for part, ao, mask in _blocks(ni, mol, grids, nao, kind, max_memory):
        # PySCF's sparse loops take a pointer.
        for i, rows in enumerate(np.ascontiguousarray(weighted[:, :, part])):
            rest = (nbins, mask, pairs, ao_loc)
            if kind == "LDA":
                numint._dot_ao_ao_sparse(ao, ao, rows[0], *rest, 1, result[i])
                continue
            scaled = numint._scale_ao_sparse(ao[:4], rows[:4], mask, ao_loc, out=scaled)
            numint._dot_ao_ao_sparse(ao[0], scaled, None, *rest, 0, result[i])
            if kind == "MGGA":  # tau has a factor 1/2
                numint._tau_dot_sparse(ao, ao, 0.5 * rows[4], *rest, out=kinetic[i])
    return result if kind == "LDA" else result + result.transpose(0, 2, 1) + kinetic


def _blocks(
    ni: Any, mol: Any, grids: Any, nao: int, kind: str, max_memory: float
) -> Iterator[tuple[slice, Any, Any]]:
    """Points, orbitals and screening of each block."""
    start = 0
    order = 0 if kind == "LDA" else 1
    for ao, mask, weight, _ in ni.block_loop(mol, grids, nao, order, max_memory=max_memory):
        yield slice(start, start + len(weight)), ao, mask
        start += len(weight)
