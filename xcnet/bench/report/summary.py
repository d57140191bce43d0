"""All sets at once: the error of each functional on each set against what it costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xcnet.bench import tables
from xcnet.bench.statistics import Column, Section
from xcnet.page import COLOURS

COLUMNS = 3  # of panels
ROUND, EDGED = ("o", "8", "P"), ("s", "^", "D")  # markers
ALL = "all of these"
#: Deviations from nothing: how small they are says little once they are small.
NO_ACCURACY = frozenset({"grid"})


@dataclass(frozen=True)
class Point:
    """Mean absolute error in the set's unit, and CPU seconds, over the same cases for all."""

    error: float
    seconds: float


@dataclass(frozen=True)
class Panel:
    """One set: its functionals on those of its cases that all of them have."""

    title: str
    unit: str
    digits: int
    accuracy: bool
    points: Mapping[str, Point]


def panels(sections: Sequence[Section]) -> list[Panel]:
    """A panel for each set that at least two functionals were calculated for."""
    made = (_panel(section) for section in sections)
    return [panel for panel in made if len(panel.points) > 1]


def _panel(section: Section) -> Panel:
    most = max((len(column.errors) for column in section.columns), default=0)
    columns = [
        column
        for column in section.columns
        if column.errors and 2 * len(column.errors) >= most and _is_timed(column)
    ]
    cases = set.intersection(*(set(c.errors) for c in columns)) if columns else set()
    systems = {
        system.name
        for reaction in section.reactions
        if reaction.name in cases
        for _, system in reaction.terms
    }
    points = {column.label: _point(column, cases, systems) for column in columns if cases}
    title = (
        f"{section.set.name}{' (other protocol)' if section.changed else ''}, {len(cases)} cases"
    )
    accuracy = section.set.quantity not in NO_ACCURACY
    return Panel(title, section.set.unit, tables.digits(section), accuracy, points)


def _is_timed(column: Column) -> bool:
    """Whether the CPU time of all results is known; that of old ones is not."""
    return column.seconds.keys() >= column.cycles.keys()


def _point(column: Column, cases: set[str], systems: set[str]) -> Point:
    error = sum(abs(column.errors[name]) for name in cases) / len(cases)
    return Point(error, sum(column.seconds[name] for name in systems))


def everything(of: Sequence[Panel]) -> dict[str, Point]:
    """Of functionals that all panels have: errors relative to their geometric mean, and all costs.

    Panels of no accuracy count for the cost alone.
    """
    labels = [label for label in of[0].points if all(label in panel.points for panel in of)]
    measured = [panel for panel in of if panel.accuracy]
    if len(labels) < 2 or len(measured) < 2:
        return {}
    errors = {
        label: _mean([max(panel.points[label].error, 1e-12) for panel in measured])
        for label in labels
    }
    middle = _mean(list(errors.values()))
    return {
        label: Point(errors[label] / middle, sum(panel.points[label].seconds for panel in of))
        for label in labels
    }


def _mean(values: Sequence[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values))


def table(of: Sequence[Panel]) -> tuple[list[str], list[list[str]]]:
    """Functionals down, mean absolute errors of the sets across, and CPU seconds of all."""
    labels = dict.fromkeys(label for panel in of for label in panel.points)
    header = ["functional", *(f"{panel.title}, {panel.unit}" for panel in of), "CPU seconds"]
    rows = []
    for label in labels:
        points = [panel.points.get(label) for panel in of]
        cells = [
            f"{point.error:.{panel.digits}f}" if point else ""
            for panel, point in zip(of, points, strict=True)
        ]
        rows.append([label, *cells, f"{sum(point.seconds for point in points if point):.0f}"])
    return header, rows


def shape(of: Sequence[Panel]) -> tuple[int, int]:
    """Rows and columns of the picture."""
    count = len(of) + bool(everything(of))
    columns = min(COLUMNS, count)
    return math.ceil(count / columns), columns


def draw(axes: Any, of: Sequence[Panel]) -> None:
    """Error against CPU seconds, a panel for each set and one for all."""
    places = list(axes.flat) if hasattr(axes, "flat") else [axes]
    labels = dict.fromkeys(label for panel in of for label in panel.points)
    looks = {label: _look(i, label) for i, label in enumerate(labels)}
    together = everything(of)
    shown = [(panel.title, panel.unit, panel.points) for panel in of]
    if together:
        shown.append((ALL, "relative", together))
    for place, (title, unit, points) in zip(places, shown, strict=False):
        for label, point in points.items():
            place.plot(point.seconds, point.error, **looks[label])
        place.set_title(title, fontsize=9)
        place.set_ylabel(f"error, {unit}", fontsize=8)
        place.set_xlabel("CPU seconds", fontsize=8)
        place.set_ylim(0.0, 1.1 * (max(point.error for point in points.values()) or 1.0))
        _seconds(place, [point.seconds for point in points.values()])
        place.tick_params(labelsize=7)
    for place in places[len(shown) :]:
        place.set_axis_off()
    handles, names = _legend(places, len(shown))
    places[0].figure.legend(
        handles, names, loc="outside lower center", ncols=4, fontsize=8, framealpha=0.0
    )


def _seconds(place: Any, values: Sequence[float]) -> None:
    """A logarithmic axis with few numbers on it, as they are written."""
    low, high = min(values) / 1.5, max(values) * 1.5
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [digit * 10.0**decade for decade in decades for digit in (1, 2, 5)]
    shown = [tick for tick in ticks if low <= tick <= high]
    place.set_xscale("log")
    place.set_xticks(shown, [f"{tick:g}" for tick in shown])
    place.set_xticks([], minor=True)
    place.set_xlim(low, high)


def _legend(places: Sequence[Any], count: int) -> tuple[list[Any], list[str]]:
    """Each functional once."""
    found: dict[str, Any] = {}
    for place in places[:count]:
        for handle, name in zip(*place.get_legend_handles_labels(), strict=True):
            found.setdefault(name, handle)
    return list(found.values()), list(found)


def _look(number: int, label: str) -> dict[str, Any]:
    """Round ones are neural functionals; where colours come again, the shape is another."""
    shapes = ROUND if label.startswith("NN-") else EDGED
    turn, place = divmod(number, len(COLOURS))
    marker, colour = shapes[turn % len(shapes)], COLOURS[place]
    return {"marker": marker, "color": colour, "ms": 7, "ls": "", "mew": 0, "label": label}
