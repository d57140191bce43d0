"""Bond lengths of diatomic molecules with the functionals trained here, and with libxc's.

``OMP_NUM_THREADS=1 python -m benchmarks.bond_lengths`` writes its table to
``benchmarks/results/bond_lengths.md``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from xcnet.bench.tables import markdown

RESULT = Path(__file__).resolve().parent / "results" / "bond_lengths.md"
BASIS, LEVEL = "def2-tzvp", 4
FUNCTIONALS = ("NN-metaGGA", "NN-NRA", "NN-GGA", "NN-LSDA", "NN-metaGGA-3mol", "r2SCAN", "M06-L")
#: Atoms, unpaired electrons, and the equilibrium distance in angstrom that was measured.
MOLECULES = (
    ("H", "H", 0, 0.74144),
    ("Li", "H", 0, 1.59570),
    ("B", "H", 0, 1.23240),
    ("F", "H", 0, 0.91681),
    ("Cl", "H", 0, 1.27455),
    ("N", "N", 0, 1.09769),
    ("C", "O", 0, 1.12832),
    ("O", "O", 2, 1.20752),
    ("F", "F", 0, 1.41193),
    ("Cl", "Cl", 0, 1.9879),
)
#: Distances of the energies that a cubic goes through, relative to what was measured.
SCAN = np.array([0.97, 0.99, 1.01, 1.03])

HEAD = f"""# Bond lengths

Differences from experiment (K. P. Huber, G. Herzberg, Constants of Diatomic Molecules, 1979) in
thousandths of an angstrom; {BASIS}, grid level {LEVEL}. Made by
`python -m benchmarks.bond_lengths`.
"""


def minimum(energy: Callable[[float], float], near: float) -> float:
    """Where the cubic through four energies around ``near`` has its minimum."""
    energies = [energy(float(distance)) for distance in near * SCAN]
    cubic = np.polynomial.Polynomial.fit(SCAN - 1.0, energies, 3)
    roots = cubic.deriv().roots()
    (lowest,) = [x.real for x in roots if abs(x.imag) < 1e-9 and cubic.deriv(2)(x.real) > 0.0]
    return near * (1.0 + float(lowest))


def bond(xc: str, first: str, second: str, unpaired: int, measured: float) -> float:
    """Self-consistent bond length, angstrom."""
    from pyscf import dft, gto

    density = None

    def energy(distance: float) -> float:
        nonlocal density
        atoms = [(first, (0.0, 0.0, 0.0)), (second, (0.0, 0.0, distance))]
        mol = gto.M(atom=atoms, basis=BASIS, spin=unpaired, verbose=0)
        mf = (dft.UKS if unpaired else dft.RKS)(mol, xc=xc)
        mf.grids.level, mf.conv_tol = LEVEL, 1e-10
        total = float(mf.kernel(density))
        if not mf.converged:
            raise SystemExit(f"{first}{second}, {xc}: not converged at {distance:.3f} angstrom")
        density = mf.make_rdm1()
        return total

    return minimum(energy, measured)


def main() -> None:
    """Run all, and write the table."""
    from xcnet.adapters import pyscf as adapter

    adapter.install()
    body, errors = [], []
    for first, second, unpaired, measured in MOLECULES:
        lengths = [bond(xc, first, second, unpaired, measured) for xc in FUNCTIONALS]
        off = 1000 * (np.array(lengths) - measured)
        errors.append(np.abs(off))
        body.append([f"{first}-{second}", f"{measured:.4f}", *(f"{x:+.1f}" for x in off)])
        print(*body[-1], flush=True)
    body.append(["mean absolute", "", *(f"{x:.1f}" for x in np.mean(errors, axis=0))])
    table = markdown(["bond", "measured, Å", *FUNCTIONALS], body)
    RESULT.write_text(f"{HEAD}\n{table}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
