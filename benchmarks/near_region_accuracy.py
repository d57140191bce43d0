"""Error of the continuum descriptor for self-consistent densities.

Root mean square of the relative error of R, weighted by the density, against the expansion of the
kernel in Gaussians. ``python -m benchmarks.near_region_accuracy`` writes
``benchmarks/results/near_region_accuracy.md``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ase.build import molecule
from pyscf import dft, gto

from tests.grids import Case
from xcnet.operators.near_region.continuum import HIGH_ORDER, ORDER, Continuum
from xcnet.operators.points import read_points

Array = npt.NDArray[np.float64]

RESULT = Path(__file__).resolve().parent / "results" / "near_region_accuracy.md"
SIGMA, SAMPLE = 0.2, 1500
LEVELS = (2, 3, 4, 5)
#: Angstrom; others are named as in the G2 set.
GEOMETRIES = {
    "AlF": "Al 0 0 0; F 0 0 1.654",
    "NaH": "Na 0 0 0; H 0 0 1.887",
    "MgO": "Mg 0 0 0; O 0 0 1.749",
    "HBr": "Br 0 0 0; H 0 0 1.414",
    "Br2": "Br 0 0 0; Br 0 0 2.281",
    "KF": "K 0 0 0; F 0 0 2.171",
    "Ar": "Ar 0 0 0",
    "F-": "F 0 0 0",
    "Cl-": "Cl 0 0 0",
    "OH-": "O 0 0 0; H 0 0 0.964",
    "NO2-": "N 0 0 0; O 1.06 0.66 0; O -1.06 0.66 0",
}
#: H to Cl; then anions and diffuse functions; then elements beyond Cl.
MOLECULES = {
    "def2-svp": "H2 LiH CH4 C2H2 C2H4 C2H6 C6H6 NH3 N2 H2O CO CO2 HF F2 LiF OCHCHO SiH4 PH3 P2 "
    "SH2 HCl Cl2 Na2 NaCl NaH SO2 SiO AlF MgO CH3Cl CCl4 AlCl3 Ar HBr Br2 KF",
    "aug-cc-pvtz": "F- Cl- OH- NO2- H2O",
}


def density_matrix(mol: gto.Mole) -> Array:
    """PBE, on a coarse grid: a density with bonds."""
    mf = dft.RKS(mol, xc="PBE").density_fit()
    mf.grids.level, mf.conv_tol, mf.max_cycle = 1, 1e-5, 30
    mf.kernel()
    return np.asarray(mf.make_rdm1())


def case_of(mol: gto.Mole, matrix: Array, level: int) -> Case:
    """A density on a grid."""
    grids = dft.Grids(mol)
    grids.level = level
    grids.build()
    parts = np.array_split(grids.coords, max(1, len(grids.coords) // 20_000))
    density = np.concatenate(
        [dft.numint.eval_rho(mol, dft.numint.eval_ao(mol, part), matrix, hermi=1) for part in parts]
    )
    points = read_points(
        grids.coords,
        grids.weights,
        mol.atom_coords(),
        grids.atm_idx,
        grids.quadrature_weights,
        [gto.charge(mol.atom_symbol(atom)) for atom in range(mol.natm)],
    )
    return Case(mol, matrix, points, density, density, density)


def errors(case: Case) -> list[float]:
    """Weighted root mean square errors of R at the default and at the high order.

    From a sample that has half of its points where there is little density: the largest relative
    errors are there.
    """
    inside = np.abs(case.points.weights * case.density)
    outside = np.abs(case.points.weights) * np.sqrt(np.abs(case.density))
    outside[np.abs(case.density) < 1e-7] = 0.0
    inside, outside = inside / inside.sum(), outside / outside.sum()
    drawn = 0.5 * (inside + outside)
    some = np.random.default_rng(1).choice(len(drawn), SAMPLE, p=drawn)
    exact = np.concatenate(
        [case.analytic_near_region(part, SIGMA) for part in np.array_split(some, 5)]
    )
    charges = case.points.weights * case.density
    result = []
    for order in (ORDER, HIGH_ORDER):
        values = Continuum(case.points, SIGMA, order).apply(charges)
        squares = (values[some] / exact - 1.0) ** 2 * (inside[some] / drawn[some])
        result.append(float(np.sqrt(squares.mean())))
    return result


def atoms_of(name: str) -> Any:
    """What PySCF takes as atoms."""
    if name in GEOMETRIES:
        return GEOMETRIES[name]
    atoms = molecule(name)
    return list(zip(atoms.get_chemical_symbols(), map(tuple, atoms.positions), strict=True))


def row(name: str, basis: str, levels: tuple[int, ...]) -> str:
    """One line of the table, with both errors at each grid level."""
    mol = gto.M(atom=atoms_of(name), basis=basis, charge=-name.count("-"), verbose=0)
    matrix = density_matrix(mol)
    cells = [
        " / ".join(f"{error * 1e5:.1f}" for error in errors(case_of(mol, matrix, level)))
        for level in levels
    ]
    return f"| {name} | {basis} | {' | '.join(cells)} |"


def main() -> int:
    """Measure, print the table as it grows and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--levels", type=int, nargs="+", default=LEVELS)
    parser.add_argument("--output", type=Path, default=RESULT)
    arguments = parser.parse_args()
    levels = tuple(arguments.levels)
    lines = [
        "# Error of the continuum near-region descriptor",
        "",
        "Relative error of R in units of 1e-5, root mean square weighted by the density, at the "
        f"default order ({ORDER}) / the high one ({HIGH_ORDER}); PBE densities, PySCF's grid "
        "levels. Made by `python -m benchmarks.near_region_accuracy`.",
        "",
        f"| molecule | basis | {' | '.join(f'level {level}' for level in levels)} |",
        "|---|---|" + "---:|" * len(levels),
    ]
    for basis, names in MOLECULES.items():
        for name in names.split():
            lines.append(row(name, basis, levels))
            print(lines[-1], flush=True)
            arguments.output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
