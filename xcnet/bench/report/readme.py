"""The README's tables, made of committed results and of nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from xcnet.bench import tables
from xcnet.bench.speed import tables as speed_tables
from xcnet.bench.statistics import Section
from xcnet.bench.store import Record
from xcnet.errors import InputError

BEGIN = "<!-- bench: made by make bench-report, do not edit -->"
END = "<!-- /bench -->"


def update(path: Path, sections: Sequence[Section], speed: Sequence[Record]) -> bool:
    """Put the tables between the marks of a file; returns whether that changed it.

    Raises
    ------
    InputError
        If the file cannot be read or lacks the marks.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}", file=str(path)) from error
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise InputError(f"{path} lacks the marks {BEGIN!r} and {END!r}", file=str(path))
    made = f"{before}{BEGIN}\n{render(sections, speed)}{END}{after}"
    if made == text:
        return False
    path.write_text(made, encoding="utf-8")
    return True


def render(sections: Sequence[Section], speed: Sequence[Record]) -> str:
    """Markdown of all sections, each with its protocol, and of the last measurements of speed."""
    parts = [f"{_table(section)}\n\n{_note(section)}" for section in sections]
    if speed:
        parts += [tables.markdown(*table) for table in speed_tables.tables(speed, ["exc+vxc"])]
        parts.append(_machine(speed))
    return "".join(f"\n{part}\n" for part in parts)


def _machine(speed: Sequence[Record]) -> str:
    processors = sorted({record["machine"]["cpu"] for record in speed_tables.latest(speed)})
    return f"CPU times of one thread, the best of several rounds; {', '.join(processors)}."


def _table(section: Section) -> str:
    """Functionals down; known reactions and errors of the set's own subsets across."""
    names = list(section.set.subsets)
    main = section.subsets[names[0]]
    header = [
        section.set.title,
        "known",
        *(f"MAE {name}, {section.set.unit}" for name in names),
        "ME",
        "largest",
        *(["published MAE"] if section.set.literature else []),
        *(["aim"] if section.set.aims else []),
    ]
    digits = tables.digits(section)
    body = []
    for column in section.columns:
        found = [column.statistics(section.subsets[name]) for name in names]
        stats = found[0]
        if stats is None:
            continue
        body.append(
            (
                stats.mae,
                [
                    column.label,
                    f"{stats.count} of {len(main)}",
                    *(f"{s.mae:.{digits}f}" if s else "" for s in found),
                    f"{stats.me:+.{digits}f}",
                    f"{stats.largest:+.{digits}f} ({stats.worst})",
                    *_published(section, column.label),
                    *_aim(section, column.label, stats.mae),
                ],
            )
        )
    return tables.markdown(header, [cells for _, cells in sorted(body, key=lambda x: x[0])])


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


def _note(section: Section) -> str:
    left_out = [
        f"{title} leaves out {', '.join(rule['without'])}"
        for title, rule in section.set.subsets.items()
        if rule["without"]
    ]
    remark = [section.set.remark] if section.set.remark else []
    return ". ".join([section.protocol.text(), *left_out, *remark]) + "."
