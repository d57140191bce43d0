"""Geometries and frequencies in PySCF: the numbers of the README.

Water and benzene at rest (def2-SVP, geometric's tight criteria), and frequencies of water there, by
differences of gradients with the response of the grid for all functionals.
``OMP_NUM_THREADS=1 python -m benchmarks.pyscf_structures`` writes one line for each calculation to
``benchmarks/results/pyscf_structures.jsonl``; lines that are there are kept. The published networks
must be known (``xcnet models install nagai2020`` or ``XCNET_MODEL_PATH``).
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "benchmarks" / "results" / "pyscf_structures.jsonl"
BASIS = "def2-svp"
LEVEL = 4
PUBLISHED = "NN-metaGGA-Nagai2020"
SHIPPED = "NN-metaGGA"
WATER = (SHIPPED, "NN-NRA", PUBLISHED, "TPSS", "NN-r2SCAN", "r2SCAN", "M06-L")
BENZENE = (SHIPPED, "NN-NRA", PUBLISHED, "NN-r2SCAN", "r2SCAN", "M06-L")
FREQUENCIES = (SHIPPED, PUBLISHED, "TPSS", "r2SCAN", "M06-L")


def prepared(name: str, xc: str) -> Any:
    """Kohn-Sham object of a molecule of ASE's collection, ready to run."""
    from ase.build import molecule
    from pyscf import dft, gto

    atoms = molecule({"water": "H2O", "benzene": "C6H6"}[name])
    geometry = list(zip(atoms.get_chemical_symbols(), atoms.positions.tolist(), strict=True))
    mf = dft.RKS(gto.M(atom=geometry, basis=BASIS, verbose=0), xc=xc)
    mf.grids.level, mf.conv_tol = LEVEL, 1e-10
    return mf.density_fit() if name == "benzene" else mf


def optimized(mf: Any) -> Any:
    """The same object at rest, self-consistent."""
    from pyscf.geomopt import geometric_solver

    gradients = mf.nuc_grad_method().set(grid_response=True)
    converged, mol = geometric_solver.kernel(gradients, convergence_set="GAU_TIGHT", maxsteps=50)
    mf = mf.reset(mol).run()
    if not (converged and mf.converged):
        raise SystemExit(f"{mf.xc}: not converged")
    return mf


def parts(name: str, mol: Any) -> dict[str, Any]:
    """Bond lengths in angstrom (shortest and longest of a kind), and the angle of water."""
    places = mol.atom_coords(unit="Angstrom")
    distances = np.linalg.norm(places[:, None] - places, axis=2)
    if name == "water":
        bonds = {"O-H": distances[0, 1:]}
        first, second = places[1:] - places[0]
        cosine = first @ second / np.prod(bonds["O-H"])
        angle = {"angle": round(float(np.degrees(np.arccos(cosine))), 3)}
    else:
        carbons = np.sort(distances[:6, :6], axis=1)[:, 1:3]
        bonds, angle = {"C-C": carbons, "C-H": distances[:6, 6:].min(axis=1)}, {}
    ranges = {kind: [round(float(x), 5) for x in (d.min(), d.max())] for kind, d in bonds.items()}
    return {**ranges, **angle}


def frequencies(mf: Any) -> list[float]:
    """Harmonic frequencies, 1/cm."""
    from pyscf.hessian import thermo

    from xcnet.adapters.pyscf.hessian import finite_differences

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*Hessian by finite differences")
        hessian = finite_differences(mf, range(mf.mol.natm), "all are compared")
    analysis = thermo.harmonic_analysis(mf.mol, hessian)
    if analysis["freq_error"]:
        raise SystemExit(f"{mf.xc}: not a minimum")
    return [round(float(x), 1) for x in analysis["freq_wavenumber"]]


def calculation(name: str, xc: str) -> dict[str, Any]:
    """One line of the results."""
    import pyscf

    mf = optimized(prepared(name, xc))
    line = {"molecule": name, "xc": xc, "basis": BASIS, "grid_level": LEVEL}
    line |= {"density_fit": name == "benzene", "energy": round(mf.e_tot, 8)}
    line |= parts(name, mf.mol)
    if name == "water" and xc in FREQUENCIES:
        line["frequencies"] = frequencies(mf)
    return {**line, "pyscf": pyscf.__version__}


def missing(done: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Calculations that are not in the results."""
    have = {(line["molecule"], line["xc"]) for line in done}
    for name, functionals in (("water", WATER), ("benzene", BENZENE)):
        for xc in functionals:
            if (name, xc) not in have:
                yield name, xc


def read(path: Path = RESULT) -> list[dict[str, Any]]:
    """Lines of the results."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [json.loads(line) for line in lines]


def main() -> None:
    """Run what is missing, and write each result as it comes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--output", type=Path, default=RESULT)
    output = parser.parse_args().output
    from xcnet.adapters import pyscf as adapter

    adapter.install()
    for name, xc in missing(read(output)):
        line = json.dumps(calculation(name, xc))
        print(line, flush=True)
        with output.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")


if __name__ == "__main__":
    main()
