"""Wall time of a Psi4 calculation of benzene with NN-metaGGA beside M06-L, in one process.

Run it with the Python that has Psi4: ``python -m benchmarks.psi4_cost --threads 1``. The published
networks must be known (``xcnet models install nagai2020`` or ``XCNET_MODEL_PATH``). Calculations
alternate, and the least time of each counts.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import psi4

import xcnet.adapters.psi4
from xcnet import native

RESULTS = Path(__file__).resolve().parent / "results" / "psi4.md"
REFERENCE = "m06-l"
FUNCTIONALS = (REFERENCE, "nn-metagga", "nn-metagga-nagai2020", "nn-r2scan")
BENZENE = """
C  0.000  1.396 0.000
C  1.209  0.698 0.000
C  1.209 -0.698 0.000
C  0.000 -1.396 0.000
C -1.209 -0.698 0.000
C -1.209  0.698 0.000
H  0.000  2.479 0.000
H  2.147  1.240 0.000
H  2.147 -1.240 0.000
H  0.000 -2.479 0.000
H -2.147 -1.240 0.000
H -2.147  1.240 0.000
"""


class Cost(NamedTuple):
    """One calculation: wall and processor seconds, iterations, points sent through networks."""

    wall: float
    processor: float
    iterations: int
    points: int


def scf(functional: str) -> Cost:
    """Run one calculation."""
    psi4.core.clean()
    psi4.core.clean_options()
    psi4.set_options({"basis": "cc-pvdz", "scf_type": "df"})
    before = native.evaluations()
    wall, processor = time.perf_counter(), time.process_time()
    _, wfn = psi4.energy(functional, molecule=psi4.geometry(BENZENE), return_wfn=True)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    iterations = int(wfn.variable("SCF ITERATIONS"))
    return Cost(wall, processor, iterations, native.evaluations() - before)


def measure(functionals: list[str], repeats: int) -> dict[str, list[Cost]]:
    """Results of all calculations, those of the functionals alternating."""
    results: dict[str, list[Cost]] = {name: [] for name in functionals}
    for _ in range(repeats):
        for name in functionals:
            results[name].append(scf(name))
            print(f"{name:24s} {results[name][-1]}", flush=True)
    return results


def table(results: dict[str, list[Cost]], threads: int) -> str:
    """Results as a table."""
    lines = [
        f"{threads} thread{'s' * (threads > 1)}, least of {len(results[REFERENCE])}:",
        "",
        "| functional | wall time, s | relative to M06-L | processor time, s | relative to M06-L "
        "| iterations | points through networks |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    wall, processor = (
        {name: min(run[i] for run in runs) for name, runs in results.items()} for i in (0, 1)
    )
    for name, runs in results.items():
        cells = (
            f"{seconds[name]:.1f} | {seconds[name] / seconds[REFERENCE]:.2f}"
            for seconds in (wall, processor)
        )
        last = runs[-1]
        lines.append(f"| {name} | {' | '.join(cells)} | {last.iterations} | {last.points:,} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--functionals", nargs="+", default=list(FUNCTIONALS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    arguments = parser.parse_args()
    psi4.core.be_quiet()
    tables = []
    for threads in arguments.threads:
        psi4.set_num_threads(threads, quiet=True)
        tables.append(table(measure(arguments.functionals, arguments.repeats), threads))
    print("\n\n".join(tables))
    if arguments.write:
        RESULTS.write_text(f"{_heading()}\n\n" + "\n\n".join(tables) + "\n", encoding="utf-8")


def _heading() -> str:
    versions: dict[str, Any] = {"Psi4": psi4.__version__, "xcnet": xcnet.__version__}
    machine = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return (
        "# SCF of benzene in Psi4\n\n"
        f"{', '.join(f'{k} {v}' for k, v in versions.items())}, {machine}. cc-pVDZ, density "
        "fitting, the default grid (75, 302), D2h, Psi4's default convergence. All in one process, "
        f"functionals alternating: `python -m benchmarks.psi4_cost {' '.join(sys.argv[1:])}`."
    )


if __name__ == "__main__":
    main()
