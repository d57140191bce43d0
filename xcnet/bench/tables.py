"""Tables of errors as text and Markdown, and the README's section made of them."""

from __future__ import annotations

from collections.abc import Sequence

from xcnet.bench.statistics import Section, Statistics

DIGITS = {"kcal/mol": 2, "eV": 3, "mÅ": 1, "1/cm": 1, "%": 1}
HEADER = ("functional", "subset", "known", "MAE", "ME", "largest", "of")


def rows(section: Section) -> list[tuple[str, ...]]:
    """Cells of the table of a section: a row per functional and subset, best first."""
    lines: list[tuple[str, ...]] = []
    for subset, names in section.subsets.items():
        known = [(column.label, column.statistics(names)) for column in section.columns]
        present = [(label, s) for label, s in known if s is not None]
        # A functional that lacks some values is below those that have all.
        for label, stats in sorted(present, key=lambda x: (x[1].count < x[1].total, x[1].mae)):
            lines.append((label, subset, *_cells(stats, digits(section))))
    return lines


def digits(section: Section) -> int:
    """Decimals worth showing in the set's unit."""
    return DIGITS[section.set.unit]


def _cells(stats: Statistics, digits: int) -> tuple[str, ...]:
    return (
        f"{stats.count}/{stats.total}",
        f"{stats.mae:.{digits}f}",
        f"{stats.me:+.{digits}f}",
        f"{stats.largest:+.{digits}f}",
        stats.worst,
    )


def text(section: Section) -> str:
    """The table for a terminal."""
    lines = [HEADER, *rows(section)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADER))]
    title = f"Errors in {section.set.unit}: {section.set.title}"
    body = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    return "\n".join([title, *body, *accurate(section), *weighted(section)])


def accurate(section: Section) -> list[str]:
    """Lines of the mean absolute error against the set's accurate references, best first."""
    errors = [
        (stats.mae, f"{subset}, {stats.count}/{stats.total}: {column.label}")
        for subset, names in section.subsets.items()
        for column in section.accurate
        if (stats := column.statistics(names)) is not None
    ]
    lines = [f"{text} {mae:.{digits(section)}f}" for mae, text in sorted(errors)]
    if section.set.accurate is None or not lines:
        return []
    return [f"MAE against {section.set.accurate['title']}:", *lines]


def weighted(section: Section) -> list[str]:
    """Lines of the estimated WTMAD-2 of each functional and subset that has weights, best first."""
    means = [
        (stats.weighted, f"WTMAD-2 of {subset}, {stats.count}/{stats.total}: {column.label}")
        for subset, names in section.subsets.items()
        for column in section.columns
        if (stats := column.statistics(names)) and stats.weighted is not None
    ]
    return [f"{text} {value:.2f}" for value, text in sorted(means)]


def markdown(header: Sequence[str], body: Sequence[Sequence[str]], left: int = 1) -> str:
    """A Markdown table whose first ``left`` columns are text and the others numbers."""
    rule = ["---" if i < left else "---:" for i in range(len(header))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *body))
