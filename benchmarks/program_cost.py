"""CPU time of programs under ``xcnet exec`` with NN-metaGGA, beside libxc's r2SCAN.

``python -m benchmarks.program_cost --write``. The programs (CP2K, Abinit, OpenMolcas; those that
are installed) run the inputs of examples/, on one core, alternating between the functionals; the
time is that of all their processes, ``xcnet exec`` included, and the ratio is the median of the
runs' own. Functionals differ in the iterations that they need, so that the time per iteration is
compared as well. Then follows the start of ``xcnet exec -- true``.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from xcnet import __version__

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "program_cost.md"
EXEC = (sys.executable, "-m", "xcnet.cli", "exec")
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
}


@dataclass(frozen=True)
class Program:
    """A program's example: how its input names the functional, and where its energy stands."""

    name: str
    command: tuple[str, ...]
    file: str
    neural: str
    r2scan: str
    energy: str
    iteration: str
    options: tuple[str, ...] = ()


PROGRAMS = (
    Program(
        "Abinit, Si2",
        ("/usr/bin/abinit",),
        "abinit/silicon.abi",
        "ixc -901",
        "ixc -497498",
        r"^ *etotal +(\S+)",
        r"^ ETOT",
        ("--id", "901=NN-metaGGA"),
    ),
    Program(
        "CP2K, H2",
        ("/usr/bin/cp2k",),
        "cp2k/hydrogen.inp",
        "&MGGA_XC_NN_METAGGA\n        &END MGGA_XC_NN_METAGGA",
        "&MGGA_X_R2SCAN\n&END\n&MGGA_C_R2SCAN\n&END",
        r"ENERGY\| Total FORCE_EVAL.*:\s+(\S+)",
        r"^ +\d+ (?:P_Mix|DIIS)/Diag",
    ),
    Program(
        "OpenMolcas, water",
        ("/usr/bin/python3", "/usr/bin/pymolcas"),
        "openmolcas/water.input",
        "KSDFT = MGGA_XC_NN_METAGGA",
        "KSDFT = 2\n1.0 MGGA_X_R2SCAN\n1.0 MGGA_C_R2SCAN",
        r"Total KS-DFT energy +(\S+)",
        r"^ +\d+ +-\d+\.\d+ +-?\d+\.\d+ +\d+\.\d+ ",
    ),
)


def run(program: Program, words: str) -> tuple[float, float, int]:
    """CPU seconds, energy and iterations of one calculation."""
    text = (ROOT / "examples" / program.file).read_text(encoding="utf-8")
    with TemporaryDirectory() as folder:
        file = Path(folder, Path(program.file).name)
        file.write_text(text.replace(program.neural, words), encoding="utf-8")
        called = [*EXEC, *program.options, "--", *program.command, file.name]
        before = _children()
        done = subprocess.run(
            called,
            cwd=folder,
            env={**os.environ, **ENVIRONMENT, "MOLCAS_WORKDIR": folder},
            capture_output=True,
            text=True,
            check=True,
        )
        seconds = _children() - before
        output = "\n".join([*(p.read_text() for p in Path(folder).glob("*.abo")), done.stdout])
    energy = re.findall(program.energy, output, re.MULTILINE)[-1]
    return seconds, float(energy), len(re.findall(program.iteration, done.stdout, re.MULTILINE))


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def row(program: Program, repeats: int) -> str:
    """Row of the table; a first calculation of each is not counted."""
    pairs = [
        (run(program, program.r2scan), run(program, program.neural)) for _ in range(repeats + 1)
    ]
    counted = pairs[1:]
    own, neural = (statistics.median(pair[i][0] for pair in counted) for i in (0, 1))
    ratio = statistics.median(second[0] / first[0] for first, second in counted)
    iterations = [result[2] for result in counted[-1]]
    per_iteration = ratio * iterations[0] / iterations[1]
    energies = " | ".join(f"{result[1]:.6f}" for result in counted[-1])
    return (
        f"| {program.name} | {own:.2f} | {neural:.2f} | {ratio:.2f} | "
        f"{iterations[0]}, {iterations[1]} | {per_iteration:.2f} | {energies} |"
    )


def start(launcher: Sequence[str], repeats: int) -> tuple[float, float]:
    """Least wall and CPU seconds of ``xcnet exec -- true``."""
    times = []
    for _ in range(repeats + 1):
        wall, processor = time.perf_counter(), _children()
        subprocess.run(
            [*launcher, *EXEC, "--", "true"],
            env={**os.environ, **ENVIRONMENT},
            capture_output=True,
            check=True,
        )
        times.append((time.perf_counter() - wall, _children() - processor))
    return min(pair[0] for pair in times), min(pair[1] for pair in times)


def main() -> None:
    """Measure, print, and write with ``--write``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    arguments = parser.parse_args()
    lines = [
        "# Programs under xcnet exec",
        "",
        f"xcnet {__version__}, {platform.machine()}, load {os.getloadavg()[0]:.1f}. The inputs of "
        f"examples/, {arguments.repeats} runs each, alternating; medians: "
        "`python -m benchmarks.program_cost --write`.",
        "",
        "| calculation | CPU time with libxc's r2SCAN, s | with NN-metaGGA, s | ratio | iterations "
        "| ratio per iteration | energy with r2SCAN, Hartree | with NN-metaGGA, Hartree |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for program in PROGRAMS:
        if Path(program.command[-1]).is_file():
            lines.append(row(program, arguments.repeats))
            print(lines[-1], flush=True)
    for what, launcher in (("", ()), ("mpirun -n 2 ", ("mpirun", "--oversubscribe", "-n", "2"))):
        if not launcher or shutil.which(launcher[0]):
            wall, processor = start(launcher, 5)
            lines += [
                "",
                f"`{what}xcnet exec -- true`, after the first: {wall:.2f} s, "
                f"CPU {processor:.2f} s.",
            ]
            print(lines[-1], flush=True)
    if arguments.write:
        RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
