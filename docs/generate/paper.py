"""The paper of NN-metaGGA and NN-NRA beside what is measured here with its weights."""

from __future__ import annotations

from collections.abc import Sequence

from docs.generate.markdown import table
from docs.generate.sources import ROOT
from xcnet.bench import statistics, store
from xcnet.bench.statistics import Column

RECORDS = ROOT / "benchmarks" / "results" / "ae147.jsonl"
SUBSET = "AE147"


def beside() -> str:
    """Mean absolute errors of AE147: the paper's, and ours with and without fluorine, kcal/mol.

    Functionals that the paper has come first, in its order, then those that were trained here.
    """
    (section,) = statistics.sections(store.read(RECORDS))
    members = section.subsets[SUBSET]
    fluorides = {
        reaction.name
        for reaction in section.reactions
        if any("F" in system.symbols for _, system in reaction.terms)
    }
    without = [name for name in members if name not in fluorides]
    literature = section.set.literature or {}
    measured = {column.label: column for column in section.columns}
    accurate = {column.label: column for column in section.accurate}
    rows = [
        [
            f"`{xc}`",
            f"{literature[xc]:.1f}" if xc in literature else "",
            _known(measured[xc], members),
            *(_mae(of[xc], names) for of in (measured, accurate) for names in (members, without)),
        ]
        for xc in dict.fromkeys([*literature, "r2SCAN"])
    ]
    count = len(members) - len(without)
    head = [
        *("functional", "the paper", "known here", "against experiment", f"without {count} with F"),
        *("against accurate theory", f"without {count} with F"),
    ]
    return table(head, rows)


def _known(column: Column, names: Sequence[str]) -> str:
    return f"{sum(name in column.errors for name in names)} of {len(names)}"


def _mae(column: Column, names: Sequence[str]) -> str:
    found = column.statistics(names)
    return "" if found is None else f"{found.mae:.2f}"
