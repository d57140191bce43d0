"""Page and picture of `benchmarks.few_molecules`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xcnet.bench.tables import markdown

if TYPE_CHECKING:
    from benchmarks.few_molecules import Draw, Judged, Study

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "benchmarks" / "results" / "few_molecules.md"
PICTURE = ROOT / "docs" / "static" / "few_molecules.png"
BESIDE = ("r2SCAN", "M06-L")
LINES = ("r2SCAN", "M06-L", "B3LYP", "NN-metaGGA-Nagai2020", "NN-NRA-Nagai2020")
SHIPPED = {"NN-metaGGA-3mol": "D", "NN-NRA-3mol": "s"}  # of few directions; marks
WHOLE = ("all of AE147, accurate", "all of AE147, experiment")
TOP = 6.5  # kcal/mol, of all three pictures
HEADS = ("the fifteen", "the three", "the sixty", "AE147, accurate", "AE147, experiment")


def write(
    study: Study, judged: Sequence[Judged], triples: Sequence[Draw], curve: dict[int, list[Draw]]
) -> None:
    """Write both."""
    from benchmarks.few_molecules import correlations

    ranks = ", ".join(f"{name} {value:+.2f}" for name, value in correlations(judged).items())
    RESULT.write_text(
        TEXT.format(
            fifteen=len(study.problem.validation.rows),
            sixty=len(study.sixty),
            members=len(study.ae147.members),
            total=study.ae147.total,
            number=len(judged),
            ranks=ranks,
            chosen=_chosen(judged),
            beside=_beside(study),
            alternatives=_alternatives(judged),
            triples=_triples(triples),
            curve=_curve(curve),
        ),
        encoding="utf-8",
    )
    picture(study, judged, curve)


def _numbers(*values: float) -> list[str]:
    return ["" if np.isnan(value) else f"{value:.2f}" for value in values]


def _judged(item: Judged) -> list[str]:
    return [
        *item.alternative.name(),
        *_numbers(item.left_out, item.evidence, item.validation, item.three, item.sixty),
        *_numbers(*item.ae147),
    ]


JUDGED = ("may change", "curvature", "directions", "leave-one-out", "evidence", *HEADS)


def _chosen(judged: Sequence[Judged]) -> str:
    from benchmarks.few_molecules import CRITERIA

    lines = [[name, *_judged(min(judged, key=of))] for name, of in CRITERIA.items()]
    return markdown(("chosen by", *JUDGED), lines, left=2)


def _alternatives(judged: Sequence[Judged]) -> str:
    """Of each kind the one that the fifteen like best."""
    best: dict[Any, Judged] = {}
    for item in sorted(judged, key=lambda item: item.validation):
        best.setdefault((item.alternative.factors, item.alternative.directions), item)
    return markdown(JUDGED, [_judged(item) for item in best.values()])


def _beside(study: Study) -> str:
    lines = []
    for name in (*LINES, *SHIPPED):
        cells = ["", "", ""]
        if name in BESIDE:
            places = (None, study.three, study.sixty)
            cells = _numbers(*(study.beside(name, of) for of in places))
        self_consistent = (*study.ae147.measured(name), *study.ae147.whole[name])
        lines.append([name, *cells, *_numbers(*self_consistent)])
    prior = study.problem.prior
    means = (study.errors(prior, places).mean() for places in (study.three, study.sixty))
    numbers = _numbers(study.validation(prior), *means, *study.ae147.means(prior))
    lines.append(["r2SCAN as the expansion has it", *numbers, "", ""])
    return markdown(("functional", *HEADS, *WHOLE), lines)


def _triples(triples: Sequence[Draw]) -> str:
    lines = [
        [
            ", ".join(item.molecules),
            " ".join(item.alternative.name()[:2]),
            *_numbers(item.validation, item.left, *item.ae147),
        ]
        for item in triples
    ]
    heads = ("trained", "chosen", HEADS[0], "the others of the sixty", *HEADS[3:])
    return markdown(heads, lines, left=2)


def _curve(curve: dict[int, list[Draw]]) -> str:
    lines = []
    for size, draws in curve.items():
        columns = zip(*((d.validation, d.left, *d.ae147) for d in draws), strict=True)
        lines.append([str(size), str(len(draws)), *map(_band, columns)])
    heads = ("molecules", "choices", HEADS[0], "the others of the sixty", *HEADS[3:])
    return markdown(heads, lines)


def _band(values: Sequence[float]) -> str:
    low, middle, high = np.quantile(values, (0.1, 0.5, 0.9))
    if np.isnan(middle):
        return ""
    return f"{middle:.2f}" if len(values) == 1 else f"{middle:.2f} ({low:.2f} to {high:.2f})"


def picture(study: Study, judged: Sequence[Judged], curve: dict[int, list[Draw]]) -> None:
    """Errors against the number of molecules, with bands; of the whole AE147 what was measured."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12.6, 4.2), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    chosen = min(judged, key=lambda item: item.validation)
    many = {size: draws for size, draws in curve.items() if len(draws) > 1}
    _bands(left, many, lambda item: item.left)
    left.plot(3, chosen.sixty, "k*", markersize=11, label="H2O, NH3, NO")
    _bands(middle, curve, lambda item: item.ae147[0])
    middle.plot(3, chosen.ae147[0], "k*", markersize=11)
    for name, mark in SHIPPED.items():
        middle.plot(3, study.ae147.measured(name)[0], f"r{mark}", fillstyle="none")
        right.plot(3, study.ae147.whole[name][0], f"r{mark}", fillstyle="none", label=name)
    for number, name in enumerate(LINES):
        style = {"color": f"C{number + 1}", "linestyle": "--", "linewidth": 1.2}
        middle.axhline(study.ae147.measured(name)[0], **style)
        right.axhline(study.ae147.whole[name][0], label=name, **style)
        if name in BESIDE:
            left.axhline(study.beside(name, study.sixty), **style)
    members, total = len(study.ae147.members), study.ae147.total
    titles = {
        left: f"W4-17, not trained on (of {len(study.sixty)}), r2SCAN's densities",
        middle: f"only {members} of AE147's {total}, r2SCAN's densities",
        right: f"all {total} of AE147, self-consistent",
    }
    for axes, title in titles.items():
        sizes = many if axes is left else curve
        axes.set_title(title, fontsize=10)
        axes.set_xscale("log")
        axes.set_xticks(list(sizes), [str(size) for size in sizes])
        axes.set_xlim(2.6, 1.15 * max(sizes))
        axes.minorticks_off()
        axes.set_xlabel("molecules trained on")
        axes.set_ylabel("mean absolute error, kcal/mol")
        axes.set_ylim(0.0, TOP)
        if axes is not middle:
            axes.legend(fontsize=7.5, loc="lower left")
    PICTURE.parent.mkdir(exist_ok=True)
    figure.savefig(PICTURE, dpi=110)


def _bands(axes: Any, curve: dict[int, list[Draw]], value: Any) -> None:
    sizes = list(curve)
    quantiles = [np.quantile([value(i) for i in curve[s]], (0.1, 0.5, 0.9)) for s in sizes]
    low, middle, high = np.transpose(quantiles)
    axes.fill_between(sizes, low, high, color="C0", alpha=0.2, label="80 % of random choices")
    axes.plot(sizes, middle, "o-", color="C0", label="median")


TEXT = """# What few molecules teach a functional

Made by `python -m benchmarks.few_molecules`, which explains it: the linear expansion of
`benchmarks/few_molecules.rows.toml` at r2SCAN's fixed densities, mean absolute errors in kcal/mol.
"The fifteen" are W4-17's validation molecules ({fifteen} with densities here): they choose. "The
sixty" are its others ({sixty} here), not trained on where H2O, NH3 and NO are. AE147 chose nothing;
of its {total} molecules the {members} that have densities here, small ones, are estimated from
r2SCAN's self-consistent energies (`benchmarks/ae147_rows.py`). What counts is all of AE147,
self-consistent: the last two columns of the first table, and the right part of the picture.

## Functionals beside

W4-17 and the three at r2SCAN's densities, AE147 self-consistent: the {members} alone, and all.

{beside}

## Three molecules: what chooses well?

{number} alternatives, trained on H2O, NH3 and NO with their atoms and ions. Rank correlation of
each criterion with the error of the sixty: {ranks} (evidence is turned around).

{chosen}

Of each kind the curvature that the fifteen like best:

{alternatives}

## Other triples

Random triples of the sixty with at most six atoms, at least one of them with carbon, and with the
atoms H, He, N and O as always; for each the fifteen chose among all alternatives.

{triples}

## Learning curve

Random choices among the sixty, with the atoms of the recipe as always; medians, and what 80 % of
the choices lie between. The picture of it is `docs/static/few_molecules.png`.

{curve}
"""
