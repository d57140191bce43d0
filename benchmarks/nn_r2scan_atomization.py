"""Self-consistent atomization energies: NN-r2SCAN against libxc's r2SCAN.

Small first-row molecules of G2 (geometries of ``ase.data.g2``), none of them but H2O, NH3 and NO
seen in training, and some of the second row, whose atoms were not trained on at all. Both
functionals take the adapter's ladder of solvers with the same settings, and each line says which
rung was needed. Writes ``benchmarks/results/nn_r2scan_atomization.jsonl``: a line of settings
(the SHA-256 of the network's weights among them) and summaries, then one per system.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pyscf
from ase.data import chemical_symbols
from ase.data.g2 import data as g2
from pyscf import dft, gto

from xcnet import libxc, registry
from xcnet.adapters import pyscf as adapter

RESULT = Path(__file__).resolve().parent / "results" / "nn_r2scan_atomization.jsonl"
KCAL = 627.5094740631
FUNCTIONALS = ("r2SCAN", "NN-r2SCAN")
FIRST_ROW = (
    "H2 LiH BeH CH CH2_s1A1d CH2_s3B1d CH3 CH4 NH NH2 NH3 OH H2O HF Li2 LiF C2H2 C2H4 C2H6 CN "
    "HCN CO N2 NO O2 H2O2 F2 CO2 HCO H2CO CH3OH N2H4"
).split()
SECOND_ROW = "SiH4 PH3 SH2 HCl Cl2 SO2 SiO CS".split()


def geometry(name: str) -> tuple[str, int]:
    """PySCF atom string and number of unpaired electrons of a G2 molecule or atom."""
    entry = g2[name]
    positions = entry.get("positions", [[0.0, 0.0, 0.0]])
    lines = [
        f"{symbol} {x} {y} {z}" for symbol, (x, y, z) in zip(symbols(name), positions, strict=True)
    ]
    magnetic = entry.get("magmoms")
    return "; ".join(lines), round(abs(sum(magnetic))) if magnetic is not None else 0


def symbols(name: str) -> list[str]:
    """Element of each atom of a G2 molecule."""
    from ase.symbols import Symbols

    return list(Symbols.fromsymbols(g2[name]["symbols"]))


def solve(name: str, xc: str, basis: str, level: int) -> dict[str, Any]:
    """Energy, cycles and convergence of one system with one functional."""
    atoms, spin = geometry(name)
    molecule = gto.M(atom=atoms, spin=spin, basis=basis, verbose=0)
    method = (dft.UKS if spin else dft.RKS)(molecule, xc=xc).density_fit()
    method.grids.level = level
    start = time.perf_counter()
    outcome = adapter.converge(method)
    return {
        "energy": float(method.e_tot),
        "cycles": outcome.cycles,
        "solver": outcome.rung,
        "converged": bool(method.converged),
        "seconds": round(time.perf_counter() - start, 1),
    }


def table(names: Iterable[str], basis: str, level: int) -> Iterator[dict[str, Any]]:
    """Rows of atoms, then molecules with the difference of the atomization energies."""
    names = list(names)
    elements = sorted({s for name in names for s in symbols(name)}, key=chemical_symbols.index)
    solved: dict[str, dict[str, Any]] = {}
    for name in (*elements, *names):
        solved[name] = {xc: solve(name, xc, basis, level) for xc in FUNCTIONALS}
        row: dict[str, Any] = {"system": name, **solved[name]}
        if name in names:
            energies = [
                KCAL
                * (sum(solved[s][xc]["energy"] for s in symbols(name)) - solved[name][xc]["energy"])
                for xc in FUNCTIONALS
            ]
            row["atomization_kcal"] = dict(zip(FUNCTIONALS, np.round(energies, 4), strict=True))
            row["difference_kcal"] = round(energies[1] - energies[0], 4)
        yield row


def summary(rows: list[dict[str, Any]], names: Iterable[str]) -> dict[str, Any]:
    """Mean and largest absolute difference of the atomization energies over ``names``."""
    chosen = {row["system"]: abs(row["difference_kcal"]) for row in rows if row["system"] in names}
    return {
        "molecules": len(chosen),
        "mean_absolute_kcal": round(float(np.mean(list(chosen.values()))), 4),
        "largest_kcal": max(chosen.values()),
        "largest_of": max(chosen, key=lambda name: chosen[name]),
        **{
            f"mean cycles {xc}": round(
                float(np.mean([row[xc]["cycles"] for row in rows if row["system"] in chosen])), 2
            )
            for xc in FUNCTIONALS
        },
    }


def main() -> None:
    """Run all systems and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--basis", default="def2-tzvp")
    parser.add_argument("--grid", type=int, default=3)
    parser.add_argument("--molecules", nargs="*", default=[*FIRST_ROW, *SECOND_ROW])
    parser.add_argument("--output", type=Path, default=RESULT)
    arguments = parser.parse_args()
    adapter.install()
    rows = []
    for row in table(arguments.molecules, arguments.basis, arguments.grid):
        rows.append(row)
        parts = [f"{xc} {row[xc]['energy']:.6f} ({row[xc]['cycles']})" for xc in FUNCTIONALS]
        print(row["system"], *parts, row.get("difference_kcal", ""), flush=True)
    spec = registry.find("NN-r2SCAN").spec
    assert spec is not None
    settings = {
        "weights_sha256": spec.training["weights_sha256"],
        "basis": arguments.basis,
        "grid_level": arguments.grid,
        "density_fitting": True,
        "pyscf": pyscf.__version__,
        "libxc": libxc.version_string(),
        **{
            label: summary(rows, chosen)
            for label, names in (("first_row", FIRST_ROW), ("second_row", SECOND_ROW))
            if (chosen := [name for name in names if name in arguments.molecules])
        },
    }
    lines = [json.dumps(line) for line in (settings, *rows)]
    arguments.output.parent.mkdir(exist_ok=True)
    arguments.output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(json.dumps(settings, indent=1))


if __name__ == "__main__":
    main()
