"""Figures of a section."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from xcnet.bench import tables
from xcnet.bench.speed.tables import exponent
from xcnet.bench.statistics import Column, Section
from xcnet.page import COLOURS, Draw

NAMED = 4  # outliers of the scatter plot that get their names
ROWS = 40  # cases that a figure has rows for
FEWEST = 10  # values below which a violin says more than is known
INCH = 0.55  # height of a functional's row


def rows_height(section: Section) -> float:
    """Height in inches of a figure with a row per functional."""
    return 1.1 + INCH * len(section.columns)


def errors(axes: Any, section: Section) -> None:
    """Distribution of the errors: a violin, its quartiles, and each reaction as a point."""
    columns = [column for column in section.columns if column.errors]
    rng = np.random.default_rng(0)  # the spread of the points means nothing
    for place, column in enumerate(columns):
        values = np.array(list(column.errors.values()))
        colour = COLOURS[place % len(COLOURS)]
        if len(values) >= FEWEST:
            (body,) = axes.violinplot(
                [values], [place], orientation="horizontal", widths=0.8, showextrema=False
            )["bodies"]
            body.set(facecolor=colour, edgecolor=colour, alpha=0.35)
        axes.plot(
            values,
            place + rng.uniform(-0.15, 0.15, len(values)),
            ".",
            color=colour,
            ms=4,
            alpha=0.9,
        )
        low, middle, high = np.percentile(values, [25, 50, 75])
        ink = axes.xaxis.label.get_color()
        axes.plot([low, high], [place, place], color=ink, lw=3, solid_capstyle="butt")
        axes.plot([middle], [place], "o", color=ink, ms=6)
    axes.axvline(0.0, color=axes.xaxis.label.get_color(), lw=0.8)
    _rows(axes, columns)
    axes.set_xlabel(f"calculated - reference, {section.set.unit}")


def cases(axes: Any, section: Section) -> None:
    """Error of each case, a row each, by functional; those that are farthest off where many are."""
    columns = [column for column in section.columns if column.errors]
    names = cases_shown(section)
    for number, column in enumerate(columns):
        errors = np.abs(list(column.errors.values()))
        worst = max(column.errors, key=lambda name: abs(column.errors[name]))
        digits = tables.digits(section)
        label = f"{column.label}: mean {errors.mean():.{digits}f}, "
        label += f"largest {errors.max():.{digits}f} ({worst})"
        known = [(place, column.errors[name]) for place, name in enumerate(names)
                 if name in column.errors]  # fmt: skip
        shift = 0.6 * ((number + 0.5) / len(columns) - 0.5)
        axes.plot(
            [error for _, error in known],
            [place + shift for place, _ in known],
            "o" if column.label.startswith("NN-") else "s",
            **{"color": COLOURS[number % len(COLOURS)], "ms": 4.5, "mew": 0, "label": label},
        )
    axes.axvline(0.0, color=axes.xaxis.label.get_color(), lw=0.8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_ylim(len(names) - 0.4, -0.6)
    total = len({name for column in columns for name in column.errors})
    those = f"; the {len(names)} farthest off of {total}" if len(names) < total else ""
    axes.set_xlabel(f"calculated - reference, {section.set.unit}{those}")
    axes.figure.legend(loc="outside upper left", fontsize=8, framealpha=0.0)


def cases_shown(section: Section) -> list[str]:
    """Cases that have rows: all in their order, or the `ROWS` with the largest errors."""
    largest = {
        reaction.name: max(
            (abs(c.errors[reaction.name]) for c in section.columns if reaction.name in c.errors),
            default=-1.0,
        )
        for reaction in section.reactions
    }
    known = [name for name, error in largest.items() if error >= 0.0]
    return sorted(known, key=lambda name: -largest[name])[:ROWS] if len(known) > ROWS else known


def cases_height(section: Section) -> float:
    """Height in inches of the figure of all cases."""
    count = len(cases_shown(section))
    columns = sum(bool(column.errors) for column in section.columns)
    return 0.8 + 0.2 * columns + count * max(0.22, 0.05 * columns)


def cycles(axes: Any, section: Section) -> None:
    """SCF cycles to convergence, guess included, of each system."""
    columns = [column for column in section.columns if column.cycles]
    for place, column in enumerate(columns):
        values = np.array(list(column.cycles.values()))
        counts = np.bincount(values)
        used = np.flatnonzero(counts)
        sizes = 12.0 + 260.0 * counts[used] / counts.max()
        colour = COLOURS[place % len(COLOURS)]
        axes.scatter(used, np.full(len(used), place), s=sizes, color=colour, alpha=0.8, lw=0)
        axes.plot([values.mean()] * 2, [place - 0.3, place + 0.3], color=colour, lw=2)
    _rows(axes, columns)
    axes.set_xlabel("SCF cycles, guess included (area: number of systems; bar: mean)")


def _rows(axes: Any, columns: Sequence[Column]) -> None:
    axes.set_yticks(range(len(columns)), [column.label for column in columns])
    axes.set_ylim(len(columns) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")


def scatter(first: Column, second: Column) -> Draw:
    """Errors of one functional against those of another, the largest ones named."""

    def draw(axes: Any, section: Section) -> None:
        names = [name for name in first.errors if name in second.errors]
        x, y = (np.array([column.errors[name] for name in names]) for column in (first, second))
        low, high = min(0.0, x.min(), y.min()), max(0.0, x.max(), y.max())
        margin = 0.06 * max(high - low, 1e-3)
        limits = low - margin, high + margin
        ink = axes.xaxis.label.get_color()
        axes.plot(limits, limits, color=ink, lw=0.8, ls=":")
        for line in (axes.axhline, axes.axvline):
            line(0.0, color=ink, lw=0.8)
        axes.plot(x, y, "o", color=COLOURS[0], ms=5, alpha=0.75, mew=0)
        for i in np.argsort(-np.hypot(x, y))[:NAMED]:
            inwards = x[i] > sum(limits) / 2
            axes.annotate(
                names[i],
                (x[i], y[i]),
                xytext=(-6 if inwards else 6, 0),
                textcoords="offset points",
                fontsize=8,
                ha="right" if inwards else "left",
                va="center",
            )
        axes.set(xlim=limits, ylim=limits, aspect="equal")
        axes.set_xlabel(f"error of {first.label}, {section.set.unit}")
        axes.set_ylabel(f"error of {second.label}, {section.set.unit}")

    return draw


def accuracy_against_cost(axes: Any, points: Mapping[str, tuple[float, float]]) -> None:
    """Mean absolute error against relative time, by functional; ours stand out."""
    ink = axes.xaxis.label.get_color()
    for name, (cost, error) in points.items():
        neural = name.startswith("NN-")
        colour = COLOURS[1 if neural else 0]
        axes.plot(cost, error, "o" if neural else "s", color=colour, ms=9, mew=0)
        axes.annotate(
            name,
            (cost, error),
            xytext=(8, 4),
            textcoords="offset points",
            fontsize=9,
            color=ink,
            fontweight="bold" if neural else "normal",
        )
    costs = [cost for cost, _ in points.values()]
    axes.set_xlim(min(costs) - 0.1, max(costs) + 0.45)
    axes.set_ylim(0.0, 1.12 * max(error for _, error in points.values()))
    axes.set_xlabel("time of a calculation of benzene, M06-L = 1 (left: faster)")
    axes.set_ylabel("mean error of 147 atomization\nenergies, kcal/mol (below: better)")


def bars(axes: Any, values: Mapping[str, float]) -> None:
    """Mean absolute errors as bars, best first; ours stand out."""
    ordered = sorted(values.items(), key=lambda item: item[1])
    for place, (name, value) in enumerate(ordered):
        colour = COLOURS[1 if name.startswith("NN-") else 0]
        axes.barh(place, value, color=colour, height=0.65)
        axes.annotate(
            f"{value:.1f}", (value, place), xytext=(4, 0), textcoords="offset points", va="center"
        )
    axes.set_yticks(range(len(ordered)), [name for name, _ in ordered])
    axes.set_ylim(len(ordered) - 0.4, -0.6)
    axes.set_xlim(0.0, 1.1 * ordered[-1][1])
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("mean absolute error of 147 atomization energies, kcal/mol")


def growth(axes: Any, lines: Mapping[str, Sequence[tuple[int, float]]]) -> None:
    """A cost against the number of atoms, both logarithmic, with the fitted exponents."""
    for case, colour in zip(lines, COLOURS, strict=False):
        sizes, values = zip(*lines[case], strict=True)
        slope = f", N^{exponent(sizes, values):.2f}" if len(sizes) > 1 else ""
        label = f"{case.removeprefix('xcnet ')}{slope}"
        axes.plot(sizes, values, "o-", color=colour, label=label)
    axes.set(xscale="log", yscale="log", xlabel="atoms")
    ticks = sorted({size for line in lines.values() for size, _ in line})
    axes.set_xticks(ticks, list(map(str, ticks)))
    axes.set_xticks([], minor=True)
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")
    axes.tick_params(axis="y", which="minor", labelsize=7)
    axes.legend(framealpha=0.0)
