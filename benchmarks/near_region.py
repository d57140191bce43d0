"""Cost of the near-region descriptor and its adjoint.

Water against the loop over all pairs of the published script, and alkanes of 20, 59 and 119 atoms
against each other, both definitions. ``python -m benchmarks.near_region`` writes
``benchmarks/results/near_region.md``.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pyscf import dft, gto

from xcnet import engine
from xcnet.bench.machine import peak_mb
from xcnet.bench.speed.alkanes import alkane
from xcnet.grid import Grid
from xcnet.operators.near_region import NearRegion

Array = npt.NDArray[np.float64]

RESULT = Path(__file__).resolve().parent / "results" / "near_region.md"
WATER = "O 0 0 0.119262; H 0 0.763239 -0.477047; H 0 -0.763239 -0.477047"
DESCRIPTORS = (NearRegion("grid-sum", 0.2, 1e-3), NearRegion("continuum", 0.2))
LOOP_SAMPLE = 400


def grid_of(atoms: str, level: int) -> Grid:
    """PySCF's grid of a molecule."""
    molecule = gto.M(atom=atoms, basis="sto-3g", verbose=0)
    grids = dft.Grids(molecule)
    grids.level = level
    grids.build()
    return Grid(
        grids.coords,
        grids.weights,
        centres=molecule.atom_coords(),
        parents=grids.atm_idx,
        volumes=grids.quadrature_weights,
        numbers=[gto.charge(molecule.atom_symbol(atom)) for atom in range(molecule.natm)],
    )


def machine() -> str:
    """One line: what ran where."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return (
        f"{models[0] if models else platform.machine()}, Python {platform.python_version()}, "
        f"numpy {np.__version__}, numba {version('numba')}, xcnet {version('xcnet')}"
    )


def best(work: Callable[[], Any], rounds: int) -> float:
    """Shortest of several processor times of all threads, seconds: holds on a busy machine."""
    times = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def measure(grid: Grid, descriptor: NearRegion, rounds: int) -> dict[str, float]:
    """Seconds to prepare an operator, to apply it, and to apply its transpose."""
    start = time.process_time()
    operator = grid.map(descriptor)
    prepared = time.process_time() - start
    charges = np.random.default_rng(0).uniform(size=(len(grid), 1))
    return {
        "points": len(grid),
        "prepare": prepared,
        "apply": best(lambda: operator.apply(charges), rounds),
        "transpose": best(lambda: operator.transpose(charges), rounds),
    }


def loop_over_pairs(grid: Grid) -> float:
    """Seconds of the published script's loop, from a sample of its iterations."""
    coords, charges = grid.points.coords, np.ones(len(grid))
    some = np.random.default_rng(0).choice(len(grid), LOOP_SAMPLE, replace=False)

    def work() -> None:
        for i in some:
            d = np.sqrt(((coords - coords[i]) ** 2).sum(axis=1)) / 0.2
            (np.exp(-d) * (d < np.log(1000.0))) @ charges

    return best(work, 3) * len(grid) / LOOP_SAMPLE


def main() -> int:
    """Measure, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--level", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=RESULT)
    arguments = parser.parse_args()
    molecules = {"water": WATER, "C6H14": alkane(6), "C19H40": alkane(19), "C39H80": alkane(39)}
    helium = grid_of("He 0 0 0", 0)
    for descriptor in DESCRIPTORS:  # compiles the loops
        measure(helium, descriptor, 1)
    lines = [
        "| definition | molecule | points | prepare, s | R, s | adjoint, s | µs per point |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    both: dict[tuple[str, str], float] = {}
    points: dict[str, int] = {}
    for name, atoms in molecules.items():
        grid = grid_of(atoms, arguments.level)
        points[name] = len(grid)
        for descriptor in DESCRIPTORS:
            row = measure(grid, descriptor, arguments.rounds)
            total = both[descriptor.definition, name] = row["apply"] + row["transpose"]
            lines.append(
                f"| {descriptor.definition} | {name} | {row['points']:,} | {row['prepare']:.2f} | "
                f"{row['apply']:.3f} | {row['transpose']:.3f} | {total / row['points'] * 1e6:.1f} |"
            )
        if name == "water":
            loop = loop_over_pairs(grid)
    peak = peak_mb()
    facts = [
        f"Water, R alone: the loop over all pairs in numpy takes {loop:.1f} s "
        f"(from {LOOP_SAMPLE} of its iterations). R and adjoint together are "
        + ", ".join(
            f"{2 * loop / both[d.definition, 'water']:.0f} x faster as {d.definition}"
            for d in DESCRIPTORS
        )
        + ".",
        *(
            f"{large} against {small}, {points[large] / points[small]:.2f} x the points: "
            + ", ".join(
                f"{both[d.definition, large] / both[d.definition, small]:.2f} x the time as "
                f"{d.definition}"
                for d in DESCRIPTORS
            )
            + "."
            for small, large in (("C6H14", "C19H40"), ("C19H40", "C39H80"))
        ),
        f"Peak memory of the whole process {peak:.0f} MB.",
    ]
    text = (
        "# Cost of the near-region descriptor\n\n"
        + "\n".join(lines)
        + "\n\n"
        + "\n\n".join(facts)
        + f"\n\nPySCF grid level {arguments.level}, best of {arguments.rounds}, CPU time of "
        f"{engine.num_threads()} threads; {machine()}\n\n"
        "Made by `python -m benchmarks.near_region`.\n"
    )
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
