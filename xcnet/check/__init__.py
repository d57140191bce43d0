"""Conformance: what a functional promises, measured.

One flow: a `Subject` is measured by each section (`integrity`, `laws`, `robustness`, `physics`,
and with PySCF `molecules`), every measurement is a `Result`, and all results are a `Report`, which
`results` and `page` show.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import xcnet
from xcnet.check import integrity, laws, molecules, physics, robustness
from xcnet.check.integrity import TOLERANCE, self_test
from xcnet.check.results import FAIL, Result
from xcnet.check.subject import Subject
from xcnet.errors import EngineError, ModelError
from xcnet.functionals import LibXCFunctional
from xcnet.spec import FunctionalSpec

#: Failures that an error tells.
SHOWN = 3

__all__ = ["TOLERANCE", "Report", "Result", "Subject", "require", "run", "self_test"]


@dataclass(frozen=True)
class Report:
    """Everything that was measured of one functional."""

    name: str
    version: str
    results: tuple[Result, ...]
    functional: LibXCFunctional

    @property
    def failures(self) -> tuple[Result, ...]:
        """What did not pass."""
        return tuple(result for result in self.results if result.verdict == FAIL)


def run(
    what: FunctionalSpec | str,
    points: int = robustness.QUICK,
    *,
    in_molecules: bool = False,
    scf: bool = False,
    progress: Callable[[int], None] = lambda done: None,
    stage: Callable[[str], None] = lambda text: None,
) -> Report:
    """Check a functional.

    Parameters
    ----------
    what : FunctionalSpec or str
        A folder's record, a folder, a name or an expression.
    points : int
        Densities of the robustness section.
    in_molecules, scf : bool
        Measure the domain, and the noise of self-consistent energies, with PySCF.
    progress
        Called with the number of densities done since the last call.
    stage
        Called with what begins now: a section, a molecule, a cycle of an SCF.

    Raises
    ------
    UnknownFunctionalError, ModelError
        There is no such functional; its folder cannot be read at all.
    """
    subject = Subject(what)
    results: list[Result] = []
    if subject.spec is not None:
        results += integrity.check(subject.spec)
    if not any(result.verdict == FAIL for result in results):  # else nothing may be evaluated
        stage("laws")
        results += _until_an_error("laws", laws.check(subject))
        stage("robustness")
        results += robustness.check(subject, points, progress)
        stage("physics")
        results += physics.check(subject)
        if scf:
            results += molecules.check_noise(subject, stage)
        if in_molecules:
            results += molecules.check_domain(subject, stage)
    return Report(subject.name, xcnet.__version__, tuple(results), subject.polarized)


def _until_an_error(section: str, measures: Iterator[Result]) -> Iterator[Result]:
    """Measures of a section; the first that cannot be evaluated fails, and is the last."""
    try:
        yield from measures
    except EngineError as error:
        yield Result(section, "can be evaluated", FAIL, note=str(error))


def require(spec: FunctionalSpec) -> None:
    """Raise ModelError, with the first measures that failed, if a folder does not pass."""
    failures = run(spec).failures
    if not failures:
        return
    lines = [_failure(result) for result in failures[:SHOWN]]
    more = f"; and {len(failures) - SHOWN} more" if len(failures) > SHOWN else ""
    raise ModelError(
        f"{spec.name} in {spec.folder} fails {len(failures)} of xcnet's checks: "
        f"{'; '.join(lines)}{more}",
        functional=spec.name,
        file=str(spec.folder),
        failures=tuple(f.name for f in failures),
    )


def _failure(result: Result) -> str:
    measured = "" if result.value is None else f" {result.value:.3g}, at most {result.limit:.3g}"
    note = f" ({result.note})" if result.note else ""
    return f"{result.name}:{measured}{note}"
