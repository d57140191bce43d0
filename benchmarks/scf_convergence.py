"""Which calculations converge: plain DIIS of PySCF beside the ladder of the adapter.

Atoms H to Cl in their ground states, and ten systems known to be hard: oxides of transition metals
at the bond lengths of K. P. Huber, G. Herzberg, Constants of Diatomic Molecules (1979); Cr2; and
cases of K. N. Kudin, G. E. Scuseria, E. Cances, J. Chem. Phys. 116, 8255 (2002),
doi:10.1063/1.1470195 (CrC, SiH4 with one bond at 4 angstrom), with N2 at twice its bond length.
PySCF's defaults (1e-9 Hartree, 50 cycles), each functional at the grid its record asks for.

``OMP_NUM_THREADS=1 python -m benchmarks.scf_convergence`` appends a line for each calculation to
``benchmarks/results/scf_convergence.jsonl``, keeps those that are there, and writes the table
beside it. Published networks must be known (``xcnet models install nagai2020``).
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

RESULT = Path(__file__).resolve().parent / "results" / "scf_convergence.jsonl"
BASIS = {"atoms": "def2-tzvp", "hard": "def2-svp"}
SOLVERS = ("DIIS", "ladder")
SYSTEMS = {"atoms": "atoms H to Cl", "hard": "hard cases"}
FUNCTIONALS = tuple("M06-L r2SCAN NN-r2SCAN NN-metaGGA NN-hybrid NN-NRA NN-GGA NN-LSDA".split())
#: Only by the ladder, which begins with DIIS.
PUBLISHED = ("Skala-1.0", "pcNN", "XCDIFF", "DM21")
ATOMS = "H He Li Be B C N O F Ne Na Mg Al Si P S Cl".split()
#: Atoms, bond length in angstrom, and unpaired electrons.
DIATOMICS = (
    ("Ti", "O", 1.620, 2),
    ("V", "O", 1.589, 3),
    ("Cr", "O", 1.615, 4),
    ("Mn", "O", 1.648, 5),
    ("Fe", "O", 1.616, 4),
    ("Ni", "O", 1.627, 2),
    ("Cr", "C", 1.63, 2),
    ("Cr", "Cr", 1.679, 0),
    ("N", "N", 2.196, 0),
)


def systems(kind: str) -> Iterator[Any]:
    """Molecules of one kind."""
    import numpy as np

    from xcnet.systems.molecules import Molecule, atom

    if kind == "atoms":
        yield from map(atom, ATOMS)
        return
    for first, second, length, spin in DIATOMICS:
        places = ((0.0, 0.0, 0.0), (0.0, 0.0, length))
        name = first + (second if second != first else "2")
        yield Molecule(name, (first, second), places, 0, spin)
    corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / np.sqrt(3.0)
    hydrogens = corners * np.array([4.0, 1.48, 1.48, 1.48])[:, None]
    silane = ((0.0, 0.0, 0.0), *((x, y, z) for x, y, z in hydrogens.tolist()))
    yield Molecule("SiH4", ("Si", "H", "H", "H", "H"), silane)


def calculation(kind: str, molecule: Any, xc: str, solver: str) -> dict[str, Any]:
    """One line of the results."""
    from pyscf import dft

    from xcnet.adapters import pyscf as adapter
    from xcnet.scf import calculation as job
    from xcnet.scf.molecule import build

    mol = build(molecule, BASIS[kind])
    mf = adapter.attach((dft.UKS if mol.spin else dft.RKS)(mol, xc=xc)).density_fit()
    mf.grids.level = job.grid_level([job.check_functional(xc)])
    start = time.process_time()
    if solver == "DIIS":
        mf.kernel()
        rungs = [["DIIS", int(mf.cycles), bool(mf.converged)]]
    else:
        search = adapter.converge(mf)
        rungs = [[rung.name, rung.cycles, rung.converged] for rung in search.rungs]
    return {
        "kind": kind,
        "system": molecule.name,
        "xc": xc,
        "solver": solver,
        "energy": round(float(mf.e_tot), 8),
        "rungs": rungs,
        "cpu_seconds": round(time.process_time() - start, 2),
        **job.versions(),
    }


def read(path: Path = RESULT) -> list[dict[str, Any]]:
    """Lines of the results."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [json.loads(line) for line in lines]


def table(lines: list[dict[str, Any]]) -> str:
    """Share that converged, and what did not, in Markdown."""
    by_run: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for line in lines:
        by_run[line["xc"], line["kind"], line["solver"]].append(line)
    names = list(dict.fromkeys(line["xc"] for line in lines))
    titles = [f"{SYSTEMS[kind]}, {solver}" for kind in SYSTEMS for solver in SOLVERS]
    rows = [f"| functional | {' | '.join(titles)} |", "|---" * (len(titles) + 1) + "|"]
    rest = []
    for name in names:
        cells = []
        for kind in SYSTEMS:
            for solver in SOLVERS:
                chosen = by_run[name, kind, solver]
                if not chosen:
                    cells.append("")
                    continue
                failed = [line for line in chosen if not line["rungs"][-1][2]]
                cycles = sum(rung[1] for line in chosen for rung in line["rungs"])
                mean = cycles / len(chosen)
                cells.append(f"{len(chosen) - len(failed)} of {len(chosen)} ({mean:.0f} cycles)")
                rest += [f"- {name}, {solver}: {line['system']}" for line in failed]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([*rows, "", "Not converged:", "", *(rest or ["- none"]), ""])


def main() -> None:
    """Calculate what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--output", type=Path, default=RESULT)
    parser.add_argument("--xc", nargs="*", default=(*FUNCTIONALS, *PUBLISHED))
    parser.add_argument("--kinds", nargs="*", choices=SYSTEMS, default=tuple(SYSTEMS))
    arguments = parser.parse_args()
    keys = ("kind", "system", "xc", "solver")
    have = {tuple(line[key] for key in keys) for line in read(arguments.output)}
    wanted = [
        (kind, molecule, xc, solver)
        for xc in arguments.xc
        for kind in arguments.kinds
        for molecule in systems(kind)
        for solver in (SOLVERS[1:] if xc in PUBLISHED else SOLVERS)
        if (kind, molecule.name, xc, solver) not in have
    ]
    for kind, molecule, xc, solver in tqdm(wanted):
        line = calculation(kind, molecule, xc, solver)
        with arguments.output.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
    arguments.output.with_suffix(".md").write_text(table(read(arguments.output)), encoding="utf-8")


if __name__ == "__main__":
    main()
