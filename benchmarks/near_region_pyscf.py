"""A nonlocal functional in PySCF against a local one of the same size: time and memory.

One Fock build (density-fitted Coulomb and exchange-correlation) of benzene in def2-TZVP, grid
level 3, with the published NN-NRA and NN-metaGGA, whose networks differ by one input. The two
take turns in one process and the best round counts; the peak memory is that of a process for
each. ``python benchmarks/near_region_pyscf.py`` writes ``benchmarks/results/near_region_pyscf.md``.
`benchmarks.published` says where the published weights come from.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import published
from xcnet.bench.machine import peak_mb

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "benchmarks" / "results" / "near_region_pyscf.md"
LOCAL, NONLOCAL = "NN-metaGGA-Nagai2020", "NN-NRA-Nagai2020"
ROUNDS = 7
LIMITS = {"Fock build": 1.6, "peak memory": 1.3}


def prepare(basis: str) -> tuple[Any, Any]:
    """Object of benzene with its grid and integrals made, and a density matrix of orbitals."""
    from ase.build import molecule
    from pyscf import dft, gto

    from xcnet.adapters import pyscf as adapter

    adapter.install()
    atoms = molecule("C6H6")
    geometry = list(zip(atoms.get_chemical_symbols(), atoms.positions, strict=True))
    mf = dft.RKS(gto.M(atom=geometry, basis=basis, verbose=0), xc="PBE").density_fit()
    mf.grids.level = 3
    mf.max_cycle = 2
    mf.kernel()
    return mf, mf.make_rdm1()


def seconds(work: Callable[[], object]) -> float:
    """Time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def times(basis: str, rounds: int) -> dict[tuple[str, str], float]:
    """Best time of each part with each functional."""
    mf, density = prepare(basis)

    def fock(xc: str) -> object:
        mf.xc = xc
        return mf.get_veff(mf.mol, density)

    def matrix(xc: str) -> object:
        return mf._numint.nr_rks(mf.mol, mf.grids, xc, density)

    best: dict[tuple[str, str], float] = {}
    for part, work in (("Fock build", fock), ("exchange-correlation alone", matrix)):
        for xc in (LOCAL, NONLOCAL) * (rounds + 1):  # the first round opens graphs and tables
            taken = seconds(lambda work=work, xc=xc: work(xc))  # type: ignore[misc]
            best[part, xc] = min(taken, best.get((part, xc), taken))
    return best


def peak_memory(basis: str, xc: str) -> float:
    """Peak memory in MB of a process that makes one Fock build."""
    words = [sys.executable, __file__, "--memory-of", xc, "--basis", basis]
    return float(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def own_peak(basis: str, xc: str) -> float:
    """Peak memory in MB of this process after one Fock build."""
    mf, density = prepare(basis)
    mf.xc = xc
    mf.get_veff(mf.mol, density)
    return peak_mb()


def report(basis: str, rounds: int) -> str:
    """The table, in Markdown."""
    import pyscf

    from xcnet import engine

    best = times(basis, rounds)
    rows = [
        (part, f"{best[part, LOCAL]:.2f} s", f"{best[part, NONLOCAL]:.2f} s",
         best[part, NONLOCAL] / best[part, LOCAL])
        for part in ("Fock build", "exchange-correlation alone")
    ]  # fmt: skip
    local, nonlocal_ = (peak_memory(basis, xc) for xc in (LOCAL, NONLOCAL))
    rows.append(("peak memory", f"{local:.0f} MB", f"{nonlocal_:.0f} MB", nonlocal_ / local))
    table = "\n".join(
        f"| {name} | {a} | {b} | {ratio:.2f} | {LIMITS.get(name, '')} |"
        for name, a, b, ratio in rows
    )
    return (
        "# A nonlocal functional in PySCF\n\n"
        f"Benzene, {basis}, grid level 3, density fitting; PySCF {pyscf.__version__}, Python "
        f"{platform.python_version()}, {engine.num_threads()} threads; best of {rounds} rounds.\n\n"
        f"| | {LOCAL} | {NONLOCAL} | ratio | limit |\n|---|---:|---:|---:|---:|\n{table}\n"
    )


def main() -> None:
    """Run the benchmark and write its result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--basis", default="def2-tzvp")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory_of:
        print(own_peak(arguments.basis, arguments.memory_of))
        return
    with tempfile.TemporaryDirectory() as folder:
        models = Path(folder) / "models"
        published.convert(["nagai2020"], models)
        os.environ["XCNET_MODEL_PATH"] = str(models)
        text = report(arguments.basis, arguments.rounds)
    RESULT.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
