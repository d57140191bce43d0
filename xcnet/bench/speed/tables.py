"""What was measured, as lines and tables; ratios against their targets."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xcnet.bench.speed.cases import ORDERS
from xcnet.bench.store import Record
from xcnet.bench.tables import markdown

Table = tuple[Sequence[str], list[Sequence[str]]]  # header and rows

METAGGA, NRA = "xcnet NN-metaGGA-Nagai2020", "xcnet NN-NRA-Nagai2020"
TRAINED = "xcnet NN-metaGGA"
MANY = 100_000


@dataclass(frozen=True)
class Target:
    """A limit: of a case's time or memory, alone (None) or as a ratio to another's."""

    part: str
    quantity: str
    case: str
    relative_to: str | None
    limit: float
    points: int | None = None

    def name(self) -> str:
        """What is measured, for people."""
        size = f", {self.points:,} point{'s' if self.points > 1 else ''}" if self.points else ""
        other = f" / {self.relative_to}" if self.relative_to else ""
        return f"{self.quantity}{size}: {self.case}{other}"


TARGETS = (
    Target("compute", "exc+vxc, polarized", METAGGA, "torch NN-metaGGA-Nagai2020", 0.5, MANY),
    Target("compute", "exc+vxc, polarized", METAGGA, "floor 4-100-100-100-1", 1.5, MANY),
    Target("compute", "exc+vxc, polarized", METAGGA, None, 150e-6, 1),
    Target("compute", "exc+vxc, polarized", TRAINED, "libxc M06-L", 1.0, MANY),
    Target("compute", "exc+vxc, unpolarized", TRAINED, "libxc M06-L", 1.0, MANY),
    Target("startup", "import and first compute", METAGGA, None, 0.6),
    Target("scf", "whole SCF", METAGGA, "xcnet M06-L", 1.3),
    Target("scf", "whole SCF", NRA, "xcnet M06-L", 1.8),
    Target("memory", "peak memory", METAGGA, "xcnet M06-L", 1.3),
    Target("memory", "peak memory", NRA, "xcnet M06-L", 1.3),
)


def line(record: Mapping[str, Any]) -> str:
    """One measurement."""
    size = f"{record['mb']:.0f} MB" if "mb" in record else _time(record["seconds"])
    places = [f"{record[key]} {key}" for key in ("points", "atoms") if key in record]
    return f"{record['quantity']}: {record['case']} {', '.join(places)}  {size}"


def _time(seconds: float) -> str:
    return f"{seconds * 1e6:.0f} µs" if seconds < 0.01 else f"{seconds:.3f} s"


def latest(records: Iterable[Record]) -> list[Record]:
    """Records of each part's last run: ratios are of one run only."""
    records = list(records)
    last = {record["speed"]: record["run"] for record in records}
    return [record for record in records if record["run"] == last[record["speed"]]]


def tables(records: Iterable[Record], orders: Sequence[str] = ORDERS) -> list[Table]:
    """Tables of the last run: targets, pointwise evaluation to these orders, SCF, scaling."""
    chosen = [
        record
        for record in latest(records)
        if record["speed"] != "compute" or record["quantity"].split(",")[0] in orders
    ]
    sections = [_targets(chosen), *_compute(chosen), _scf(chosen), _scaling(chosen)]
    return [table for table in sections if table[1]]


def text(records: Iterable[Record]) -> str:
    """All tables in Markdown."""
    return "\n\n".join(markdown(*table) for table in tables(records))


def _value(records: Sequence[Record], target: Target, case: str) -> float | None:
    for record in records:
        same = record["speed"], record["quantity"], record["case"]
        if same == (target.part, target.quantity, case) and (
            target.points is None or record["points"] == target.points
        ):
            return float(record["mb"] if "mb" in record else record["seconds"])
    return None


def _targets(records: Sequence[Record]) -> Table:
    rows: list[Sequence[str]] = []
    for target in TARGETS:
        value = _value(records, target, target.case)
        base = _value(records, target, target.relative_to) if target.relative_to else 1.0
        if value is None or base is None:
            continue
        ratio = value / base
        shown = (
            (f"{ratio:.2f}", f"{target.limit:g}")
            if target.relative_to
            else (_time(ratio), _time(target.limit))
        )
        rows.append((target.name(), *shown, "yes" if ratio <= target.limit else "no"))
    return ("target", "measured", "limit", "met"), rows


def _compute(records: Sequence[Record]) -> Iterator[Table]:
    chosen = [record for record in records if record["speed"] == "compute"]
    sizes = sorted({record["points"] for record in chosen})
    for quantity in dict.fromkeys(record["quantity"] for record in chosen):
        by_size = {
            (r["case"], r["points"]): r["seconds"] for r in chosen if r["quantity"] == quantity
        }
        rows: list[Sequence[str]] = []
        for case in dict.fromkeys(case for case, _ in by_size):
            cells = [_per_point(by_size.get((case, n)), n) for n in sizes]
            rows.append((case, *cells))
        header = (f"{quantity}: µs per point at N =", *(f"{n:,}" for n in sizes))
        yield header, rows


def _per_point(seconds: float | None, points: int) -> str:
    return "" if seconds is None else f"{seconds / points * 1e6:.3g}"


def _scf(records: Sequence[Record]) -> Table:
    chosen = [record for record in records if record["speed"] in ("scf", "memory")]
    if not chosen:
        return (), []
    quantities = list(dict.fromkeys(record["quantity"] for record in chosen))
    cases = list(dict.fromkeys(record["case"] for record in chosen))
    by_quantity = {(r["case"], r["quantity"]): r for r in chosen}
    rows: list[Sequence[str]] = []
    for case in cases:
        cells = [_cell(by_quantity.get((case, quantity))) for quantity in quantities]
        cycles = by_quantity.get((case, "whole SCF"), {}).get("cycles", "")
        rows.append((case, *cells, str(cycles)))
    where = f"{chosen[0]['molecule']}, {chosen[0]['basis']}"
    return (where, *quantities, "cycles"), rows


def _cell(record: Mapping[str, Any] | None) -> str:
    if record is None:
        return ""
    return f"{record['mb']:.0f} MB" if "mb" in record else f"{record['seconds']:.2f} s"


def relative_times(records: Iterable[Record]) -> dict[str, float]:
    """Time of a self-consistent calculation of each functional, over that of M06-L in one run."""
    seconds = {
        record["case"].removeprefix("xcnet "): record["seconds"]
        for record in latest(records)
        if record["speed"] == "scf" and record["quantity"] == "whole SCF"
    }
    return {name: value / seconds["M06-L"] for name, value in seconds.items() if "M06-L" in seconds}


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Slope of log(value) against log(size), by least squares."""
    x, y = [math.log(s) for s in sizes], [math.log(v) for v in values]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    above = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    return above / sum((a - mean_x) ** 2 for a in x)


def series(records: Iterable[Record]) -> dict[tuple[str, str], list[tuple[int, float]]]:
    """(atoms, value) of the scaling series by quantity and case, smallest first."""
    points: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for record in records:
        if record["speed"] == "scaling":
            value = record["mb"] if "mb" in record else record["seconds"]
            points.setdefault((record["quantity"], record["case"]), []).append(
                (record["atoms"], value)
            )
    return {key: sorted(values) for key, values in points.items()}


def _scaling(records: Sequence[Record]) -> Table:
    points = series(records)
    sizes = sorted({atoms for values in points.values() for atoms, _ in values})
    rows: list[Sequence[str]] = []
    for (quantity, case), values in points.items():
        by_size = dict(values)
        form = "{:.0f} MB" if quantity == "peak memory" else "{:.2f} s"
        cells = [form.format(by_size[n]) if n in by_size else "" for n in sizes]
        slope = f"{exponent(*zip(*values, strict=True)):.2f}" if len(values) > 1 else ""
        rows.append((f"{quantity}, {case}", *cells, slope))
    return ("alkanes, atoms:", *map(str, sizes), "exponent"), rows
