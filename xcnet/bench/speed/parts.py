"""The measurements, one process each: ``python -m xcnet.bench.speed.parts PART``, options on stdin.

Every record goes to stdout as a line of JSON. Times are CPU seconds of one thread, the best of
several rounds in which the cases take turns.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from xcnet.bench.machine import peak_mb

Options = Mapping[str, Any]
Records = Iterator[dict[str, Any]]

ENOUGH = 0.3  # seconds for one round of a case; short calls are repeated until then
START = (
    "import time; start = time.process_time(); import numpy as np; import xcnet;"
    "xcnet.functional({name!r}, 'polarized').compute({{'rho': np.full((1, 2), 0.3),"
    " 'sigma': np.full((1, 3), 0.1), 'tau': np.full((1, 2), 0.3)}});"
    "print(time.process_time() - start)"
)


def main() -> int:
    """Measure the part that the command names."""
    options = json.loads(sys.stdin.read())
    for record in MEASURES[sys.argv[1]](options):
        print(json.dumps(record), flush=True)
    return 0


def best(work: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Shortest CPU time of each, seconds per call; the first round only warms up."""
    seconds = dict.fromkeys(work, float("inf"))
    calls = dict.fromkeys(work, 1)
    for turn in range(rounds + 1):
        for name, call in work.items():
            if not turn:
                call()  # makes sessions, which takes longer than many calls
            start = time.process_time()
            for _ in range(calls[name]):
                call()
            taken = (time.process_time() - start) / calls[name]
            if turn:
                seconds[name] = min(seconds[name], taken)
            else:
                calls[name] = max(1, min(2000, int(ENOUGH / max(taken, 1e-6) / 10)))
    return seconds


def startup(options: Options) -> Records:
    """Import and first `compute` in a fresh interpreter, numpy included."""
    from xcnet.bench.speed.cases import has_order

    for name in options["xc"]:
        if not has_order(name, "exc"):
            continue
        command = [sys.executable, "-c", START.format(name=name)]
        seconds = min(
            float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            for _ in range(options["rounds"])
        )
        yield {"case": f"xcnet {name}", "quantity": "import and first compute", "seconds": seconds}


def compute(options: Options) -> Records:
    """Pointwise evaluation."""
    import xcnet
    from xcnet.bench.speed import cases

    xcnet.set_num_threads(1)
    weights = Path(options["weights"]) if options["weights"] else None
    for spin in ("polarized", "unpolarized"):
        for order in cases.ORDERS:
            chosen = cases.cases(options["xc"], spin, order, weights)
            most = cases.MOST_POINTS.get(order, float("inf"))
            for points in (n for n in options["points"] if n <= most):
                inputs = cases.densities(points, spin)
                calls = {
                    name: lambda case=case, inputs=inputs: case(inputs)
                    for name, case in chosen.items()
                }
                for name, seconds in best(calls, options["rounds"]).items():
                    yield {
                        **{"case": name, "quantity": f"{order}, {spin}"},
                        **{"points": points, "seconds": seconds},
                    }


def scf(options: Options) -> Records:
    """Integration on the grid, Fock build, and whole SCF of one molecule."""
    mf, density = _prepare(options["molecule"], options["basis"])
    builds = {}
    for xc in options["xc"]:
        builds[f"integration {xc}"] = lambda xc=xc: mf._numint.nr_rks(mf.mol, mf.grids, xc, density)
        builds[f"Fock build {xc}"] = lambda xc=xc: _fock(mf, xc, density)
    where = {"molecule": options["molecule"], "basis": options["basis"]}
    for name, seconds in best(builds, max(2, options["rounds"] // 2)).items():
        quantity, xc = name.rsplit(" ", 1)
        yield {**where, "case": f"xcnet {xc}", "quantity": quantity, "seconds": seconds}
    for xc in options["xc"]:
        seconds, cycles = min(_whole(mf, xc) for _ in range(2))
        yield {
            **{**where, "case": f"xcnet {xc}", "quantity": "whole SCF"},
            **{"seconds": seconds, "cycles": cycles},
        }
        yield {
            **{**where, "case": f"xcnet {xc}", "quantity": "SCF cycle"},
            "seconds": seconds / (cycles + 1),  # the first Fock build is before cycle 1
        }


def memory(options: Options) -> Records:
    """Peak memory of a process that runs one SCF."""
    (xc,) = options["xc"]
    mf, _ = _prepare(options["molecule"], options["basis"])
    _whole(mf, xc)
    yield {
        **{"molecule": options["molecule"], "basis": options["basis"], "case": f"xcnet {xc}"},
        **{"quantity": "peak memory", "mb": peak_mb()},
    }


def scaling(options: Options) -> Records:
    """Fock build of an alkane: time and peak memory."""
    from xcnet.bench.speed.alkanes import alkane

    (xc,), (carbons,) = options["scaling_xc"], options["carbons"]
    mf, density = _prepare(alkane(carbons), options["scaling_basis"])
    seconds = best({xc: lambda: _fock(mf, xc, density)}, 2)
    atoms = {
        "atoms": mf.mol.natm,
        "basis": options["scaling_basis"],
        "points": len(mf.grids.weights),
    }
    yield {**atoms, "case": f"xcnet {xc}", "quantity": "Fock build", "seconds": seconds[xc]}
    yield {**atoms, "case": f"xcnet {xc}", "quantity": "peak memory", "mb": peak_mb()}


def _prepare(molecule: str, basis: str) -> tuple[Any, Any]:
    """Density-fitted object with its grid and integrals made, and a density of orbitals."""
    from xcnet.adapters import pyscf as adapter
    from xcnet.scf import calculation
    from xcnet.scf.molecule import build
    from xcnet.systems import molecules

    # isort: split
    from pyscf import dft

    adapter.install()
    mol = build(molecules.read(molecule), basis)
    mf = dft.RKS(mol, xc="LDA").density_fit()
    mf.grids.level = calculation.PLAIN_GRID
    mf.max_cycle = 1
    mf.kernel()
    mf.max_cycle = 50
    return mf, mf.make_rdm1()


def _fock(mf: Any, xc: str, density: Any) -> Any:
    mf.xc = xc
    return mf.get_veff(mf.mol, density)


def _whole(mf: Any, xc: str) -> tuple[float, int]:
    """CPU seconds and cycles of an SCF from PySCF's guess; grid and integrals are there."""
    from xcnet.adapters import pyscf as adapter

    mf.xc = xc
    start = time.process_time()
    outcome = adapter.converge(mf)
    return time.process_time() - start, outcome.cycles


MEASURES: Mapping[str, Callable[[Options], Records]] = {
    "startup": startup,
    "compute": compute,
    "scf": scf,
    "memory": memory,
    "scaling": scaling,
}

if __name__ == "__main__":
    sys.exit(main())
