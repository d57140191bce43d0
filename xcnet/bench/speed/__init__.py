"""``xcnet bench speed``: nested layers timed in one run, and how they grow with the molecule.

Each part runs in a process of its own (`parts`) with one thread, and its times are CPU times, so
that ratios hold on a busy machine too. Absolute times belong to the machine in their record.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xcnet.bench.machine import machine
from xcnet.bench.store import Record, Store
from xcnet.errors import BenchmarkError, InputError

PARTS = ("startup", "compute", "scf", "memory", "scaling")
#: The functionals trained here, and the published ones.
NEURAL = "NN-metaGGA,NN-NRA,NN-metaGGA-Nagai2020,NN-NRA-Nagai2020"
OPTIONS: tuple[tuple[str, str, Any, str], ...] = (
    ("--xc", "NAME,...", f"M06-L,B3LYP,r2SCAN,{NEURAL}", "functionals"),
    ("--parts", "PART,...", ",".join(PARTS), "what to measure"),
    ("--points", "N,...", "1,256,10000,100000", "sizes of compute"),
    ("--rounds", "N", 7, "repetitions, of which the best counts"),
    ("--molecule", "NAME", "C6H6", "molecule of Fock builds and SCF"),
    ("--basis", "NAME", "def2-tzvp", "its basis set"),
    ("--scaling-xc", "NAME,...", f"M06-L,{NEURAL}", "functionals of the scaling series"),
    ("--carbons", "N,...", "2,5,10,20", "lengths of its alkanes"),
    ("--scaling-basis", "NAME", "def2-svp", "their basis set"),
    ("--output", "FILE", "speed.jsonl", "results file, added to"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this action's arguments."""
    add = parser.add_argument
    for option, metavar, default, text in OPTIONS:
        shown = f"{text} (default: {default})"
        add(option, metavar=metavar, type=type(default), default=default, help=shown)
    add(
        "--weights",
        type=Path,
        metavar="FOLDER",
        help="the published networks' original files, for torch beside them (default: "
        "nagai2020 in XCNET_PUBLISHED; without it torch is left out)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Measure part after part; each result is stored when it is there."""
    from xcnet.bench import plan
    from xcnet.bench.speed import tables

    functionals, scaled = _list(arguments.xc), _list(arguments.scaling_xc)
    chosen = _list(arguments.parts)
    if unknown := set(chosen) - set(PARTS):
        raise InputError(f"--parts knows {', '.join(PARTS)}, not {', '.join(sorted(unknown))}")
    needed = functionals if set(chosen) - {"scaling"} else []
    for xc in dict.fromkeys([*needed, *(scaled if "scaling" in chosen else [])]):
        plan.describe(xc)
    options = {**vars(arguments), "xc": functionals, "scaling_xc": scaled}
    options |= {name: [int(n) for n in _list(options[name])] for name in ("points", "carbons")}
    options |= {"weights": _weights(arguments.weights)}
    with Store(Path(arguments.output)) as store:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        for part in chosen:
            for job in _jobs(part, options):
                for record in _measure(part, job):
                    common = {"format": 1, "speed": part, "run": stamp, "machine": machine()}
                    store.append({**common, **record})
                    print(tables.line(record), flush=True)
        print(f"\n{tables.text(store.records)}")
    return 0


def _list(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _weights(folder: Path | None) -> str | None:
    published = os.environ.get("XCNET_PUBLISHED")
    named = str(folder) if folder else published and str(Path(published) / "nagai2020")
    if named and not Path(named).is_dir():
        raise InputError(f"--weights: {named} is not a folder", given=named)
    return named or None


def _jobs(part: str, options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Processes of a part: peak memory needs one for each functional and size."""
    plain = {k: v for k, v in options.items() if k not in ("output", "run", "act", "debug")}
    if part == "memory":
        yield from ({**plain, "xc": [xc]} for xc in options["xc"])
    elif part == "scaling":
        for n in options["carbons"]:
            for xc in options["scaling_xc"]:
                yield {**plain, "carbons": [n], "scaling_xc": [xc]}
    else:
        yield plain


def _measure(part: str, job: dict[str, Any]) -> Iterator[Record]:
    """Records of one process, as they come."""
    command = [sys.executable, "-m", "xcnet.bench.speed.parts", part]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **threads},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(job, default=str))
        process.stdin.close()
        yield from (json.loads(line) for line in process.stdout if line.startswith("{"))
    if process.returncode:
        raise BenchmarkError(
            f"measuring {part} ended with exit code {process.returncode}; see above. What was "
            "measured before is stored",
            part=part,
        )
