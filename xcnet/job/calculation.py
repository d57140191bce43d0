"""One self-consistent calculation in PySCF: what goes in, what comes out."""

from __future__ import annotations

import difflib
import hashlib
import platform
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import numpy as np

import xcnet
from xcnet import registry
from xcnet.adapters import pyscf as adapter  # first: explains a missing PySCF
from xcnet.adapters.pyscf.facade import Libxc
from xcnet.errors import ExpressionError, InputError, UnsupportedError, XCNetError
from xcnet.job.geometry import SYMBOLS, Molecule
from xcnet.spec import RECORD

# isort: split
from pyscf import dft, gto, lib
from pyscf.data.nist import HARTREE2EV
from pyscf.lib.exceptions import BasisNotFoundError

PLAIN_GRID = 3  # PySCF's own default level, enough for libxc's functionals
GUESS_TOLERANCE = 1e-5  # Hartree
LIGHTEST_WITH_ECP = 37  # def2 bases have effective core potentials from Rb on

Progress = Callable[[int, float], None]


@dataclass(frozen=True)
class Settings:
    """What all calculations of a run share.

    ``density_fit`` may name the auxiliary basis. With ``guess_grid_level`` the functional is first
    converged loosely on that coarser grid, whose cycles are cheap, and finished on the fine one.
    """

    basis: str
    grid_level: int
    density_fit: bool | str
    tolerance: float
    guess_grid_level: int | None = None


@dataclass(frozen=True)
class Result:
    """Outcome of one calculation; energies in Hartree, gap in eV, dipole in debye."""

    molecule: str
    xc: str
    energy: float
    exc: float
    gap: float | None
    dipole: float | None
    cycles: int
    converged: bool
    solver: str
    seconds: float
    rungs: tuple[tuple[str, int, bool], ...]
    guess_cycles: int = 0


def check_functional(xc: str) -> dict[str, Any]:
    """Describe a functional for the output, after making sure that PySCF can use it.

    Returns
    -------
    dict
        ``neural``: name, id, recommended grid level and the record's SHA-256 of each neural term.

    Raises
    ------
    UnknownFunctionalError, ExpressionError, UnsupportedError
    """
    libxc = Libxc(dft.libxc)
    try:
        plan = libxc.plan(xc)
    except (ValueError, IndexError, AssertionError) as error:
        if isinstance(error, XCNetError):
            raise
        raise ExpressionError(f"PySCF cannot read the functional {xc!r}: {error}") from error
    if plan is None and any(dft.libxc.needs_laplacian(int(i)) for i, _ in libxc.parse_xc(xc)[1]):
        raise UnsupportedError(
            f"{xc} needs the Laplacian of the density, which PySCF's Kohn-Sham matrices lack",
            functional=xc,
        )
    kinds = {e.name: e.kind for e in (registry.find(int(i)) for i, _ in libxc.parse_xc(xc)[1])}
    if "kinetic" in kinds.values():
        raise UnsupportedError(
            f"{xc} is a functional of the kinetic energy, not of exchange and correlation",
            functional=xc,
        )
    specs = [entry.spec for _, entry in plan.neural if entry.spec] if plan else []
    neural = [
        {
            "name": spec.name,
            "id": spec.id,
            "grid_level": spec.grid_level,
            "record_sha256": hashlib.sha256((spec.folder / RECORD).read_bytes()).hexdigest(),
        }
        for spec in specs
    ]
    return {"xc": xc, "neural": neural}


def grid_level(functionals: Sequence[dict[str, Any]]) -> int:
    """Finest grid that any of the functionals asks for."""
    levels: list[int] = [n["grid_level"] for f in functionals for n in f["neural"]]
    return max([PLAIN_GRID, *levels])


def versions() -> dict[str, str]:
    """Versions of all that a result depends on."""
    packages = {name: metadata.version(name) for name in ("pyscf", "numpy", "onnxruntime")}
    return {
        "xcnet": xcnet.__version__,
        **packages,
        "libxc": str(dft.libxc.__version__),
        "python": platform.python_version(),
    }


def threads() -> int:
    """Threads that PySCF uses."""
    return int(lib.num_threads())


def build(molecule: Molecule, basis: str) -> Any:
    """PySCF's molecule.

    Raises
    ------
    InputError
        For a basis set that is unknown, or lacks an element.
    """
    heavy = {s for s in molecule.symbols if SYMBOLS.index(s) >= LIGHTEST_WITH_ECP}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice to install more basis sets
        try:
            return gto.M(
                atom=list(zip(molecule.symbols, molecule.positions, strict=True)),
                basis=basis,
                ecp=dict.fromkeys(heavy, basis) if basis.lower().startswith("def2") else {},
                charge=molecule.charge,
                spin=molecule.spin,
                verbose=0,
            )
        except (BasisNotFoundError, KeyError) as error:
            near = difflib.get_close_matches(_folded(basis), gto.basis.ALIAS, 4, 0.6)
            known = _folded(basis) in gto.basis.ALIAS
            hint = f" Near names: {', '.join(near)}." if near and not known else ""
            reason = f"lacks an element of {molecule.name}" if known else "is unknown to PySCF"
            raise InputError(f"basis set {basis!r} {reason}.{hint}", given=basis) from error


def _folded(basis: str) -> str:
    return basis.lower().replace("-", "").replace("_", "").replace(" ", "")


def ground_state(
    molecule: Molecule, xc: str, settings: Settings, progress: Progress
) -> tuple[Any, Any, int]:
    """PySCF's mean field as far as it converged, the outcome of `converge`, cycles of the guess.

    `progress` gets the cycle number and the energy after each cycle.
    """
    mol = build(molecule, settings.basis)
    mf = adapter.attach((dft.UKS if mol.spin else dft.RKS)(mol, xc=xc))
    if settings.density_fit:
        mf = mf.density_fit(auxbasis=None if settings.density_fit is True else settings.density_fit)
    count = 0

    def callback(state: dict[str, Any]) -> None:
        nonlocal count
        count += 1
        progress(count, float(state["e_tot"]))

    guess = None
    if settings.guess_grid_level is not None and settings.guess_grid_level < settings.grid_level:
        mf.grids.level, mf.conv_tol = settings.guess_grid_level, GUESS_TOLERANCE
        adapter.converge(mf, callback=callback)
        guess = mf.make_rdm1()
    guess_cycles = count
    mf.grids.level, mf.conv_tol = settings.grid_level, settings.tolerance
    return mf, adapter.converge(mf, guess, callback), guess_cycles


def solve(molecule: Molecule, xc: str, settings: Settings, progress: Progress) -> Result:
    """Run one calculation; `progress` as in `ground_state`."""
    start = time.perf_counter()
    mf, outcome, guess_cycles = ground_state(molecule, xc, settings, progress)
    return Result(
        molecule=molecule.name,
        xc=xc,
        energy=float(mf.e_tot),
        exc=float(mf.scf_summary["exc"]),
        gap=_gap(mf),
        dipole=_dipole(mf) if mf.mol.natm > 1 else None,
        cycles=outcome.cycles,
        converged=outcome.converged,
        solver=outcome.rung,
        seconds=time.perf_counter() - start,
        rungs=tuple((rung.name, rung.cycles, rung.converged) for rung in outcome.rungs),
        guess_cycles=guess_cycles,
    )


def _gap(mf: Any) -> float | None:
    """Lowest empty minus highest occupied level of either spin, eV."""
    energies, occupations = np.ravel(mf.mo_energy), np.ravel(mf.mo_occ)
    if occupations.all() or not occupations.any():
        return None
    lumo, homo = energies[occupations == 0].min(), energies[occupations > 0].max()
    return float((lumo - homo) * HARTREE2EV)


def _dipole(mf: Any) -> float:
    return float(np.linalg.norm(mf.dip_moment(unit="Debye", verbose=0)))
