"""The report's page: one self-contained HTML file, with its figures as PNG beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import xcnet
from xcnet.bench import statistics, tables
from xcnet.bench.report import figures, readme, summary
from xcnet.bench.speed import tables as speed_tables
from xcnet.bench.statistics import Column, Section
from xcnet.bench.store import Record
from xcnet.errors import BenchmarkError, InputError
from xcnet.page import THEMES, Draw, Figure, draw_as, embedded, environment
from xcnet.systems.sets import ENERGY

WORST = 10  # reactions in the table of the worst


def write(
    sections: Sequence[Section],
    speed: Sequence[Record],
    folder: Path,
    pair: tuple[str, ...] = (),
) -> Path:
    """Write ``index.html`` and its PNG files; returns the page's path.

    Parameters
    ----------
    sections, speed
        What to show; both may be empty.
    folder
        Made if it does not exist.
    pair
        Two functionals for the scatter plot; by default the two with the smallest errors.

    Raises
    ------
    BenchmarkError
        If it cannot be written.
    InputError
        If `pair` does not name two functionals of the results.
    """
    labels = {column.label for section in sections for column in section.columns}
    if pair and (len(pair) != 2 or not set(pair) <= labels):
        raise InputError(f"--scatter needs two of: {', '.join(sorted(labels))}", given=pair)
    templates = environment("xcnet.bench.report")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shown = [
            {"section": section, **_parts(section, list(_figures(section, i, folder, pair)))}
            for i, section in enumerate(sections)
        ]
        text = templates.get_template("page.html.j2").render(
            summary=_summary(sections, folder),
            sections=shown,
            header=tables.HEADER,
            speed=speed_tables.tables(speed),
            scaling=list(_scaling(speed, folder)),
            machines=sorted({record["machine"]["cpu"] for record in speed}),
            version=xcnet.__version__,
        )
        path = folder / "index.html"
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BenchmarkError(
            f"cannot write the report to {folder}: {error.strerror}", file=str(folder)
        ) from error
    return path


def pictures(sections: Sequence[Section], speed: Sequence[Record], folder: Path) -> list[Path]:
    """Draw accuracy against cost, and accuracy as bars, on white; returns the files' paths.

    A picture that the results have nothing for is left out.

    Raises
    ------
    BenchmarkError
        They cannot be written.
    """
    errors = readme.errors(sections)
    chosen = {name: errors[name] for name in readme.SUMMARY if name in errors}
    costs = readme.costs(sections, speed)
    both = {name: (costs[name], error) for name, error in chosen.items() if name in costs}
    drawn = (
        ("accuracy_cost", figures.accuracy_against_cost, both, 4.2),
        ("ae147", figures.bars, chosen, 3.6),
    )
    paths = []
    for stem, draw, what, height in drawn:
        if not what:
            continue
        path = folder / f"{stem}.png"
        try:
            path.write_bytes(draw_as(draw, what, "light", height))
        except OSError as error:
            raise BenchmarkError(
                f"cannot write {path}: {error.strerror}", file=str(path)
            ) from error
        paths.append(path)
    return paths


def _parts(section: Section, shown: list[Figure]) -> dict[str, object]:
    return {
        "rows": tables.rows(section),
        "worst": _worst(section),
        "troubles": [
            (r["system"], r["xc"], r["status"], statistics.explain(r)) for r in section.troubles
        ],
        "missing": [
            (column.label, len(column.missing)) for column in section.columns if column.missing
        ],
        "figures": shown,
    }


def _worst(section: Section) -> list[tuple[str, list[str]]]:
    """Reactions with the largest mean absolute error over the functionals, with each error."""
    sizes: dict[str, list[float]] = {}
    for column in section.columns:
        for name, error in column.errors.items():
            sizes.setdefault(name, []).append(abs(error))
    chosen = sorted(sizes, key=lambda name: -sum(sizes[name]) / len(sizes[name]))[:WORST]
    digits = tables.digits(section)
    return [
        (
            name,
            [
                f"{column.errors[name]:+.{digits}f}" if name in column.errors else "-"
                for column in section.columns
            ],
        )
        for name in chosen
    ]


def _figures(
    section: Section, number: int, folder: Path, pair: tuple[str, ...]
) -> Iterator[Figure]:
    """Draw, save and embed the figures of a section that has something to draw."""
    drawn = _of_energies(section, pair)
    if section.set.quantity != ENERGY and any(column.errors for column in section.columns):
        drawn = [("errors", "Errors", figures.cases, figures.cases_height(section))]
    stem = section.set.name + (f"-{number}" if section.changed else "")
    for name, title, draw, inches in drawn:
        yield _figure(title, draw, section, folder / f"{stem}-{name}.png", inches)


def _of_energies(section: Section, pair: tuple[str, ...]) -> list[tuple[str, str, Draw, float]]:
    """Names, titles, figures and heights for a set of energies."""
    height = figures.rows_height(section)
    drawn: list[tuple[str, str, Draw, float]] = []
    if any(column.errors for column in section.columns):
        drawn.append(("errors", "Distribution of errors", figures.errors, height))
    if two := _pair(section, pair):
        drawn.append(("scatter", "Two functionals", figures.scatter(*two), 5.0))
    if any(column.cycles for column in section.columns):
        drawn.append(("cycles", "SCF cycles", figures.cycles, height))
    return drawn


def _scaling(speed: Sequence[Record], folder: Path) -> Iterator[Figure]:
    """Growth of time and memory with the molecule, if it was measured."""
    series = speed_tables.series(speed_tables.latest(speed))
    for quantity, unit, stem in (
        ("Fock build", "CPU seconds", "speed-time"),
        ("peak memory", "MB", "speed-memory"),
    ):
        lines = {case: points for (what, case), points in series.items() if what == quantity}
        if lines:
            title = f"{quantity} of alkanes, {unit}"
            yield _figure(title, figures.growth, lines, folder / f"{stem}.png", 3.6)


def _summary(sections: Sequence[Section], folder: Path) -> dict[str, Any]:
    """Table and picture of all sets together; empty where nothing can be compared."""
    panels = summary.panels(sections)
    if not panels:
        return {}
    shape = summary.shape(panels)
    inches = 0.7 + 2.1 * shape[0]
    path = folder / "summary.png"
    drawn = _figure("Error against cost", summary.draw, panels, path, inches, shape)
    header, rows = summary.table(panels)
    return {"header": header, "rows": rows, "figures": [drawn]}


def _figure(
    title: str,
    draw: Draw,
    what: Any,
    path: Path,
    inches: float,
    panels: tuple[int, int] = (1, 1),
) -> Figure:
    """Draw in both themes, save beside the page, and embed."""
    shown = {}
    for theme in THEMES:
        content = draw_as(draw, what, theme, inches, panels=panels)
        name = path.stem if theme == "light" else f"{path.stem}-{theme}"
        path.with_stem(name).write_bytes(content)
        shown[theme] = embedded(content)
    return Figure(title, shown["light"], shown["dark"])


def _pair(section: Section, pair: tuple[str, ...]) -> tuple[Column, Column] | None:
    """Columns of the scatter plot, with errors in common."""
    by_label = {column.label: column for column in section.columns if column.errors}
    if pair:
        chosen = [by_label[label] for label in pair if label in by_label]
    else:
        chosen = sorted(
            by_label.values(),
            key=lambda c: (-len(c.errors), sum(map(abs, c.errors.values())) / len(c.errors)),
        )[:2]
    if len(chosen) == 2 and chosen[0].errors.keys() & chosen[1].errors.keys():
        return chosen[0], chosen[1]
    return None
