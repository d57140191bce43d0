"""One self-consistent calculation in PySCF: what goes in, what comes out."""

from __future__ import annotations

import hashlib
import itertools
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from typing import Any

import numpy as np

import xcnet
from xcnet import dispersion, domain, registry
from xcnet.adapters import pyscf as adapter  # first: explains a missing PySCF
from xcnet.adapters.pyscf.facade import StandIn
from xcnet.errors import ExpressionError, MissingPackageError, UnsupportedError, XCNetError
from xcnet.scf.molecule import build
from xcnet.spec import RECORD, FunctionalSpec
from xcnet.systems import molecules
from xcnet.systems.molecules import Molecule

# isort: split
from pyscf import dft, lib
from pyscf.data.nist import BOHR, HARTREE2EV

PLAIN_GRID = 3  # PySCF's own default level, enough for libxc's functionals
GUESS_TOLERANCE = 1e-5  # Hartree
#: PySCF's grid of VV10, whose pairs of points make its cost: level 3 gives water's energy with
#: wB97M-V to 2e-7 Hartree the same, at nine times the time.
VV10_GRID = 1
ANGSTROM_PER_BOHR = float(BOHR)  # as PySCF converts positions

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
class Outcome:
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
        ``neural``: name, id, recommended grid level and the SHA-256 of the values and of the
        record of each neural term.

    Raises
    ------
    UnknownFunctionalError, ExpressionError, UnsupportedError
    MissingPackageError
        For a suffix such as ``-D4`` without PySCF's package of dispersion corrections.
    """
    libxc = StandIn(dft.libxc)
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
    _check_dispersion(xc)
    specs = [entry.spec for _, entry in plan.neural if entry.spec] if plan else []
    neural = [
        {
            "name": spec.name,
            "id": spec.id,
            "grid_level": spec.grid_level,
            "values_sha256": spec.values_sha256,
            "record_sha256": hashlib.sha256((spec.folder / RECORD).read_bytes()).hexdigest(),
        }
        for spec in specs
    ]
    return {"xc": xc, "neural": neural}


def _check_dispersion(xc: str) -> None:
    """Make sure of the parameters of a suffix, for which PySCF itself asks after the SCF."""
    name, method = dispersion.split(xc)
    if not method:
        return
    if find_spec("pyscf.dispersion") is None:
        raise MissingPackageError(
            f"{xc} needs pyscf-dispersion: pip install pyscf-dispersion", package="pyscf-dispersion"
        )
    helium = adapter.attach(dft.RKS(build(molecules.atom("He"), "sto-3g"), xc=xc))
    try:
        helium.get_dispersion()
    except RuntimeError as error:
        raise UnsupportedError(
            f"no {method} dispersion correction of {name}: {error}. Grimme's lists have names "
            "without dashes, such as M06L-D4",
            functional=xc,
            expected=method,
        ) from error


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


def solve(
    molecule: Molecule,
    xc: str,
    settings: Settings,
    progress: Progress,
    inspect: Callable[[Any], None] = lambda mf: None,
    guess: Any = None,
) -> Outcome:
    """Run one calculation.

    `progress` gets the cycle number and the energy after each cycle, `inspect` the finished mean
    field. With the density matrices of a `guess` nothing is converged on a coarser grid before.
    """
    start = time.perf_counter()
    mf = mean_field(molecule, xc, settings)
    mol, count = mf.mol, 0

    def callback(state: dict[str, Any]) -> None:
        nonlocal count
        count += 1
        progress(count, float(state["e_tot"]))

    coarse = settings.guess_grid_level
    if guess is None and coarse is not None and coarse < settings.grid_level:
        mf.grids.level, mf.conv_tol = coarse, GUESS_TOLERANCE
        adapter.converge(mf, callback=callback, ladder=False)
        guess = mf.make_rdm1()
    guess_cycles = count
    mf.grids.level, mf.conv_tol = settings.grid_level, settings.tolerance
    outcome = adapter.converge(mf, guess, callback)
    inspect(mf)
    return Outcome(
        molecule=molecule.name,
        xc=xc,
        energy=float(mf.e_tot),
        exc=float(mf.scf_summary["exc"]),
        gap=_gap(mf),
        dipole=_dipole(mf) if mol.natm > 1 else None,
        cycles=outcome.cycles,
        converged=outcome.converged,
        solver=outcome.rung,
        seconds=time.perf_counter() - start,
        rungs=tuple((rung.name, rung.cycles, rung.converged) for rung in outcome.rungs),
        guess_cycles=guess_cycles,
    )


def mean_field(molecule: Molecule, xc: str, settings: Settings) -> Any:
    """PySCF's Kohn-Sham object of a molecule, its grid still PySCF's own."""
    mol = build(molecule, settings.basis)
    mf = adapter.attach((dft.UKS if mol.spin else dft.RKS)(mol, xc=xc))
    mf.nlcgrids.level = VV10_GRID
    if settings.density_fit:
        mf = mf.density_fit(auxbasis=None if settings.density_fit is True else settings.density_fit)
    if molecule.field is not None:
        field = np.array(molecule.field)
        core = mf.get_hcore() + np.tensordot(field, mol.intor("int1e_r"), 1)
        nuclei = mf.energy_nuc() - float(mol.atom_charges() @ mol.atom_coords() @ field)
        mf.get_hcore, mf.energy_nuc = lambda *_: core, lambda *_: nuclei
    return mf


def density_at(
    molecule: Molecule, xc: str, basis: str, coords: Any, progress: Callable[[int], None]
) -> dict[str, Any]:
    """Spin-resolved variables ``(N, k)`` of a self-consistent density at points (bohr).

    `progress` gets the number of each cycle.
    """
    mol = build(molecule, basis)
    mf = adapter.attach(dft.UKS(mol, xc=xc))
    cycles = itertools.count(1)
    adapter.converge(mf, callback=lambda state: progress(next(cycles)))
    ao = mf._numint.eval_ao(mol, coords, deriv=2)
    up, down = (
        mf._numint.eval_rho(mol, ao, dm, xctype="MGGA", with_lapl=True) for dm in mf.make_rdm1()
    )
    dot = [(a[1:4] * b[1:4]).sum(axis=0) for a, b in ((up, up), (up, down), (down, down))]
    return {
        "rho": np.stack([up[0], down[0]], axis=1),
        "sigma": np.stack(dot, axis=1),
        "lapl": np.stack([up[4], down[4]], axis=1),
        "tau": np.stack([up[5], down[5]], axis=1),
    }


def outside(mf: Any, molecule: Molecule) -> list[tuple[FunctionalSpec, domain.Outside]]:
    """How much of a calculation's density each of its neural functionals was not trained on."""
    plan = StandIn(dft.libxc).plan(mf.xc)
    specs = [entry.spec for _, entry in plan.neural if entry.spec] if plan else []
    return [(spec, _outside(spec, mf, mf.make_rdm1(), molecule)) for spec in specs]


def outside_of_guess(spec: FunctionalSpec, molecule: Molecule, basis: str) -> domain.Outside:
    """The same for the superposition of atoms that a calculation starts from."""
    mf = dft.UKS(build(molecule, basis))
    mf.grids.level = 1
    return _outside(spec, mf, mf.get_init_guess(key="minao"), molecule)


def _outside(spec: FunctionalSpec, mf: Any, dm: Any, molecule: Molecule) -> domain.Outside:
    mol, grids = mf.mol, mf.grids
    if grids.coords is None:
        grids.build()
    total = dm if np.ndim(dm) == 2 else dm[0] + dm[1]
    n = mf._numint.get_rho(mol, total, grids)
    return domain.outside(spec, n, grids.weights, grids.coords, molecule.symbols, mol.atom_coords())


def _gap(mf: Any) -> float | None:
    """Lowest empty minus highest occupied level of either spin, eV."""
    energies, occupations = np.ravel(mf.mo_energy), np.ravel(mf.mo_occ)
    if occupations.all() or not occupations.any():
        return None
    lumo, homo = energies[occupations == 0].min(), energies[occupations > 0].max()
    return float((lumo - homo) * HARTREE2EV)


def _dipole(mf: Any) -> float:
    return float(np.linalg.norm(mf.dip_moment(unit="Debye", verbose=0)))
