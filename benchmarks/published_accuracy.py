"""Published functionals side by side: one table of the errors on parts of all sets.

The results are those of ``xcnet bench SET --output benchmarks/results/published.jsonl``, each set
with the same reactions and protocol for all functionals; docs/published.md has the commands.
``python -m benchmarks.published_accuracy`` writes ``benchmarks/results/published.md`` from them.
Reactions that not all functionals have are left out.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xcnet.bench.statistics import Section, sections
from xcnet.bench.tables import digits, markdown

RESULT = Path(__file__).resolve().parent / "results" / "published.jsonl"


def read(path: Path = RESULT) -> list[dict[str, Any]]:
    """Records of the results."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def common(section: Section) -> list[str]:
    """Reactions that all functionals of a section have."""
    known = [set(column.errors) for column in section.columns]
    return [
        reaction.name for reaction in section.reactions if all(reaction.name in k for k in known)
    ]


def table(found: Sequence[Section]) -> str:
    """Mean absolute errors by functional and set, and what was calculated."""
    found = [section for section in found if common(section)]
    labels = dict.fromkeys(column.label for section in found for column in section.columns)
    body = [[label, *(_cell(section, label) for section in found)] for label in sorted(labels)]
    header = ["mean absolute error", *(f"{s.set.name}, {s.set.unit}" for s in found)]
    lines = [
        f"- {section.set.name}: {', '.join(common(section))}; {section.protocol.text()}."
        for section in found
    ]
    return "\n".join([markdown(header, body), "", *lines, ""])


def _cell(section: Section, label: str) -> str:
    """Error of one functional; nothing where the set has none of it."""
    for column in section.columns:
        if column.label == label and (known := column.statistics(common(section))):
            return f"{known.mae:.{digits(section)}f}"
    return ""


def main() -> None:
    """Write the table."""
    RESULT.with_suffix(".md").write_text(table(sections(read())), encoding="utf-8")


if __name__ == "__main__":
    main()
