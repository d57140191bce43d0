"""Errors of functionals on a set, from its results file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from xcnet import dispersion, registry
from xcnet.bench.store import Record
from xcnet.bench.tasks import canonical
from xcnet.dispersion import Correction
from xcnet.errors import InputError
from xcnet.systems import benchmarks, sets
from xcnet.systems.reactions import Reaction
from xcnet.systems.sets import BenchmarkSet


@dataclass(frozen=True)
class Statistics:
    """Errors of one functional on one subset, in the set's unit; ``count`` of ``total`` known."""

    count: int
    total: int
    mae: float
    me: float
    largest: float
    worst: str
    weighted: float | None


@dataclass
class Column:
    """One functional: errors of the reactions that are known, and why others are not.

    ``cycles`` and CPU ``seconds`` are those of each system, ``xc`` is what was calculated: the
    label without the dispersion that was added.
    """

    label: str
    grid_level: int
    errors: dict[str, float] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    cycles: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    xc: str = ""

    @property
    def hours(self) -> float:
        """CPU time of all systems."""
        return sum(self.seconds.values()) / 3600

    def statistics(self, names: Sequence[str]) -> Statistics | None:
        """Statistics over the named reactions; None if none of them is known."""
        known = {name: self.errors[name] for name in names if name in self.errors}
        if not known:
            return None
        worst = max(known, key=lambda name: abs(known[name]))
        return Statistics(
            count=len(known),
            total=len(names),
            mae=sum(map(abs, known.values())) / len(known),
            me=sum(known.values()) / len(known),
            largest=known[worst],
            worst=worst,
            weighted=self._weighted(known),
        )

    def shifted(self, shifts: Mapping[str, float]) -> Column:
        """The same with other references, lower by ``shifts``."""
        return replace(self, errors={name: e + shifts[name] for name, e in self.errors.items()})

    def _weighted(self, known: Mapping[str, float]) -> float | None:
        """Mean of the weighted absolute errors, an estimate of WTMAD-2; None without weights."""
        if all(self.weights[name] == 1.0 for name in known):
            return None
        return sum(self.weights[name] * abs(error) for name, error in known.items()) / len(known)


@dataclass
class Section:
    """All functionals on a set under one protocol."""

    set: BenchmarkSet
    protocol: sets.Protocol
    reactions: Sequence[Reaction]
    columns: list[Column]
    subsets: dict[str, list[str]]
    troubles: list[Record]
    versions: dict[str, str]
    machines: list[str]

    @property
    def accurate(self) -> list[Column]:
        """The same against the set's accurate references; empty without such."""
        if self.set.accurate is None:
            return []
        energies = self.set.accurate["energies"]
        shifts = {
            reaction.name: reaction.reference - energies[reaction.name]
            for reaction in self.reactions
        }
        return [column.shifted(shifts) for column in self.columns]

    @property
    def changed(self) -> bool:
        """Whether the protocol is not the set's own."""
        return self.protocol != self.set.protocol


def sections(records: Iterable[Record]) -> list[Section]:
    """Sections by set and protocol, in the order of the records.

    Raises
    ------
    InputError
        If a record is not one of a benchmark.
    """
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        if record.get("format") != 1 or "system" not in record:
            raise InputError(f"not a record of xcnet bench: {str(record)[:80]}")
        groups.setdefault((record["set"], canonical(record["protocol"])), []).append(record)
    return [_section(benchmarks.load(name), group) for (name, _), group in groups.items()]


def _section(chosen: BenchmarkSet, records: list[Record]) -> Section:
    of = benchmarks.of_set(chosen)
    current = _current(records)
    columns = [
        column
        for xc, by_system in current.items()
        for column in _columns(chosen, xc, by_system, of)
    ]
    results = [record for by_system in current.values() for record in by_system.values()]
    return Section(
        set=chosen,
        protocol=sets.Protocol(**records[0]["protocol"]),
        reactions=of,
        columns=columns,
        subsets=_subsets(chosen, [reaction.name for reaction in of]),
        troubles=[record for record in results if record["status"] != "converged"],
        versions=next((r["versions"] for r in reversed(results) if "versions" in r), {}),
        machines=sorted({r["machine"]["cpu"] for r in results}),
    )


def _current(records: Iterable[Record]) -> dict[str, dict[str, Record]]:
    """Last record of each system by functional, of the functional's last model only."""
    models: dict[str, str] = {}
    current: dict[str, dict[str, Record]] = {}
    for record in records:
        xc = record["xc"]
        if models.get(xc) != record["model"]:
            models[xc], current[xc] = record["model"], {}
        current[xc][record["system"]] = record
    return current


def _subsets(chosen: BenchmarkSet, names: list[str]) -> dict[str, list[str]]:
    quick = {str(chosen.quick["name"]): list(chosen.quick["only"])} if chosen.quick else {}
    return {
        **{
            title: [name for name in names if name not in rule["without"]]
            for title, rule in chosen.subsets.items()
        },
        **quick,
    }


def _columns(
    chosen: BenchmarkSet, xc: str, by_system: Mapping[str, Record], of: Sequence[Reaction]
) -> list[Column]:
    """The functional, and the same with dispersion: its record's, or the set's if that is known."""
    columns = [_column(xc, by_system, of, chosen.unit)]
    correction = _correction(chosen, xc, next(iter(by_system.values()))["model"])
    if correction:
        columns.append(_column(xc, by_system, of, chosen.unit, correction))
    return columns


def _correction(chosen: BenchmarkSet, xc: str, model: str) -> Correction | None:
    """None also for results of a model that is no longer there: its parameters are unknown."""
    if not chosen.dispersion:
        return None
    spec = registry.record(xc)
    if spec is not None and spec.values_sha256 != model:
        return None
    return dispersion.of(xc, dispersion.method(xc, chosen.dispersion))


def _column(
    xc: str,
    by_system: Mapping[str, Record],
    of: Sequence[Reaction],
    unit: str,
    correction: Correction | None = None,
) -> Column:
    good = {name: r for name, r in by_system.items() if r["status"] == "converged"}
    values = {name: _values(record) for name, record in good.items()}
    if correction:
        systems = {s.name: s for reaction in of for _, s in reaction.terms if s.name in good}
        values |= {
            name: [values[name][0] + correction.energy(system)] for name, system in systems.items()
        }
    label = f"{xc}-{dispersion.LABELS[correction.method]}" if correction else xc
    column = Column(label, max(r["grid_level"] for r in by_system.values()), xc=xc)
    for reaction in of:
        lacking = [s.name for _, s in reaction.terms if s.name not in values]
        if lacking:
            column.missing[reaction.name] = _why(lacking, by_system)
            continue
        column.errors[reaction.name] = reaction.error(values, unit)
        column.weights[reaction.name] = reaction.weight
    column.cycles = {name: r["cycles"] + r["guess_cycles"] for name, r in good.items()}
    column.seconds = {n: r["cpu_seconds"] for n, r in by_system.items() if "cpu_seconds" in r}
    return column


def _values(record: Record) -> Sequence[float]:
    """What was calculated: the energy alone, or the values of another quantity."""
    if "values" in record:
        values: list[float] = record["values"]
        return values
    return [record["energy"]]


def _why(lacking: Sequence[str], by_system: Mapping[str, Record]) -> str:
    return ", ".join(
        f"{name}: {by_system[name]['status'] if name in by_system else 'not calculated'}"
        for name in lacking
    )


def explain(record: Mapping[str, Any]) -> str:
    """What went wrong, in one line."""
    if record["status"] == "failed":
        return str(record["error"]).splitlines()[0]
    tried = ", ".join(f"{name} {cycles}" for name, cycles, _ in record["rungs"])
    return f"not converged; cycles tried: {tried}"
