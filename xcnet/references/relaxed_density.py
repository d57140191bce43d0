"""Density matrix of coupled cluster with the response of the orbitals.

The derivative of the energy by a one-electron operator. The orbitals of Hartree-Fock follow the
operator, so to the density of the Lambda equations comes z, between occupied and empty orbitals:

    H z = -X,    X_ai = 2 (F_ai - F_ia),    F_pq = sum_r h_pr D_rq + sum_rst (pr|st) D_qrst

with X the derivative of the energy by rotations of the orbitals (D: one- and two-electron density
matrices) and H that of the Fock matrix; N. C. Handy, H. F. Schaefer, J. Chem. Phys. 81, 5031
(1984), doi:10.1063/1.447489.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from xcnet.errors import ConvergenceError

Array = npt.NDArray[np.float64]
LARGEST_REST = 1e-6  # Hartree, of the response equations


def density_matrix(field: Any, cluster: Any) -> Array:
    """Relaxed density matrix in atomic orbitals.

    Parameters
    ----------
    field
        Converged RHF or UHF of PySCF.
    cluster
        Its CCSD with all orbitals active, amplitudes and Lambda converged. The two-electron
        density matrix is kept in memory.

    Returns
    -------
    (S, n, n): alpha and beta (S = 2) of UHF, their sum (S = 1) of RHF.
    """
    orbitals = _by_spin(field, field.mo_coeff)
    ones = _by_spin(field, cluster.make_rdm1())
    gradients = _orbital_gradients(field, orbitals, ones, cluster.make_rdm2())
    matrices = []
    responses = _response(field, gradients)
    for coefficients, occupation, unrelaxed, z in zip(
        orbitals, _by_spin(field, field.mo_occ), ones, responses, strict=True
    ):
        relaxed = unrelaxed.copy()
        filled = occupation > 0
        relaxed[np.ix_(~filled, filled)] += 0.5 * z
        relaxed[np.ix_(filled, ~filled)] += 0.5 * z.T
        matrices.append(coefficients @ relaxed @ coefficients.T)
    return np.stack(matrices)


def _by_spin(field: Any, value: Any) -> list[Array]:
    """One array of RHF, two of UHF."""
    return [value] if np.ndim(field.mo_energy) == 1 else list(value)


def _orbital_gradients(
    field: Any, orbitals: list[Array], ones: list[Array], two: Any
) -> list[Array]:
    """X (empty, occupied) of each spin."""
    bare = field.get_hcore()
    folded = [c.T @ bare @ c @ matrix for c, matrix in zip(orbitals, ones, strict=True)]
    if len(orbitals) == 1:
        folded[0] += _contract(field.mol, orbitals * 4, two)
    else:
        (a, b), (aa, ab, bb) = orbitals, two
        folded[0] += _contract(field.mol, [a, a, a, a], aa) + _contract(field.mol, [a, a, b, b], ab)
        folded[1] += _contract(field.mol, [b, b, b, b], bb)
        folded[1] += _contract(field.mol, [b, b, a, a], ab.transpose(2, 3, 0, 1))
    return [
        2.0 * (f - f.T)[np.ix_(occupation == 0, occupation > 0)]
        for f, occupation in zip(folded, _by_spin(field, field.mo_occ), strict=True)
    ]


def _contract(molecule: Any, orbitals: Sequence[Array], two: Array) -> Array:
    """Sum over r, s, t of (pr|st) D_qrst."""
    from pyscf import ao2mo

    sizes = [c.shape[1] for c in orbitals]
    integrals = ao2mo.general(molecule, orbitals, compact=False).reshape(sizes)
    contracted: Array = np.tensordot(integrals, two, axes=([1, 2, 3], [1, 2, 3]))
    return contracted


def _response(field: Any, gradients: list[Array]) -> list[Array]:
    """z (empty, occupied) of each spin, from the coupled-perturbed equations."""
    from pyscf.scf import cphf, ucphf

    orbitals, occupations = _by_spin(field, field.mo_coeff), _by_spin(field, field.mo_occ)
    potential = field.gen_response(hermi=1)
    empty = [c[:, n == 0] for c, n in zip(orbitals, occupations, strict=True)]
    filled = [c[:, n > 0] for c, n in zip(orbitals, occupations, strict=True)]
    electrons = 2.0 if len(orbitals) == 1 else 1.0

    def induced(rotations: Array) -> Array:
        """Change of the Fock matrix by that of the density."""
        parts = np.split(rotations.ravel(), np.cumsum([g.size for g in gradients])[:-1])
        changes = []
        for part, g, v, o in zip(parts, gradients, empty, filled, strict=True):
            half = electrons * v @ part.reshape(g.shape) @ o.T
            changes.append(half + half.T)
        density = changes[0] if len(changes) == 1 else np.stack(changes)
        fields = _by_spin(field, potential(density))
        return np.concatenate(
            [(v.T @ f @ o).ravel() for f, v, o in zip(fields, empty, filled, strict=True)]
        )

    options = {"max_cycle": 100, "tol": 1e-10}
    if len(gradients) == 1:
        z, _ = cphf.solve(induced, field.mo_energy, field.mo_occ, gradients[0], **options)
        solution = [z]
    else:
        z, _ = ucphf.solve(induced, field.mo_energy, field.mo_occ, tuple(gradients), **options)
        solution = list(z)
    gaps = [
        e[n == 0][:, None] - e[n > 0]
        for e, n in zip(_by_spin(field, field.mo_energy), occupations, strict=True)
    ]
    whole = np.concatenate([z.ravel() for z in solution])
    rest = np.concatenate([g.ravel() for g in gaps]) * whole + induced(whole)
    rest += np.concatenate([g.ravel() for g in gradients])
    # A rotation that costs nothing, as of an atom's open shell, is no part of X, nor of z.
    if not np.abs(rest).max() < LARGEST_REST:
        raise ConvergenceError(
            f"the response of the orbitals did not converge: {np.abs(rest).max():.1e} Hartree left"
        )
    return solution
