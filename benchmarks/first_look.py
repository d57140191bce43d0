"""A first look at a functional beside its neighbours: what energies alone do not teach.

Self-consistent, density-fitted Kohn-Sham in PySCF, grid level 3: the atoms H and He (def2-QZVP),
bonds of H2 and CO (minimum of a parabola through three lengths; def2-QZVP, def2-TZVP), the
symmetric barrier of H + H2 (def2-TZVP), and what grid level 5 changes in SiCl4's energy (def2-SVP).
``OMP_NUM_THREADS=1 XCNET_MODEL_PATH=... python -m benchmarks.first_look NAME... --write`` takes
minutes and writes ``benchmarks/results/first_look.md``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pyscf import dft, gto

from xcnet.adapters import pyscf as adapter
from xcnet.adapters.pyscf.convergence import converge
from xcnet.systems.units import KCAL_PER_HARTREE

RESULT = Path(__file__).resolve().parent / "results" / "first_look.md"
DEFAULT = ("NN-metaGGA", "r2SCAN", "M06-L")
QZ, TZ, SV = "def2-qzvp", "def2-tzvp", "def2-svp"
H3 = "H 0 0 0; H 0 0 0.929; H 0 0 -0.929"
SICL4 = "Si 0 0 0; " + "; ".join(
    f"Cl {x} {y} {z}"
    for x, y, z in 1.1655 * np.array([[1, 1, 1], [-1, -1, 1], [-1, 1, -1], [1, -1, -1]])
)
#: Non-relativistic energies, measured bond lengths (Huber and Herzberg), barrier of DBH24.
EXACT = {
    "H, Hartree": -0.5,
    "He, Hartree": -2.903724,
    "H2, angstrom": 0.7414,
    "CO, angstrom": 1.1283,
    "H + H2, kcal/mol": 9.7,
    "SiCl4, level 3 - 5, kcal/mol": 0.0,
}


def energy(xc: str, atoms: str, basis: str, spin: int = 0, level: int = 3) -> float:
    """Total energy, Hartree."""
    molecule = gto.M(atom=atoms, basis=basis, spin=spin, verbose=0)
    mf = (dft.UKS if spin else dft.RKS)(molecule).density_fit()
    mf.xc, mf.grids.level = xc, level
    if not converge(mf).converged:
        raise SystemExit(f"{xc}: {atoms} is not converged")
    return float(mf.e_tot)


def bond(of: Callable[[float], float], near: float) -> float:
    """Minimum of a parabola through three lengths, angstrom."""
    lengths = near + np.array([-0.02, 0.0, 0.02])
    curvature, slope, _ = np.polyfit(lengths, [of(length) for length in lengths], 2)
    return float(-slope / (2.0 * curvature))


def look(xc: str) -> list[float]:
    """Values of a functional in the order of `EXACT`."""

    def h2(length: float, basis: str = QZ) -> float:
        return energy(xc, f"H 0 0 0; H 0 0 {length}", basis)

    barrier = energy(xc, H3, TZ, 1) - h2(0.7414, TZ) - energy(xc, "H", TZ, 1)
    grids = [energy(xc, SICL4, SV, level=level) for level in (3, 5)]
    return [
        energy(xc, "H", QZ, 1),
        energy(xc, "He", QZ),
        bond(h2, 0.7414),
        bond(lambda length: energy(xc, f"C 0 0 0; O 0 0 {length}", TZ), 1.1283),
        barrier * KCAL_PER_HARTREE,
        (grids[0] - grids[1]) * KCAL_PER_HARTREE,
    ]


def page(names: list[str]) -> str:
    """Table of the functionals."""
    values = [list(EXACT.values()), *map(look, names)]
    lines = ["# A first look", "", "| | " + " | ".join(["exact", *names]) + " |"]
    lines.append("| --- |" + " ---: |" * (len(names) + 1))
    for quantity, row in zip(EXACT, zip(*values, strict=True), strict=True):
        lines.append(f"| {quantity} | " + " | ".join(f"{value:.4f}" for value in row) + " |")
    made = (
        f"Made by `python -m benchmarks.first_look {' '.join(names)} --write`, which explains it."
    )
    return "\n".join([*lines, "", made]) + "\n"


def main() -> None:
    """Print the page, or write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(DEFAULT), help="functionals")
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.name}")
    arguments = parser.parse_args()
    adapter.install()
    text = page(arguments.names)
    if arguments.write:
        RESULT.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
