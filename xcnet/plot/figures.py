"""How it is drawn: solid lines for the functional, dashed ones for what stands beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from xcnet.page import COLOURS
from xcnet.plot.curves import Bond, Family

STYLES = ("-", "--")


def factors(axes: Sequence[Any], pair: Sequence[tuple[Family, Family]]) -> None:
    """Enhancement factors: over s on the left, over alpha on the right."""
    for place, (x, parameter) in enumerate((("s", r"\alpha"), (r"\alpha", "s"))):
        panel = axes[place]
        for family, style in zip((both[place] for both in pair), STYLES, strict=False):
            for curve, value, colour in zip(family.y, family.parameters, COLOURS, strict=False):
                alone = len(family.parameters) == 1
                label = f"any ${parameter}$" if alone else f"${parameter} = {value:g}$"
                panel.plot(
                    family.x,
                    curve,
                    style,
                    color=colour,
                    lw=1.6,
                    label=label if style == STYLES[0] else None,
                )
        panel.set(xlabel=f"${x}$", xlim=(family.x[0], family.x[-1]))
        panel.legend(framealpha=0.0, fontsize=8, ncols=2 if len(family.parameters) > 3 else 1)
    axes[0].set_ylabel("$F_{xc} = e_{xc} / e_x^{\\mathrm{uniform}}$")
    names = [both[0].label for both in pair]
    title = f"{names[0]} solid" + (f", {names[1]} dashed" if len(names) > 1 else "")
    axes[0].set_title(title, loc="left", fontsize=10)
    low, high = zip(*(panel.get_ylim() for panel in axes), strict=True)
    for panel in axes:
        panel.set_ylim(min(low), max(high))


def bond(axes: Sequence[Any], what: Bond) -> None:
    """Energy density along a bond, and what the second functional adds to the first."""
    left, right = axes
    for (name, energy), style, colour in zip(what.energies.items(), STYLES, COLOURS, strict=False):
        left.plot(what.x, -energy, style, color=colour, lw=1.6, label=name)
    left.set(yscale="log", ylabel="$-n\\,e_{xc}$, Hartree bohr$^{-3}$")
    left.legend(framealpha=0.0, fontsize=8)
    left.set_title(f"{what.molecule}, along the bond", loc="left", fontsize=10)
    values = list(what.energies.values())
    names = list(what.energies)
    if len(values) > 1:
        n = np.abs(values[1])
        right.plot(what.x, 100.0 * (values[0] - values[1]) / n, color=COLOURS[2], lw=1.6)
        right.set_ylabel(f"{names[0]} less {names[1]}, % of it")
        right.axhline(0.0, color=right.xaxis.label.get_color(), lw=0.8)
    else:
        right.axis("off")
    for panel in axes:
        panel.set(xlabel="angstrom", xlim=(what.x[0], what.x[-1]))
        for symbol, place in what.atoms:
            panel.axvline(place, color=panel.xaxis.label.get_color(), lw=0.8, ls=":")
            panel.annotate(
                symbol, (place, 1.0), xycoords=("data", "axes fraction"), ha="left", va="top",
                xytext=(3, -2), textcoords="offset points", fontsize=9,
            )  # fmt: skip


def both(axes: Any, what: tuple[Sequence[tuple[Family, Family]], Bond | None]) -> None:
    """Factors, and below them the bond if there is one."""
    pair, along = what
    rows = np.atleast_2d(axes)
    factors(rows[0], pair)
    if along is not None:
        bond(rows[1], along)
