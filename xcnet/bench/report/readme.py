"""Tables of the README and of the pages, made of committed results and of nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from xcnet.bench import tables
from xcnet.bench.speed import tables as speed_tables
from xcnet.bench.statistics import Column, Section, Statistics
from xcnet.bench.store import Record
from xcnet.errors import InputError

#: Kind of tables -> the marks that they stand between.
MARKS = {
    kind: (f"<!-- {kind}: made by make bench-report, do not edit -->", f"<!-- /{kind} -->")
    for kind in ("bench", "bench summary")
}
#: The summary's functionals, and the set whose errors it has.
SUMMARY = (
    "NN-hybrid-D4",
    "NN-metaGGA-D4",
    "NN-NRA-D4",
    "NN-GGA-D4",
    "B3LYP-D4",
    "r2SCAN-D4",
    "M06-L",
    "NN-metaGGA-Nagai2020",
    "PBE-D4",
)
SET = "ae147"


def update(path: Path, sections: Sequence[Section], speed: Sequence[Record]) -> bool:
    """Put the tables between the marks of a file; returns whether that changed it.

    All tables stand between the marks ``bench``, a short one between those of ``bench summary``.

    Raises
    ------
    InputError
        If the file cannot be read or lacks the marks.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}", file=str(path)) from error
    made = text
    for kind, render_kind in (("bench", render), ("bench summary", summary)):
        begin, end = MARKS[kind]
        before, opened, rest = made.partition(begin)
        _, closed, after = rest.partition(end)
        if opened and closed:
            made = f"{before}{begin}\n{render_kind(sections, speed)}{end}{after}"
    if not any(begin in text and end in text for begin, end in MARKS.values()):
        raise InputError(
            f"{path} lacks the marks {' or '.join(begin for begin, _ in MARKS.values())}",
            file=str(path),
        )
    if made == text:
        return False
    path.write_text(made, encoding="utf-8")
    return True


def errors(sections: Sequence[Section]) -> dict[str, float]:
    """Mean absolute errors of the set `SET` by functional, kcal/mol."""
    return {column.label: stats.mae for column, stats in _measured(sections)}


def costs(sections: Sequence[Section], speed: Sequence[Record]) -> dict[str, float]:
    """Time of a calculation over M06-L's by label, where it is known; dispersion costs nothing."""
    times = speed_tables.relative_times(speed)
    return {
        column.label: times[column.xc] for column, _ in _measured(sections) if column.xc in times
    }


def summary(sections: Sequence[Section], speed: Sequence[Record]) -> str:
    """Markdown of a few functionals' errors of atomization energies, and their cost."""
    rows = sorted(
        (stats.mae, column.label, f"{stats.largest:+.1f} ({stats.worst})")
        for column, stats in _measured(sections)
        if column.label in SUMMARY
    )
    header = [
        "147 atomization energies, kcal/mol",
        "mean absolute error",
        "largest",
        "time of a calculation / M06-L's",
    ]
    times = costs(sections, speed)
    body = [
        [name, f"{mae:.2f}", largest, f"{times[name]:.2f}" if name in times else ""]
        for mae, name, largest in rows
    ]
    return f"\n{tables.markdown(header, body)}\n\n"


def _measured(sections: Sequence[Section]) -> Iterator[tuple[Column, Statistics]]:
    for section in sections:
        if section.set.name == SET and not section.changed:
            names = section.subsets[next(iter(section.set.subsets))]
            for column in section.columns:
                stats = column.statistics(names)
                if stats is not None:
                    yield column, stats


def render(sections: Sequence[Section], speed: Sequence[Record]) -> str:
    """Markdown of all sections, each with its protocol, and of the last measurements of speed."""
    parts = [f"{table(section)}\n\n{note(section)}" for section in sections]
    if speed:
        parts += [tables.markdown(*table) for table in speed_tables.tables(speed, ["exc+vxc"])]
        parts.append(_machine(speed))
    return "".join(f"\n{part}\n" for part in parts)


def _machine(speed: Sequence[Record]) -> str:
    processors = sorted({record["machine"]["cpu"] for record in speed_tables.latest(speed)})
    return f"CPU times of one thread, the best of several rounds; {', '.join(processors)}."


def table(section: Section) -> str:
    """Functionals down; known reactions and errors of the set's own subsets across."""
    names = list(section.set.subsets)
    main = section.subsets[names[0]]
    weighted = any(reaction.weight != 1.0 for reaction in section.reactions)
    header = [
        section.set.title,
        "known",
        *(f"MAE {name}, {section.set.unit}" for name in names),
        "ME",
        "largest",
        *(["WTMAD-2"] if weighted else []),
        *(["published MAE"] if section.set.literature else []),
        *(["aim"] if section.set.aims else []),
    ]
    digits = tables.digits(section)
    body = []
    for column in section.columns:
        statistics = [column.statistics(section.subsets[name]) for name in names]
        stats = statistics[0]
        if stats is None:
            continue
        body.append(
            (
                stats.mae,
                [
                    column.label,
                    f"{stats.count} of {len(main)}",
                    *(f"{s.mae:.{digits}f}" if s else "" for s in statistics),
                    f"{stats.me:+.{digits}f}",
                    f"{stats.largest:+.{digits}f} ({stats.worst})",
                    *([_weighted(stats)] if weighted else []),
                    *_published(section, column.label),
                    *_aim(section, column.label, stats.mae),
                ],
            )
        )
    return tables.markdown(header, [cells for _, cells in sorted(body, key=lambda x: x[0])])


def _weighted(stats: Statistics) -> str:
    return "" if stats.weighted is None else f"{stats.weighted:.2f}"


def _published(section: Section, label: str) -> list[str]:
    if not section.set.literature:
        return []
    value = section.set.literature.get(label)
    return [f"{value:.1f}" if value else ""]


def _aim(section: Section, label: str, mae: float) -> list[str]:
    if not section.set.aims:
        return []
    limit = section.set.aims.get(label)
    return [f"{limit:.1f}: {'reached' if mae <= limit else 'missed'}" if limit else ""]


def note(section: Section) -> str:
    """Its protocol, and what to mind."""
    left_out = [
        f"{title} leaves out {', '.join(rule['without'])}"
        for title, rule in section.set.subsets.items()
        if rule["without"]
    ]
    remark = [section.set.remark] if section.set.remark else []
    return ". ".join([section.protocol.text(), *left_out, *remark]) + "."
