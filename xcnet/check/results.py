"""What a check measured: one row per question, with its limit and verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

PASS, FAIL = "pass", "fail"
NOT_REQUIRED, NOT_APPLICABLE = "not required", "not applicable"
SECTIONS = ("integrity", "laws", "robustness", "physics", "domain")


@dataclass(frozen=True)
class Result:
    """One row of a report.

    ``value`` is what was measured and ``limit`` the largest that passes, both in ``unit`` (empty
    for relative numbers); None where nothing was or nothing can be.
    """

    section: str
    name: str
    verdict: str
    value: float | None = None
    limit: float | None = None
    unit: str = ""
    note: str = ""


def judged(
    section: str,
    name: str,
    value: float,
    limit: float,
    *,
    unit: str = "",
    note: str = "",
    required: bool = True,
) -> Result:
    """Result that passes up to a limit; NaN never does."""
    verdict = PASS if value <= limit else FAIL if required else NOT_REQUIRED
    return Result(section, name, verdict, float(value), limit, unit, note)


def text(results: Sequence[Result]) -> str:
    """Results as a table for a terminal."""
    rows = [("", "measured", "limit", "verdict", "")]
    for section in SECTIONS:
        part = [r for r in results if r.section == section]
        if part:
            rows += [(section, "", "", "", ""), *((f"  {r.name}", *cells(r)) for r in part)]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, (*widths, 0), strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def summary(results: Sequence[Result]) -> str:
    """How many passed and failed, then what is breached without being required."""
    passed, failed = (sum(r.verdict == verdict for r in results) for verdict in (PASS, FAIL))
    lines = [f"{passed} passed, {failed} failed"]
    breached = [r for r in results if r.verdict == NOT_REQUIRED]
    if breached:
        lines.append(f"{len(breached)} breached, which the record does not require:")
        for result in breached:
            value, limit, *_ = cells(result)
            lines.append(f"  {result.name}: {value}, limit {limit}")
    return "\n".join(lines)


def cells(result: Result) -> tuple[str, str, str, str]:
    """Measured value, limit, verdict and note as text."""
    unit = f" {result.unit}" if result.unit else ""
    value = "" if result.value is None else f"{result.value:.3g}{unit}"
    limit = "" if result.limit is None else f"{result.limit:.3g}{unit}"
    return value, limit, result.verdict, result.note
