"""How far energies on coarse grids are from those on a fine one.

``OMP_NUM_THREADS=1 python -m benchmarks.grid_levels`` writes its table to
``benchmarks/results/grid_levels.md``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from xcnet.bench.tables import markdown
from xcnet.systems.units import KCAL_PER_HARTREE

RESULT = Path(__file__).resolve().parent / "results" / "grid_levels.md"
BASIS, LEVELS, FINE = "def2-svp", (3, 4, 5), 6
FUNCTIONALS = ("NN-NRA", "NN-metaGGA", "NN-GGA", "r2SCAN", "M06-L")
#: Closed shells of G2/97.
MOLECULES = ("CH4", "C2H4", "C4H4O", "C6H6", "CO2", "SiH4", "SiCl4")

HEAD = f"""# Energies on coarse grids

Total energies at PySCF's grid levels {", ".join(map(str, LEVELS))} minus that at level {FINE},
kcal/mol, each self-consistent; {BASIS}, density fitting, MP2 geometries of G2/97. Made by
`python -m benchmarks.grid_levels`.
"""


def differences(xc: str, name: str) -> list[float]:
    """Energies at the levels, from that on the fine grid, kcal/mol."""
    from ase.build import molecule
    from pyscf import dft, gto

    atoms = molecule(name)
    geometry = list(zip(atoms.get_chemical_symbols(), atoms.positions, strict=True))
    mol = gto.M(atom=geometry, basis=BASIS, verbose=0)
    energies, density = [], None
    for level in (*LEVELS, FINE):
        mf = dft.RKS(mol, xc=xc).density_fit()
        mf.grids.level, mf.conv_tol = level, 1e-9
        energies.append(float(mf.kernel(density)))
        if not mf.converged:
            raise SystemExit(f"{name}, {xc}: not converged at level {level}")
        density = mf.make_rdm1()
    return [KCAL_PER_HARTREE * (energy - energies[-1]) for energy in energies[:-1]]


def main() -> None:
    """Run all, and write the table."""
    from xcnet.adapters import pyscf as adapter

    adapter.install()
    body = []
    for xc in FUNCTIONALS:
        errors = np.array([differences(xc, name) for name in MOLECULES])
        for level, row in zip(LEVELS, errors.T, strict=True):
            cells = [f"{x:+.3f}" for x in row]
            body.append([xc, str(level), *cells, f"{np.abs(row).max():.3f}"])
            print(*body[-1], flush=True)
    table = markdown(["functional", "level", *MOLECULES, "largest"], body)
    RESULT.write_text(f"{HEAD}\n{table}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
