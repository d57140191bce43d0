"""What is drawn: numbers of two functionals at the same densities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from xcnet import enhancement, extras, registry, variables
from xcnet.density import Array
from xcnet.errors import InputError, MissingPackageError
from xcnet.functionals import LibXCFunctional

ALPHAS = (0.0, 0.5, 1.0, 2.0, 5.0)
GRADIENTS = (0.0, 0.5, 1.0, 2.0)
MOST_S, MOST_ALPHA = 4.0, 5.0
#: Beyond the atoms, in angstrom.
MARGIN = 1.5
Stage = Callable[[str], None]
BOHR = 0.529177210903
BASIS, DENSITY_FUNCTIONAL = "def2-tzvp", "PBE"


@dataclass(frozen=True)
class Family:
    """Curves of one functional: one for each value of the parameter, over the same x."""

    label: str
    x: Array
    parameters: tuple[float, ...]
    y: Array  # (parameters, x)


@dataclass(frozen=True)
class Bond:
    """Energy densities (Hartree bohr^-3) of functionals along a line through two atoms."""

    molecule: str
    atoms: tuple[tuple[str, float], ...]  # symbol and place, angstrom
    x: Array
    energies: dict[str, Array]


def factors(functional: LibXCFunctional, label: str, rs: float) -> tuple[Family, Family]:
    """F over s for several alpha, and over alpha for several s; unpolarized."""
    s, alpha = np.linspace(0.0, MOST_S, 401), np.linspace(0.0, MOST_ALPHA, 401)
    by_s = [_factor(functional, rs, s, a) for a in _used(functional, "tau", ALPHAS)]
    by_alpha = [_factor(functional, rs, g, alpha) for g in _used(functional, "sigma", GRADIENTS)]
    return (
        Family(label, s, _used(functional, "tau", ALPHAS), np.array(by_s)),
        Family(label, alpha, _used(functional, "sigma", GRADIENTS), np.array(by_alpha)),
    )


def _used(
    functional: LibXCFunctional, variable: str, values: tuple[float, ...]
) -> tuple[float, ...]:
    """Values of the parameter; one is enough where the functional does not see it."""
    return values if variable in functional.inputs else values[:1]


def _factor(
    functional: LibXCFunctional, rs: float, s: Array | float, alpha: Array | float
) -> Array:
    points = enhancement.points(functional.inputs, rs, s, alpha, descriptors=functional.descriptors)
    energy = functional.compute(points, do_vxc=False)["zk"][:, 0]
    return np.asarray(energy / enhancement.uniform_exchange(points["rho"].sum(axis=1)))


def bond(
    name: str, functionals: dict[str, LibXCFunctional], stage: Stage = lambda text: None
) -> Bond:
    """Energy densities along the line through the first two atoms, on the same PBE density.

    `stage` hears of every cycle of its calculation.

    Raises
    ------
    MissingPackageError
        PySCF is not installed.
    InputError
        The molecule is not known or has one atom; a functional is nonlocal.
    """
    try:
        from xcnet.scf import calculation
        from xcnet.systems import molecules
    except ImportError as error:
        raise MissingPackageError(
            f"the density along a bond needs PySCF: {extras.hint('pyscf')}", package="pyscf"
        ) from error
    molecule = molecules.read(name)
    if len(molecule.symbols) < 2:
        raise InputError(f"{name} has no bond: name a molecule", given=name)
    for label, functional in functionals.items():
        if functional.descriptors:
            raise InputError(
                f"{label} is nonlocal: its energy density at a point needs the whole grid",
                functional=label,
            )
    a, b = (np.array(place) for place in molecule.positions[:2])
    length = float(np.linalg.norm(b - a))
    x = np.linspace(-MARGIN, length + MARGIN, 1201)
    line = a + x[:, None] * (b - a) / length
    run = f"{molecule.name}, {DENSITY_FUNCTIONAL}/{BASIS}"
    stage(run)
    points = calculation.density_at(
        molecule,
        DENSITY_FUNCTIONAL,
        BASIS,
        line / BOHR,
        lambda cycle: stage(f"{run}, cycle {cycle}"),
    )
    n = points["rho"].sum(axis=1)
    energies = {
        label: n * functional.compute(points, do_vxc=False)["zk"][:, 0]
        for label, functional in functionals.items()
    }
    places = ((molecule.symbols[0], 0.0), (molecule.symbols[1], length))
    return Bond(molecule.name, places, x, energies)


def open_all(names: Sequence[str]) -> dict[str, LibXCFunctional]:
    """Polarized functionals by the names, or folders, that were given."""
    return {
        name: LibXCFunctional(registry.record(name) or name, variables.POLARIZED) for name in names
    }
