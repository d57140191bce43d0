"""Fock builds and self-consistent calculations in PySCF: neural functionals against M06-L.

Density-fitted RKS at grid level 3 of water (6-31G), benzene (def2-TZVP) and dodecylamine (40 atoms,
def2-SVP). The functionals take turns, and the fastest of several Fock builds, from one density, and
of several self-consistent calculations counts. Processor times of one thread, which other work on
the machine changes little. ``OMP_NUM_THREADS=1 python -m benchmarks.pyscf_scf`` writes
``benchmarks/results/pyscf_scf.md`` and takes twenty minutes. `benchmarks.published` says where the
published weights come from.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import published

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "benchmarks" / "results" / "pyscf_scf.md"
FUNCTIONALS = ("M06-L", "NN-r2SCAN", "NN-metaGGA", "NN-metaGGA-Nagai2020")
ROUNDS = 3
CALCULATIONS = 2

Geometry = list[tuple[str, tuple[float, float, float]]]


def dodecylamine() -> Geometry:
    """C12H25-NH2, stretched, all bonds and angles those of alkanes, in angstrom."""
    bond, half, height = 1.53, np.radians(111.0) / 2.0, 1.09
    along, across = bond * np.sin(half), bond * np.cos(half) / 2.0
    chain = [np.array([i * along, across * (-1) ** i, 0.0]) for i in range(13)]
    atoms = [("N" if i == 12 else "C", place) for i, place in enumerate(chain)]
    out = height * np.cos(np.radians(107.0) / 2.0), height * np.sin(np.radians(107.0) / 2.0)
    for i, place in enumerate(chain):
        atoms += [("H", place + np.array([0.0, out[0] * (-1) ** i, z])) for z in (out[1], -out[1])]
    atoms.append(("H", chain[0] + height * np.array([-np.sin(half), -np.cos(half), 0.0])))
    return [(symbol, (float(x), float(y), float(z))) for symbol, (x, y, z) in atoms]


def named(name: str) -> Geometry:
    """Molecule of ASE's collection, in angstrom."""
    from ase.build import molecule

    atoms = molecule(name)
    return list(zip(atoms.get_chemical_symbols(), atoms.positions.tolist(), strict=True))


MOLECULES: dict[str, tuple[Callable[[], Geometry], str]] = {
    "water": (lambda: named("H2O"), "6-31g"),
    "benzene": (lambda: named("C6H6"), "def2-tzvp"),
    "dodecylamine": (dodecylamine, "def2-svp"),
}


def seconds(work: Callable[[], object]) -> float:
    """Processor time of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def rows(
    name: str, functionals: tuple[str, ...], rounds: int, calculations: int = CALCULATIONS
) -> list[str]:
    """Lines of the table for one molecule."""
    from pyscf import dft, gto

    geometry, basis = MOLECULES[name]
    mol = gto.M(atom=geometry(), basis=basis, verbose=0)

    def prepared(xc: str) -> Any:
        mf = dft.RKS(mol, xc=xc).density_fit()
        mf.grids.level = 3
        return mf

    start = prepared("PBE").set(max_cycle=1)
    start.kernel()
    density = start.make_rdm1()
    fock: dict[str, float] = {}
    for xc in functionals * (rounds + 1):  # the first round opens graphs
        start.xc = xc
        taken = seconds(lambda: start.get_veff(mol, density))
        fock[xc] = min(taken, fock.get(xc, taken))
    whole: dict[str, float] = {}
    cycles: dict[str, str] = {}
    for xc in functionals * calculations:
        mf = prepared(xc)
        mf.grids, mf.with_df = start.grids, start.with_df
        taken = seconds(mf.kernel)
        whole[xc] = min(taken, whole.get(xc, taken))
        cycles[xc] = f"{mf.cycles}" if mf.converged else f"not in {mf.cycles}"
    first = functionals[0]
    return [
        f"| {name}, {basis} | {xc} | {fock[xc]:.2f} | {fock[xc] / fock[first]:.2f} "
        f"| {whole[xc]:.1f} | {whole[xc] / whole[first]:.2f} | {cycles[xc]} |"
        for xc in functionals
    ]


def report(lines: list[str], rounds: int, chosen: Sequence[str] = ()) -> str:
    """The table, in Markdown; ``chosen`` are the molecules, if not all."""
    import pyscf

    import xcnet

    only = f" --molecules {' '.join(chosen)}" if chosen else ""
    return "\n".join(
        [
            "# Neural functionals in PySCF",
            "",
            f"| | functional | Fock build/s | to {FUNCTIONALS[0]} | SCF/s | to {FUNCTIONALS[0]} "
            "| cycles |",
            "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
            *lines,
            "",
            "Density-fitted RKS, grid level 3, made beforehand like the fitted integrals. Processor"
            f" times of one thread, the functionals taking turns: the fastest of {rounds + 1} Fock "
            f"builds and of {CALCULATIONS} calculations.",
            "",
            f"{platform.machine()}, Python {platform.python_version()}, PySCF {pyscf.__version__}, "
            f"xcnet {xcnet.__version__}. Made by `python -m benchmarks.pyscf_scf{only}`.",
            "",
        ]
    )


def main() -> None:
    """Run the benchmark and write its result, after each molecule."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--molecules", nargs="+", choices=MOLECULES, default=[])
    arguments = parser.parse_args()
    if os.environ.get("OMP_NUM_THREADS") != "1":
        raise SystemExit("set OMP_NUM_THREADS=1: processor times of several threads do not compare")
    with tempfile.TemporaryDirectory() as folder:
        from xcnet.adapters import pyscf as adapter

        models = Path(folder) / "models"
        published.convert(["nagai2020"], models)
        os.environ["XCNET_MODEL_PATH"] = str(models)
        adapter.install()
        lines: list[str] = []
        for name in arguments.molecules or MOLECULES:
            lines += rows(name, FUNCTIONALS, arguments.rounds)
            print(*lines[-len(FUNCTIONALS) :], sep="\n", flush=True)
            RESULT.write_text(report(lines, arguments.rounds, arguments.molecules))


if __name__ == "__main__":
    main()
