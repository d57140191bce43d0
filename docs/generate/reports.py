"""What committed results say: reports of ``xcnet check``, errors of functionals trained here."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from docs.generate.markdown import table
from docs.generate.sources import ROOT
from xcnet import registry
from xcnet.check.results import FAIL, NOT_APPLICABLE, NOT_REQUIRED, PASS

FOLDER = ROOT / "docs" / "extra" / "reports"
ATOMIZATION = ROOT / "benchmarks" / "results" / "nn_r2scan_atomization.jsonl"
VERDICTS = (PASS, FAIL, NOT_REQUIRED, NOT_APPLICABLE)


def read(path: Path) -> dict[str, Any]:
    """Results of one report."""
    report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return report


def listing() -> str:
    """The reports, with the number of each verdict."""
    rows = []
    for path in sorted(FOLDER.glob("*.json")):
        counts = Counter(row["verdict"] for row in read(path)["results"])
        entry = registry.find(path.stem)
        name = entry.aliases[0] if entry.aliases else entry.name
        link = f'<a href="reports/{path.stem}.html">{name}</a>'
        rows.append([link, *(str(counts[verdict]) for verdict in VERDICTS)])
    return table(["functional", *VERDICTS], rows)


def stand_in() -> str:
    """Errors of NN-r2SCAN's atomization energies against those of r2SCAN itself."""
    summary = json.loads(ATOMIZATION.read_text(encoding="utf-8").splitlines()[0])
    rows = []
    for title, key in (("first row", "first_row"), ("second row", "second_row")):
        part = summary[key]
        rows.append(
            [
                title,
                str(part["molecules"]),
                f"{part['mean_absolute_kcal']:.3f}",
                f"{part['largest_kcal']:.3f} ({part['largest_of']})",
                f"{part['mean cycles NN-r2SCAN']:.1f} ({part['mean cycles r2SCAN']:.1f})",
            ]
        )
    head = ["molecules of G2", "number", "mean difference", "largest", "SCF cycles (r2SCAN)"]
    return table(head, rows)


def trained() -> str:
    """Errors of the energies that functionals were trained on, from their records, kcal/mol."""
    rows = []
    for entry in registry.entries(origin="package"):
        record = entry.spec.record if entry.spec else {}
        reactions = record.get("training", {}).get("metrics", {}).get("reactions")
        if reactions is None:
            continue
        last, final = reactions["fixed"][-1]["trained"], reactions["self_consistent"]
        rows.append(
            [
                entry.aliases[0],
                str(len(reactions["fixed"])),
                str(final["trained"]["count"]),
                f"{last['mean_absolute']:.2f}",
                f"{final['trained']['mean_absolute']:.2f}",
                str(final["watched"]["count"]),
                f"{final['watched']['mean_absolute']:.2f}",
            ]
        )
    head = [
        "functional",
        "rounds",
        "energies trained on",
        "error at the last round's densities",
        "error",
        "energies watched",
        "their error",
    ]
    return table(head, rows)
