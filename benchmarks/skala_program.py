"""A calculation with Skala-1.0 by its authors' program, for `benchmarks.published_original`.

Runs with the interpreter of an environment that has their package, ``microsoft-skala`` 1.1.1, the
last whose torch module is that of version 1.0. Reads atoms, basis and the file of weights from its
input, in JSON, and writes time, memory, cycles and energy.
"""

from __future__ import annotations

import json
import runpy
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pyscf import gto
from skala.functional.model import SkalaFunctional
from skala.pyscf import SkalaKS

MACHINE = Path(__file__).resolve().parent.parent / "xcnet" / "bench" / "machine.py"


def functional(weights: str) -> Any:
    """Their module in double precision, with their weights."""
    module = SkalaFunctional(lmax=3, non_local_hidden_nf=16, radius_cutoff=5.0).double()
    with np.load(weights) as arrays:
        module.load_state_dict({name: torch.from_numpy(arrays[name]) for name in arrays})
    return module


def main() -> None:
    """Run one calculation, the first of this process."""
    task = json.load(sys.stdin)
    mol = gto.M(atom=task["atoms"], basis=task["basis"], verbose=0)
    mf = SkalaKS(mol, functional(task["weights"]), with_density_fit=True, with_dftd3=False)
    mf.grids.level = 3
    start = time.process_time()
    mf.kernel()
    result = {
        "seconds": time.process_time() - start,
        # The package of this project is not in their environment, nor needed for this file of it.
        "megabytes": runpy.run_path(str(MACHINE))["peak_mb"](),
        "cycles": f"{mf.cycles}" if mf.converged else f"not in {mf.cycles}",
        "points": len(mf.grids.weights),
        "energy": float(mf.e_tot),
        "program": f"microsoft-skala {version('microsoft-skala')}, torch {torch.__version__}",
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
