"""Harmonic frequencies of ten molecules: what xcnet prints in PySCF, and what PySCF's own would be.

``OMP_NUM_THREADS=1 python -m benchmarks.frequencies`` writes one line for each calculation to
``benchmarks/results/frequencies.jsonl`` (lines that are there are kept) and the table to
``benchmarks/results/frequencies.md``. Everything at the geometries of ASE's G2 set, def2-SVP with
density fitting, grid level 3, the adapter's defaults.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from xcnet.bench.tables import markdown

RESULT = Path(__file__).resolve().parent / "results" / "frequencies.jsonl"
TABLE = RESULT.with_suffix(".md")
BASIS, LEVEL = "def2-svp", 3
MOLECULES = ("H2", "LiH", "HF", "N2", "CO", "F2", "HCl", "H2O", "HCN", "CO2")
FUNCTIONALS = ("NN-metaGGA", "NN-GGA", "NN-LSDA", "NN-r2SCAN", "NN-metaGGA-3mol")
#: Nonlocal: PySCF has no analytic Hessian to compare with.
NONLOCAL = ("NN-NRA", "NN-NRA-3mol")
NONLOCAL_MOLECULES = ("H2", "HF", "H2O")
#: 1/cm, from the differences.
AIM = 10.0

HEAD = f"""# Frequencies of ten molecules

In each cell: by how much the breach of the sum rule is measured before the Hessian (Hartree/bohr^2),
and the largest difference of a frequency (1/cm) of PySCF's analytic Hessian from differences of
gradients. Where the breach is above 1e-3 xcnet prints the differences and says so: the last column is
the largest distance of what is printed from them. {BASIS}, density fitting, grid level {LEVEL}. Made by
`python -m benchmarks.frequencies`.
"""


def converged(name: str, xc: str) -> Any:
    """Self-consistent Kohn-Sham object of a molecule of ASE's collection."""
    from ase.build import molecule
    from pyscf import dft, gto

    atoms = molecule(name)
    geometry = list(zip(atoms.get_chemical_symbols(), atoms.positions.tolist(), strict=True))
    mf = dft.RKS(gto.M(atom=geometry, basis=BASIS, verbose=0), xc=xc).density_fit()
    mf.grids.level, mf.conv_tol = LEVEL, 1e-10
    mf.kernel()
    if not mf.converged:
        raise SystemExit(f"{name}, {xc}: not converged")
    return mf


def frequencies(mf: Any, hessian: Any) -> list[float]:
    """Harmonic frequencies, 1/cm; imaginary ones are negative."""
    from pyscf.hessian import thermo

    found = thermo.harmonic_analysis(mf.mol, hessian, imaginary_freq=False)["freq_wavenumber"]
    return [round(float(x), 1) for x in found]


def calculation(name: str, xc: str) -> dict[str, Any]:
    """One line of the results."""
    import pyscf

    from xcnet.adapters.pyscf import grid_noise, hessian

    mf = converged(name, xc)
    hess = mf.Hessian()
    line: dict[str, Any] = {"molecule": name, "xc": xc}
    if xc not in NONLOCAL:
        line["breach"] = float(f"{np.abs(grid_noise.breach(mf)).max():.3g}")
        line["analytic"] = frequencies(mf, hess.hess_elec() + hess.hess_nuc())
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        line["printed"] = frequencies(mf, hess.kernel())
    line["said"] = [str(w.message) for w in said if "finite differences" in str(w.message)]
    line["differences"] = line["printed"]
    if not line["said"]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            by_differences = hessian.finite_differences(mf, range(mf.mol.natm), "of a benchmark")
        line["differences"] = frequencies(mf, by_differences)
    return {**line, "basis": BASIS, "grid_level": LEVEL, "pyscf": pyscf.__version__}


def tasks() -> Iterator[tuple[str, str]]:
    """Molecules and functionals, the shortest first."""
    for molecule in MOLECULES:
        for xc in FUNCTIONALS:
            yield molecule, xc
        if molecule in NONLOCAL_MOLECULES:
            yield from ((molecule, xc) for xc in NONLOCAL)


def read(path: Path = RESULT) -> list[dict[str, Any]]:
    """Lines of the results."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [json.loads(line) for line in lines]


def distance(first: list[float], second: list[float]) -> float:
    """Largest difference of two lists of frequencies; infinite if they are not as long."""
    if len(first) != len(second):
        return float("inf")
    return float(np.abs(np.subtract(first, second)).max())


def table(lines: list[dict[str, Any]]) -> str:
    """Functionals down, molecules across."""
    found = {(line["molecule"], line["xc"]): line for line in lines}
    rows = []
    for xc in (*FUNCTIONALS, *NONLOCAL):
        cells = [_cell(found.get((molecule, xc))) for molecule in MOLECULES]
        own = [line for line in lines if line["xc"] == xc]
        worst = max(distance(line["printed"], line["differences"]) for line in own)
        rows.append([xc, *cells, f"{worst:.1f}"])
    return f"{HEAD}\n{markdown(['functional', *MOLECULES, 'printed'], rows)}\n"


def _cell(line: dict[str, Any] | None) -> str:
    if line is None:
        return "-"
    if "breach" not in line:
        return "differences"
    return f"{line['breach']:.1g}: {distance(line['analytic'], line['differences']):.0f}"


def main() -> None:
    """Run what is missing, write each result as it comes, then the table."""
    from xcnet.adapters import pyscf as adapter

    adapter.install()
    have = {(line["molecule"], line["xc"]) for line in read()}
    for name, xc in tasks():
        if (name, xc) not in have:
            line = json.dumps(calculation(name, xc))
            print(line, flush=True)
            with RESULT.open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")
    TABLE.write_text(table(read()), encoding="utf-8")


if __name__ == "__main__":
    main()
