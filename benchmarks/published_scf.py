"""Whole calculations with published functionals in PySCF: processor time and memory beside r2SCAN.

Density-fitted RKS of benzene (def2-TZVP, grid level 3) from PySCF's own guess, one thread. Each
calculation is a process of its own, whose largest resident memory counts with everything that it
loads. ``OMP_NUM_THREADS=1 python -m benchmarks.published_scf`` writes
``benchmarks/results/published_scf.md``; the functionals must be known (``xcnet models install``).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.pyscf_scf import named, seconds
from xcnet.bench.machine import peak_mb

RESULT = Path(__file__).resolve().parent / "results" / "published_scf.md"
FUNCTIONALS = ("r2SCAN", "XCDIFF", "pcNN", "Skala-1.0")
BASIS = "def2-tzvp"


def calculation(xc: str, molecule: str, basis: str) -> dict[str, Any]:
    """Time, memory and cycles of one calculation, which is the first of this process."""
    from xcnet.adapters import pyscf as adapter

    adapter.install()
    return measured(xc, prepared(molecule, basis, xc))


def prepared(molecule: str, basis: str, xc: str = "") -> Any:
    """PySCF's calculation of a molecule before it is run."""
    from pyscf import dft, gto

    mf = dft.RKS(gto.M(atom=named(molecule), basis=basis, verbose=0), xc=xc).density_fit()
    mf.grids.level = 3
    return mf


def measured(xc: str, mf: Any) -> dict[str, Any]:
    """Time, memory and cycles of a calculation that is run here."""
    taken = seconds(mf.kernel)
    return {
        "xc": xc,
        "seconds": taken,
        "megabytes": peak_mb(),
        "cycles": f"{mf.cycles}" if mf.converged else f"not in {mf.cycles}",
        "points": len(mf.grids.weights),
        "energy": float(mf.e_tot),
    }


def in_own_process(xc: str, molecule: str, basis: str) -> dict[str, Any]:
    """`calculation` in a new process."""
    command = [sys.executable, "-m", "benchmarks.published_scf", "--one", xc, molecule, basis]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def report(results: Sequence[dict[str, Any]]) -> str:
    """The table, in Markdown; the first result is what the others are compared with."""
    import pyscf

    import xcnet

    first = results[0]
    lines = [
        f"| {it['xc']} | {it['seconds']:.0f} | {it['seconds'] / first['seconds']:.2f} "
        f"| {it['megabytes']:.0f} | {it['megabytes'] / first['megabytes']:.2f} "
        f"| {it['cycles']} | {it['energy']:.6f} |"
        for it in results
    ]
    return "\n".join(
        [
            "# Whole calculations with published functionals",
            "",
            f"| functional | SCF/s | to {first['xc']} | memory/MB | to {first['xc']} | cycles "
            "| energy/Ha |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
            *lines,
            "",
            f"Benzene, {BASIS}, density-fitted RKS with {first['points']} points (grid level 3): "
            "processor time of one thread and the largest resident memory, each calculation a "
            "process of its own.",
            "",
            f"{platform.machine()}, Python {platform.python_version()}, PySCF {pyscf.__version__}, "
            f"xcnet {xcnet.__version__}. Made by `python -m benchmarks.published_scf`.",
            "",
        ]
    )


def main() -> None:
    """Run the benchmark and write its result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--one", nargs=3, metavar=("XC", "MOLECULE", "BASIS"))
    arguments = parser.parse_args()
    if os.environ.get("OMP_NUM_THREADS") != "1":
        raise SystemExit("set OMP_NUM_THREADS=1: processor times of several threads do not compare")
    if arguments.one:
        print(json.dumps(calculation(*arguments.one)))
        return
    results = []
    for xc in FUNCTIONALS:
        results.append(in_own_process(xc, "C6H6", BASIS))
        print(json.dumps(results[-1]), flush=True)
    RESULT.write_text(report(results), encoding="utf-8")


if __name__ == "__main__":
    main()
