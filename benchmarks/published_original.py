"""Whole calculations with published functionals: ours beside the original programs.

Skala-1.0 by its authors' package, which has an environment of its own (`benchmarks.skala_program`).
pcNN and XCDIFF as the original's formula in torch, that of closed shells, differentiated by
autograd and given to PySCF as a function, as their authors' programs do it. The same molecules,
grids, fitted integrals, guesses and convergence for both, from start to end, each a process of its
own with one thread.

``OMP_NUM_THREADS=1 python -m benchmarks.published_original --python INTERPRETER`` writes
``benchmarks/results/published_original.md``; the functionals must be known (``xcnet models
install``), and `benchmarks.published` says where the weights come from.
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

import numpy as np
import numpy.typing as npt

from benchmarks import published_scf
from benchmarks.published import weights_folder
from benchmarks.pyscf_scf import named

Array = npt.NDArray[np.float64]
ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "benchmarks" / "results" / "published_original.md"
MOLECULES = {"H2O": "water", "C6H6": "benzene"}
BASIS = "def2-svp"
#: Functionals of torch's formula, and their collections.
FORMULAS = {"XCDIFF": "xcdiff", "pcNN": "pcnn"}
SKALA = "Skala-1.0"


def torch_calculation(xc: str, molecule: str, basis: str) -> dict[str, Any]:
    """The same as `published_scf.calculation`, by torch's formula."""
    import torch

    from xcnet.catalogue import collections
    from xcnet.published import sources
    from xcnet.published.conversion import functionals

    collection = collections()[FORMULAS[xc]]
    files = sources.files(collection, weights_folder(collection.name))
    (published,) = functionals(collection, files)
    mf = published_scf.prepared(molecule, basis)
    smallest = published.record["thresholds"]["density"]

    def eval_xc(_: str, rho: Array, *args: Any, **options: Any) -> tuple[Any, ...]:
        return evaluated(published.module, rho, smallest)

    mf.define_xc_(eval_xc, "MGGA")
    return published_scf.measured(xc, mf) | {"program": f"torch {torch.__version__}"}


def evaluated(module: Any, rho: Array, smallest: float) -> tuple[Any, ...]:
    """Energy per particle and potential of a closed shell, as PySCF asks for them."""
    import torch

    used = rho[0] > smallest
    features = torch.from_numpy(rho[:, used])
    parts = features[0], (features[1:4] ** 2).sum(0), features[4]
    leaves = [x.reshape(-1, 1).requires_grad_() for x in parts]
    exc = module.closed_shell(*leaves)
    slopes = torch.autograd.grad((leaves[0][:, 0] * exc).sum(), leaves)
    values = np.zeros((4, rho.shape[1]))
    values[:, used] = torch.stack([exc.detach(), *(x[:, 0] for x in slopes)]).numpy()
    exc, vrho, vsigma, vtau = values
    return exc, (vrho, vsigma, None, vtau), None, None


def original(python: str, xc: str, molecule: str, basis: str) -> dict[str, Any]:
    """The original's calculation in a new process."""
    if xc == SKALA:
        command = [python, str(ROOT / "benchmarks" / "skala_program.py")]
        weights = weights_folder("skala-1.0") / "skala_weights.npz"
    else:
        command = [sys.executable, "-m", "benchmarks.published_original"]
        command += ["--one", xc, molecule, basis]
        weights = weights_folder(FORMULAS[xc])
    task = {"atoms": named(molecule), "basis": basis, "weights": str(weights)}
    done = subprocess.run(
        command, input=json.dumps(task), check=True, stdout=subprocess.PIPE, text=True
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def rows(python: str, xc: str, molecule: str, basis: str = BASIS) -> tuple[str, ...]:
    """Lines of the table for one molecule: the original's and ours."""
    first = original(python, xc, molecule, basis)
    ours = published_scf.in_own_process(xc, molecule, basis) | {"program": "xcnet"}
    print(json.dumps([first, ours]), flush=True)
    if first["points"] != ours["points"]:
        raise SystemExit(f"{first['points']} and {ours['points']} points: not the same grid")
    return tuple(
        f"| {MOLECULES[molecule]} | {xc} | {it['program']} | {it['seconds']:.1f} "
        f"| {it['seconds'] / first['seconds']:.2f} | {it['megabytes']:.0f} "
        f"| {it['megabytes'] / first['megabytes']:.2f} | {it['cycles']} | {it['energy']:.8f} |"
        for it in (first, ours)
    )


def report(lines: Sequence[str], chosen: Sequence[str]) -> str:
    """The table, in Markdown; ``chosen`` are its molecules."""
    import pyscf

    import xcnet

    only = "" if list(chosen) == list(MOLECULES) else f" --molecules {' '.join(chosen)}"
    return "\n".join(
        [
            "# Published functionals beside the original programs",
            "",
            "| | functional | program | SCF/s | to the original | memory/MB | to the original "
            "| cycles | energy/Ha |",
            "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
            *lines,
            "",
            f"Density-fitted RKS, {BASIS}, grid level 3, PySCF's own guess and convergence, without"
            " dispersion: processor time of one thread and the largest resident memory, each "
            "calculation a process of its own.",
            "",
            f"{platform.machine()}, Python {platform.python_version()}, PySCF {pyscf.__version__}, "
            f"xcnet {xcnet.__version__}. Made by `python -m benchmarks.published_original{only}`.",
            "",
        ]
    )


def main() -> None:
    """Run the benchmark and write its result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--python", help="interpreter of an environment with microsoft-skala 1.1.1")
    parser.add_argument("--molecules", nargs="+", choices=MOLECULES, default=list(MOLECULES))
    parser.add_argument("--one", nargs=3, metavar=("XC", "MOLECULE", "BASIS"))
    arguments = parser.parse_args()
    if os.environ.get("OMP_NUM_THREADS") != "1":
        raise SystemExit("set OMP_NUM_THREADS=1: processor times of several threads do not compare")
    if arguments.one:
        print(json.dumps(torch_calculation(*arguments.one)))
        return
    if not arguments.python:
        raise SystemExit("--python: which interpreter has the package microsoft-skala 1.1.1?")
    lines: list[str] = []
    for molecule in arguments.molecules:
        for xc in (*FORMULAS, SKALA):
            lines += rows(arguments.python, xc, molecule)
            RESULT.write_text(report(lines, arguments.molecules), encoding="utf-8")


if __name__ == "__main__":
    main()
