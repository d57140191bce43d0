"""What has to be measured in molecules, with PySCF: the domain, and the noise of the grid."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from xcnet import domain
from xcnet.check import physics
from xcnet.check.results import NOT_APPLICABLE, NOT_REQUIRED, PASS, Result
from xcnet.check.subject import Subject
from xcnet.errors import MissingPackageError, XCNetError

#: Light and heavy main-group elements; the domain of a functional shows in the difference.
DOMAIN = ("H2O", "C6H6", "SO2", "HCl")
NOISE = ("H2O", "C6H6")
COARSE, FINE = 3, 5
BASIS = "def2-svp"
#: Hartree. r2SCAN, made for coarse grids, has 2.3e-5 in benzene.
MOST_NOISE = 5e-5


def check_domain(
    subject: Subject, stage: Callable[[str], None] = lambda text: None
) -> Iterator[Result]:
    """Share of the electrons of a few molecules outside the training domain."""
    if subject.spec is None:
        yield Result("domain", "share outside", NOT_APPLICABLE, note="no neural functional")
        return
    try:
        from xcnet.scf import calculation
        from xcnet.systems import molecules

        for name in DOMAIN:
            stage(f"domain, {name}")
            outside = calculation.outside_of_guess(subject.spec, molecules.read(name), BASIS)
            yield _share(name, outside)
    except MissingPackageError as error:
        yield Result("domain", "share outside", NOT_APPLICABLE, note=str(error))


def _share(molecule: str, outside: domain.Outside) -> Result:
    note = f"by density {outside.density:.2g}, by element {outside.nearest:.2g}"
    if outside.elements:
        note += f" ({', '.join(outside.elements)})"
    return Result(
        "domain",
        f"electrons of {molecule} outside",
        NOT_REQUIRED if outside.is_large else PASS,
        outside.share,
        domain.LARGE,
        note=note,
    )


def check_noise(
    subject: Subject, stage: Callable[[str], None] = lambda text: None
) -> Iterator[Result]:
    """Change of self-consistent energies from one grid to a finer one."""
    title = physics.NAMES["grid_noise"]
    if subject.kind == 3:
        yield Result("physics", title, NOT_APPLICABLE, note="a functional of the kinetic energy")
        return
    try:
        changes = []
        for name in NOISE:
            coarse, fine = (_energy(subject.name, name, level, stage) for level in (COARSE, FINE))
            changes.append(fine - coarse)
    except XCNetError as error:
        yield Result("physics", title, NOT_APPLICABLE, note=str(error))
        return
    note = f"self-consistent energy, grid level {COARSE} to {FINE}, {BASIS}: " + ", ".join(
        f"{name} {1e6 * change:+.1f} microhartree"
        for name, change in zip(NOISE, changes, strict=True)
    )
    value = float(np.abs(changes).max())
    yield physics.figure(subject, "grid_noise", value, MOST_NOISE, unit="Ha", note=note)


def _energy(xc: str, molecule: str, level: int, stage: Callable[[str], None]) -> float:
    """Self-consistent energy, Hartree; `stage` hears of every cycle."""
    from xcnet.scf import calculation
    from xcnet.systems import molecules

    run = f"SCF of {molecule}, grid level {level}"
    stage(run)
    return calculation.solve(
        molecules.read(molecule),
        xc,
        calculation.Settings(BASIS, level, False, 1e-9),
        lambda cycle, _: stage(f"{run}, cycle {cycle}"),
    ).energy
