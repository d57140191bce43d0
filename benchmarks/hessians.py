"""Harmonic frequencies of ten molecules: what xcnet prints in PySCF, and what PySCF's own would be.

``OMP_NUM_THREADS=1 python -m benchmarks.hessians`` writes one line for each calculation to
``benchmarks/results/hessians.jsonl`` (lines that are there are kept) and the table to
``benchmarks/results/hessians.md``. Everything at the geometries of ASE's G2 set, def2-SVP with
density fitting, grid level 3, the adapter's defaults.

Both kinds of Hessian are computed wherever xcnet prints the analytic one, and for `COMPARED`; where
it prints differences of gradients there is nothing else to be off from. Of nonlocal functionals,
where that is all there is, the sum rule of translations is measured in the Hessian that is printed.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from xcnet.bench.tables import markdown

RESULT = Path(__file__).resolve().parent / "results" / "hessians.jsonl"
TABLE = RESULT.with_suffix(".md")
BASIS, LEVEL = "def2-svp", 3
MOLECULES = ("H2", "LiH", "HF", "N2", "CO", "F2", "HCl", "H2O", "HCN", "CO2")
FUNCTIONALS = ("NN-metaGGA", "NN-metaGGA-3mol", "NN-hybrid", "NN-GGA", "NN-LSDA", "NN-r2SCAN")
COMPARED = "NN-metaGGA"
#: PySCF has no Hessian of these, so that differences are all there is.
NONLOCAL = ("NN-NRA", "NN-NRA-3mol")
AIM = 10.0  # 1/cm

HEAD = f"""# Frequencies of ten molecules

In each cell: what the response of the grid, which PySCF's analytic Hessians lack, is worth
(Hartree/bohr^2), measured before the Hessian. Above 1e-3 xcnet prints frequencies by differences of
gradients, and says so; below, PySCF's. In brackets: the largest distance of PySCF's from those by
differences, 1/cm, where both were computed. {BASIS}, density fitting, grid level {LEVEL}. Made by
`python -m benchmarks.hessians`. {" and ".join(NONLOCAL)}, nonlocal, have differences only: the cell
says by how much that Hessian breaks the sum rule of translations (Hartree/bohr^2).
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

    wavenumbers = thermo.harmonic_analysis(mf.mol, hessian, imaginary_freq=False)["freq_wavenumber"]
    return [round(float(x), 1) for x in wavenumbers]


def calculation(name: str, xc: str) -> dict[str, Any]:
    """One line of the results."""
    import pyscf

    from xcnet.adapters.pyscf import grid_noise, hessian

    mf = converged(name, xc)
    of = {"basis": BASIS, "grid_level": LEVEL, "pyscf": pyscf.__version__}
    if xc in NONLOCAL:
        return {"molecule": name, "xc": xc, **_printed(mf), **of}
    breach = float(np.abs(grid_noise.breach(mf)).max())
    analytic = breach <= hessian.LIMIT
    line: dict[str, Any] = {"molecule": name, "xc": xc, "breach": float(f"{breach:.3g}")}
    line["prints"] = "analytic" if analytic else "differences"
    if analytic or xc == COMPARED:
        hess = mf.Hessian()
        line["analytic"] = frequencies(mf, hess.hess_elec() + hess.hess_nuc())
        with _quiet():
            differences = hessian.finite_differences(mf, range(mf.mol.natm), "both are compared")
        line["differences"] = frequencies(mf, differences)
    return {**line, **of}


def _printed(mf: Any) -> dict[str, Any]:
    """Frequencies as a user gets them, and the breach of the sum rule in their Hessian."""
    with _quiet():
        differences = mf.Hessian().kernel()
    sum_rule = float(np.abs(differences.sum(axis=1)).max())
    return {
        "sum_rule": float(f"{sum_rule:.2g}"),
        "prints": "differences",
        "differences": frequencies(mf, differences),
    }


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*Hessian by finite differences")
        yield


def tasks() -> Iterator[tuple[str, str]]:
    """Functionals and molecules."""
    return ((molecule, xc) for xc in (*FUNCTIONALS, *NONLOCAL) for molecule in MOLECULES)


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
    """Molecules down, functionals across."""
    by_case = {(line["molecule"], line["xc"]): line for line in lines}
    functionals = (*FUNCTIONALS, *NONLOCAL)
    rows = [[name, *(_cell(by_case[name, xc]) for xc in functionals)] for name in MOLECULES]
    return f"{HEAD}\n{markdown(['molecule', *functionals], rows)}\n"


def _cell(line: dict[str, Any]) -> str:
    text = f"{line['sum_rule' if line['xc'] in NONLOCAL else 'breach']:.2g}"
    if "analytic" not in line:
        return text
    return f"{text} ({distance(line['analytic'], line['differences']):.0f})"


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
