"""Accurate energies and densities of small systems by coupled cluster, made with PySCF.

Nonrelativistic, nuclei clamped. Unrestricted for open shells, restricted for closed ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xcnet.errors import ConvergenceError
from xcnet.references import relaxed_density
from xcnet.scf.molecule import build
from xcnet.systems.molecules import Molecule

Array = npt.NDArray[np.float64]
#: PySCF's names of basis sets by element; ``default`` is that of the elements not named.
Basis = Mapping[str, str]


@dataclass(frozen=True)
class CompositeScheme:
    """Basis sets of a composite energy and of the density.

    Parameters
    ----------
    valence
        Two basis sets of the frozen-core energies, extrapolated to the basis-set limit.
    cardinals
        Their cardinal numbers.
    core
        Basis of the core-valence correction and of the density, both with all electrons.
    """

    valence: tuple[Basis, Basis]
    cardinals: tuple[int, int]
    core: Basis


#: Diffuse functions on all but hydrogen: T. H. Dunning, J. Chem. Phys. 90, 1007 (1989),
#: doi:10.1063/1.456153; core: K. A. Peterson, T. H. Dunning, J. Chem. Phys. 117, 10548 (2002),
#: doi:10.1063/1.1520138.
SCHEME = CompositeScheme(
    valence=(
        {"default": "aug-cc-pvtz", "H": "cc-pvtz"},
        {"default": "aug-cc-pvqz", "H": "cc-pvqz"},
    ),
    cardinals=(3, 4),
    core={"default": "aug-cc-pwcvtz", "H": "aug-cc-pvtz"},
)


@dataclass(frozen=True)
class Solution:
    """Energies (Hartree) by name, and the CCSD density matrix.

    ``energies``: for each basis (``small``, ``large``, ``core``) ``hf``, ``ccsd`` and ``t`` (the
    perturbative triples), ``frozen`` (CCSD(T) with frozen core in the core basis) and ``total``.
    ``density_matrix`` (S, n, n): alpha and beta (S = 2), or one of them for closed shells (S = 1),
    in the spherical atomic orbitals of the core basis in PySCF's order.
    """

    energies: dict[str, float]
    density_matrix: Array


def extrapolate(energies: tuple[float, float], falls: tuple[float, float]) -> float:
    """Limit E of E_L = E + A f(L) from two values E_L and the two f(L)."""
    small, large = falls
    return (energies[1] * small - energies[0] * large) / (small - large)


def hartree_fock_fall(cardinal: int) -> float:
    """Decay of the Hartree-Fock error with the cardinal number: (L + 1) exp(-9 sqrt L).

    A. Karton, J. M. L. Martin, Theor. Chem. Acc. 115, 330 (2006), doi:10.1007/s00214-005-0028-6.
    """
    return (cardinal + 1) * math.exp(-9.0 * math.sqrt(cardinal))


def correlation_fall(cardinal: int) -> float:
    """Decay of the correlation energy's error with the cardinal number: L^-3.22.

    The exponent of W1 theory for triple and quadruple zeta with diffuse functions on all but
    hydrogen: J. M. L. Martin, G. de Oliveira, J. Chem. Phys. 111, 1843 (1999),
    doi:10.1063/1.479454. The asymptotic 3 takes atomization energies too far there.
    """
    return float(cardinal) ** -3.22


def solve(system: Molecule, scheme: CompositeScheme = SCHEME) -> Solution:
    """CCSD(T) energy at the basis-set limit and CCSD density of one system.

    The total energy is the frozen-core one, Hartree-Fock and correlation extrapolated separately,
    plus the difference between all electrons and frozen core in the core basis. The density is
    that of the CCSD Lambda equations with the response of the orbitals.

    Raises
    ------
    ConvergenceError
        Hartree-Fock, the amplitudes or Lambda do not converge.
    """
    energies: dict[str, float] = {}
    for label, basis in zip(("small", "large"), scheme.valence, strict=True):
        field = _hartree_fock(system, basis)
        energies[f"hf_{label}"] = float(field.e_tot)
        energies |= _correlation(label, _amplitudes(system, field, frozen=True))
    field = _hartree_fock(system, scheme.core)
    energies["hf_core"] = float(field.e_tot)
    energies |= _correlation("frozen", _amplitudes(system, field, frozen=True))
    cluster = _amplitudes(system, field, frozen=False)
    energies |= _correlation("core", cluster)
    energies["total"] = total(energies, scheme.cardinals)
    return Solution(energies, _density_matrix(system, field, cluster))


def total(energies: Mapping[str, float], cardinals: tuple[int, int]) -> float:
    """Composite total energy (Hartree) from the parts that `solve` made."""

    def limit(name: str, fall: Any) -> float:
        values = (energies[f"{name}_small"], energies[f"{name}_large"])
        return extrapolate(values, (fall(cardinals[0]), fall(cardinals[1])))

    valence = limit("hf", hartree_fock_fall)
    valence += limit("ccsd", correlation_fall) + limit("t", correlation_fall)
    core = sum(energies[f"{part}_core"] - energies[f"{part}_frozen"] for part in ("ccsd", "t"))
    return valence + core


def _hartree_fock(system: Molecule, basis: Basis) -> Any:
    from pyscf import scf

    molecule = build(system, basis)
    field = (scf.UHF if molecule.spin else scf.RHF)(molecule)
    field.conv_tol = 1e-11
    field.kernel()
    if not field.converged:
        field = field.newton().run()
    if not field.converged:
        raise ConvergenceError(f"Hartree-Fock of {system.name} did not converge", basis=str(basis))
    return field


def _amplitudes(system: Molecule, field: Any, frozen: bool) -> Any:
    """Converged CCSD with its ``integrals``, or None for one electron: no correlation."""
    from pyscf import cc

    if system.electrons == 1:
        return None
    core = sum(symbol not in ("H", "He") for symbol in system.symbols)
    cluster = (cc.UCCSD if field.mol.spin else cc.RCCSD)(field, frozen=core if frozen else None)
    cluster.conv_tol, cluster.conv_tol_normt, cluster.max_cycle = 1e-8, 1e-6, 100
    # Kept for the triples and Lambda, which would transform all integrals again.
    cluster.integrals = cluster.ao2mo()
    cluster.kernel(eris=cluster.integrals)
    if not cluster.converged:
        raise ConvergenceError(f"CCSD of {system.name} did not converge", frozen=frozen)
    return cluster


def _correlation(label: str, cluster: Any) -> dict[str, float]:
    if cluster is None:
        return {f"ccsd_{label}": 0.0, f"t_{label}": 0.0}
    triples = float(cluster.ccsd_t(eris=cluster.integrals))
    return {f"ccsd_{label}": float(cluster.e_corr), f"t_{label}": triples}


def _density_matrix(system: Molecule, field: Any, cluster: Any) -> Array:
    if cluster is None:
        return np.array(field.make_rdm1())
    cluster.solve_lambda(eris=cluster.integrals)
    if not cluster.converged_lambda:
        raise ConvergenceError(f"the Lambda equations of {system.name} did not converge")
    matrices = relaxed_density.density_matrix(field, cluster)
    return matrices if len(matrices) == 2 else 0.5 * matrices
