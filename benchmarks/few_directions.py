"""What three molecules teach where a functional may change in one to three directions only.

Changes of r2SCAN's energy at its fixed densities, each times a number c that the atomization
energies of H2O, NH3 and NO determine by least squares:

    exchange   its exchange beyond the uniform gas, times (1 - zeta^2) alpha / (1 + alpha)
    LYP        LYP's correlation instead of its own
    LYP, 0     the same times 1 - zeta^2: where spins are paired
    PBE, 0     PBE's correlation instead, times (1 - zeta^2) alpha / (1 + alpha)

None of them changes one electron alone. With more than one direction, c of a size that changes the
three by their mean error counts ``ridge``. W4-17's fifteen validation molecules choose directions
and ridge. ``python -m benchmarks.few_directions`` needs the densities of ``xcnet train rows make
three`` and of AE147 (`few_molecules`), and writes ``benchmarks/results/few_directions.md``.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from benchmarks import ae147_rows
from xcnet import paths
from xcnet.bench import statistics, store, tables
from xcnet.scf import fixed_density
from xcnet.systems.units import KCAL_PER_HARTREE
from xcnet.training.linear import integrals, preparation, recipe, table
from xcnet.training.linear.expansion import FERMI
from xcnet.training.linear.preparation import Job
from xcnet.training.loss import energies, rows

Array = npt.NDArray[np.float64]
RESULT = Path(__file__).resolve().parent / "results" / "few_directions.md"
DIRECTIONS = ("exchange", "LYP", "LYP, 0", "PBE, 0")
RIDGES, LEVEL, SHOWN = (0.0, 0.3, 1.0), 3, 12
LEAST_DENSITY = 1e-10

TEXT = """\
# Three molecules and few directions

Made by `python -m benchmarks.few_directions`, which explains it: mean absolute errors in kcal/mol
at r2SCAN's fixed densities. The fifteen choose; the sixty ({sixty} here) and AE147 ({members} of
147, small ones, from r2SCAN's self-consistent energies) chose nothing.
"""


@dataclass(frozen=True)
class Changes:
    """What the directions change of some energies (N, 4), and r2SCAN's errors (N,), kcal/mol."""

    changes: Array
    errors: Array

    def mean(self, places: Sequence[int], numbers: Array) -> float:
        """Mean absolute error with these numbers of some directions."""
        return float(np.abs(self.errors + self.changes[:, places] @ numbers).mean())


def directions(state: fixed_density.FixedDensity) -> Array:
    """Energies of the directions (4,) at a density, Hartree."""
    total = np.zeros(len(DIRECTIONS))
    for all_rho, all_sigma, all_tau, all_weights in integrals.blocks(state, LEVEL):
        dense = all_rho.sum(axis=1) > LEAST_DENSITY
        rho, sigma, tau = np.maximum(all_rho[dense], 1e-14), all_sigma[dense], all_tau[dense]
        energy = partial(integrals.energy_density, rho=rho, sigma=sigma, tau=tau)
        n = rho.sum(axis=1)
        uniform = 0.3 * FERMI * (rho ** (5.0 / 3.0)).sum(axis=1)
        weizsaecker = sigma @ np.array([1.0, 2.0, 1.0]) / (8.0 * n)
        alpha = np.maximum(tau.sum(axis=1) - weizsaecker, 0.0) / uniform
        paired = 1.0 - ((rho[:, 0] - rho[:, 1]) / n) ** 2
        own = energy("MGGA_C_R2SCAN")
        lyp = energy("GGA_C_LYP") - own
        exchange = energy("MGGA_X_R2SCAN") - energy("LDA_X")
        chemical = paired * alpha / (1.0 + alpha)
        pbe = (energy("GGA_C_PBE") - own) * chemical
        total += np.array([exchange * chemical, lyp, lyp * paired, pbe]) @ all_weights[dense]
    return total


def numbers(three: Changes, places: Sequence[int], ridge: float) -> Array:
    """Numbers of some directions by the three."""
    size = np.abs(three.changes[:, places]).mean(axis=0) / np.abs(three.errors).mean()
    matrix = three.changes[:, places] / size
    held = ridge * np.eye(len(places))
    target = np.concatenate([-three.errors, np.zeros(len(places))])
    return np.asarray(np.linalg.lstsq(np.vstack([matrix, held]), target, rcond=None)[0] / size)


def alternatives() -> Iterator[tuple[tuple[int, ...], float]]:
    """Directions and ridge."""
    for count in (1, 2, 3):
        for places in itertools.combinations(range(len(DIRECTIONS)), count):
            yield from ((places, ridge) for ridge in (RIDGES if count > 1 else RIDGES[:1]))


class Known:
    """Changes of densities, each computed once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kept: dict[str, Array] = {}

    def has(self, job: Job) -> bool:
        """Whether there is a density."""
        return preparation.state_path(job, self.folder).exists()

    def of(self, terms: Iterable[tuple[float, Job]]) -> Array:
        """Change (4,) of a sum of energies, Hartree."""
        total = np.zeros(len(DIRECTIONS))
        for factor, job in terms:
            if job.name not in self.kept:
                path = preparation.state_path(job, self.folder)
                self.kept[job.name] = directions(fixed_density.read(path))
            total += factor * self.kept[job.name]
        return total


def of_set(chosen: recipe.Chosen, known: Known, only: Sequence[str] = ()) -> Changes:
    """Atomization energies of a set of the recipe."""
    ready = [
        row
        for row in energies.rows(chosen, "energies")
        if all(known.has(job) for _, job, _ in row.terms) and (not only or row.name in only)
    ]
    jobs = [job for row in ready for _, job, _ in row.terms]
    kept = table.collect(jobs, known.folder, None)
    ready = [row for row in ready if row.ready(kept)]
    changes = [
        row.per_hartree * known.of((factor, job) for factor, job, _ in row.terms)
        for row in tqdm(ready, desc=chosen.set)
    ]
    return Changes(np.array(changes), np.array([rows.errors(row, kept, "r2SCAN") for row in ready]))


def of_ae147(known: Known) -> tuple[Changes, Changes]:
    """Members that are there, against accurate theory and against experiment."""
    (section,) = statistics.sections(store.read(ae147_rows.RECORDS))
    accurate, experiment = (
        next(column for column in columns if column.label == ae147_rows.BASE)
        for columns in (section.accurate, section.columns)
    )
    wanted, names, changes = set(section.subsets[ae147_rows.SUBSET]), [], []
    for reaction in tqdm(section.reactions, desc="ae147"):
        terms = [(n, Job(system, preparation.COMPACT, (LEVEL,))) for n, system in reaction.terms]
        if reaction.name in wanted and all(known.has(job) for _, job in terms):
            names.append(reaction.name)
            changes.append(KCAL_PER_HARTREE * known.of(terms))
    matrix = np.array(changes)
    of_accurate, of_experiment = (
        Changes(matrix, np.array([column.errors[name] for name in names]))
        for column in (accurate, experiment)
    )
    return of_accurate, of_experiment


def page(three: Changes, fifteen: Changes, sixty: Changes, ae147: tuple[Changes, Changes]) -> str:
    """The best alternatives by the fifteen, and r2SCAN."""
    header = [
        *("directions", "ridge", "numbers", "the fifteen", "the three", "the sixty"),
        *("AE147, accurate", "AE147, experiment"),
    ]
    shown = (fifteen, three, sixty, *ae147)
    made = []
    for places, ridge in alternatives():
        found = numbers(three, places, ridge)
        means = [of.mean(places, found) for of in shown]
        names = " + ".join(DIRECTIONS[i] for i in places)
        cells = [names, f"{ridge:g}", ", ".join(f"{x:.2f}" for x in found)]
        made.append((means[0], [*cells, *(f"{mean:.2f}" for mean in means)]))
    body = [cells for _, cells in sorted(made)[:SHOWN]]
    none = [of.mean([], np.zeros(0)) for of in shown]
    body.append(["r2SCAN", "", "", *(f"{mean:.2f}" for mean in none)])
    text = TEXT.format(sixty=len(sixty.errors), members=len(ae147[0].errors))
    return f"{text}\n{tables.markdown(header, body, 3)}\n"


def main() -> None:
    """Write the page."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    chosen, known = recipe.load("three"), Known(paths.training_folder())
    by_name = {of.set: of for of in chosen.energies}
    three = of_set(by_name["three-molecules"], known, ("H2O", "NH3", "NO"))
    fifteen = of_set(chosen.validation[0], known)
    sixty = of_set(next(of for of in chosen.known if of.set == "w4-17"), known)
    RESULT.write_text(page(three, fifteen, sixty, of_ae147(known)), encoding="utf-8")


if __name__ == "__main__":
    main()
