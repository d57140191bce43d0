"""Help for self-consistency: a ladder of solvers that says which rung was needed.

What makes open-shell systems hard is mostly not the functional but degeneracy. In an atom such as
O (3P) or F (2P) any direction of the p hole is as good as any other, so the energy is flat along
rotations, except for the micro-Hartrees by which the quadrature grid prefers its own axes. From
PySCF's spherical guess the hole starts in an arbitrary direction and DIIS follows this noise for
20 to 50 cycles, or for ever. Starting with the hole along an axis, where the grid's symmetry
holds it, the same atoms converge in 5 to 9. The ladder therefore begins with such a guess
wherever the frontier orbitals of the guess are degenerate (also linear molecules: OH, NO).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xcnet.adapters.pyscf.descent import Determinant, Surface, descend
from xcnet.errors import UnsupportedError

Callback = Callable[[dict[str, Any]], None]

DEGENERATE = 1e-3  # Hartree: gap of the guess below which its occupation is arbitrary
FIELD = 0.05  # Hartree bohr^-2: quadrupole field that chooses among degenerate orbitals, once
LEVEL_SHIFT = 0.25  # Hartree
SHIFT_CYCLES = 50
NEWTON_CYCLES = 50
SAME = 1e-4  # Hartree: more than the grid's noise, with which a state changes as it turns
PATIENCE = 15  # cycles without a new smallest gradient after which a rung is given up


@dataclass(frozen=True)
class Rung:
    """One attempt: its name (``DIIS``, ``level shift``, ...), cycles and outcome."""

    name: str
    cycles: int
    converged: bool


@dataclass(frozen=True)
class Convergence:
    """Outcome of `converge`: every rung that was tried, the last one being that of the result."""

    rungs: tuple[Rung, ...]
    aligned: bool
    note: str = ""

    @property
    def converged(self) -> bool:
        """Whether the last rung reached self-consistency."""
        return self.rungs[-1].converged

    @property
    def rung(self) -> str:
        """Name of the last rung."""
        return self.rungs[-1].name

    @property
    def cycles(self) -> int:
        """Cycles of all rungs together."""
        return sum(rung.cycles for rung in self.rungs)


def converge(
    mf: Any, dm0: Any = None, callback: Callback | None = None, ladder: bool = True
) -> Convergence:
    """Bring a Kohn-Sham object to self-consistency, with more help only where needed.

    1. ``DIIS``: the object's own settings, from a guess whose degenerate frontier orbitals are
       aligned with the grid (unless `dm0` is given).
    2. ``level shift``: virtual orbitals raised by 0.25 Hartree, against occupations that swap.
    3. ``second order``: PySCF's ``newton()`` from the iterate with the smallest gradient. It keeps
       the occupation fixed, so it also finds solutions that break the Aufbau order. It needs the
       functional's second derivatives and is left out when they are missing.
    4. ``descent``: the least energy along rotations of the orbitals, from the iterate with the
       smallest energy. It helps where a potential changes steeply with the density, and where the
       second or third rung has ended above an energy that was passed before: in no minimum.

    Parameters
    ----------
    mf
        RKS, UKS or ROKS object, with or without density fitting. It holds the result afterwards
        (``e_tot``, ``mo_coeff``, ``converged`` ...); its settings are left as they were.
    dm0 : ndarray, optional
        Density matrix to start from.
    callback : callable, optional
        Called with PySCF's local variables after each cycle of each rung.
    ladder : bool
        False: the first rung only, enough where the result is itself a guess.

    Returns
    -------
    Convergence
        Look at its ``converged`` and ``rung``; failure is not an exception.
    """
    aligned = False
    if dm0 is None:
        dm0, aligned = _aligned_guess(mf)
    watch = _Watch(callback)
    rungs = [_diis("DIIS", mf, dm0, watch)]
    if ladder and not mf.converged:
        best = mf.make_rdm1(*watch.orbitals) if watch.orbitals else dm0
        with _settings(mf, level_shift=LEVEL_SHIFT, max_cycle=SHIFT_CYCLES):
            rungs.append(_confirmed(mf, _diis("level shift", mf, best, watch)))
    note = ""
    if ladder and not mf.converged:
        try:
            mf._numint.libxc.test_deriv_order(mf.xc, 2, raise_error=True)
            rungs.append(_second_order(mf, watch))
        except (UnsupportedError, NotImplementedError) as error:
            note = f"no second-order solver: {error}"
    above = len(rungs) > 1 and watch.was_lower(mf)
    if ladder and (not mf.converged or above) and _can_descend(mf, watch):
        rungs.append(_descent(mf, watch))
    return Convergence(tuple(rungs), aligned, note)


class _Stalled(Exception):
    """Raised out of PySCF's loop, with its variables, when a rung makes no progress."""

    def __init__(self, state: dict[str, Any]) -> None:
        super().__init__("no progress")
        self.state = state


class _Watch:
    """Counts cycles, remembers the smallest gradient and energy, notices a stall."""

    def __init__(self, callback: Callback | None) -> None:
        self._callback = callback
        self._gradient = self._energy = np.inf
        self._best_cycle = 0
        self.cycles = 0
        self.orbitals: tuple[Any, Any] | None = None
        self.lowest: tuple[Any, Any] | None = None

    def __call__(self, state: dict[str, Any]) -> None:
        self.cycles += 1
        if state["norm_gorb"] < self._gradient:
            self._gradient, self._best_cycle = state["norm_gorb"], self.cycles
            self.orbitals = state["mo_coeff"], state["mo_occ"]
        if state["e_tot"] < self._energy:
            self._energy, self.lowest = state["e_tot"], (state["mo_coeff"], state["mo_occ"])
        if self._callback is not None:
            self._callback(state)
        if self.cycles - self._best_cycle >= PATIENCE and not state["scf_conv"]:
            raise _Stalled(state)

    def was_lower(self, mf: Any) -> bool:
        """Whether the energy of an iterate was lower than that of a result."""
        return bool(self._energy < mf.e_tot - SAME)

    def start(self) -> int:
        """Begin a rung; returns the cycles so far."""
        self._best_cycle = self.cycles
        return self.cycles


def _diis(name: str, mf: Any, dm0: Any, watch: _Watch) -> Rung:
    before = watch.start()
    with _settings(mf, callback=watch):
        try:
            mf.kernel(dm0)
        except _Stalled as stalled:
            mf.converged = False
            _keep(mf, stalled.state)
    return Rung(name, watch.cycles - before, bool(mf.converged))


def _confirmed(mf: Any, rung: Rung) -> Rung:
    """Check a level-shifted solution without the shift, whose removal may swap occupations.

    PySCF does so itself, but 2.8 calls the swapped state converged.
    """
    if mf.converged:
        gradient = np.linalg.norm(mf.get_grad(mf.mo_coeff, mf.mo_occ))
        mf.converged = bool(gradient < 10.0 * np.sqrt(mf.conv_tol))
    return replace(rung, converged=mf.converged)


def _second_order(mf: Any, watch: _Watch) -> Rung:
    before = watch.start()
    solver = mf.newton()
    solver.max_cycle, solver.callback = NEWTON_CYCLES, watch
    try:
        solver.kernel(*(watch.orbitals or (None, None)))
        before += 1  # PySCF calls back once more at the end
        mf.converged = solver.converged
        _keep(mf, vars(solver))
    except _Stalled as stalled:
        mf.converged = False
        _keep(mf, stalled.state)
    return Rung("second order", watch.cycles - before, bool(mf.converged))


def _can_descend(mf: Any, watch: _Watch) -> bool:
    """Whether there are orbitals to start from, of a molecule and of whole occupations."""
    if watch.lowest is None or hasattr(mf, "kpts"):
        return False
    return bool(np.isin(watch.lowest[1], (0, 1, 2)).all())


def _descent(mf: Any, watch: _Watch) -> Rung:
    assert watch.lowest is not None  # see `_can_descend`
    orbitals, occupations = watch.lowest
    before, tolerance = watch.cycles, mf.conv_tol_grad or np.sqrt(mf.conv_tol)
    results: dict[str, Any] = {"mo_occ": occupations}

    def ended(point: Determinant, change: float) -> bool:
        size = 0.5 * float(np.linalg.norm(point.slopes))
        energies, canonical = mf.canonicalize(point.orbitals, occupations, point.fock)
        results.update(e_tot=point.energy, mo_energy=energies, mo_coeff=canonical)
        done = size < tolerance and abs(change) < mf.conv_tol
        watch.start()  # what falls is the energy, while the slopes may grow
        watch({**results, "norm_gorb": size, "scf_conv": done})
        return done

    mf.converged = descend(Surface(mf, occupations), orbitals, ended)
    if "e_tot" in results:
        _keep(mf, results)
    return Rung("descent", watch.cycles - before, bool(mf.converged))


def _keep(mf: Any, results: dict[str, Any]) -> None:
    for name in ("e_tot", "mo_energy", "mo_coeff", "mo_occ"):
        setattr(mf, name, results[name])


@contextmanager
def _settings(mf: Any, **values: Any) -> Iterator[None]:
    """Attributes of a mean-field object, for a while."""
    kept = {name: getattr(mf, name) for name in values}
    for name, value in values.items():
        setattr(mf, name, value)
    try:
        yield
    finally:
        for name, value in kept.items():
            setattr(mf, name, value)


def _aligned_guess(mf: Any) -> tuple[Any, bool]:
    """PySCF's initial density matrix, or an aligned one where its occupation is arbitrary.

    Only open shells are looked at, and none with point-group symmetry, whose orbitals are aligned
    already. The second value says whether the guess was aligned.
    """
    mol = mf.mol
    density = mf.get_init_guess(mol, mf.init_guess)
    if mol.spin == 0 or mol.symmetry:
        return density, False
    potential, core = mf.get_veff(mol, density), mf.get_hcore()

    def diagonalize(h1e: Any) -> tuple[Any, Any, Any]:
        fock = mf.get_fock(h1e=h1e, vhf=potential, dm=density)
        energies, orbitals = mf.eig(fock, mf.get_ovlp())
        return energies, orbitals, mf.get_occ(energies, orbitals)

    energies, _, occupations = diagonalize(core)
    if _gap(energies, occupations) > DEGENERATE:
        return density, False
    with mol.with_common_orig(mol.atom_coords().mean(axis=0)):
        moments = mol.intor("int1e_rr").reshape(3, 3, mol.nao, mol.nao)
    _, orbitals, occupations = diagonalize(core + FIELD * (moments[2, 2] + 0.5 * moments[0, 0]))
    return mf.make_rdm1(orbitals, occupations), True


def _gap(energies: Any, occupations: Any) -> float:
    """Smallest gap between occupied and empty levels, Hartree, over both spins."""
    energies, occupations = np.asarray(energies), np.asarray(occupations)
    if occupations.ndim == 1:  # RKS, ROKS: 0, 1 or 2 electrons in a level
        energies = np.stack([energies, energies])
        occupations = np.stack([occupations > 0, occupations > 1])
    return min(
        float(level[~filled].min(initial=np.inf) - level[filled].max(initial=-np.inf))
        for level, filled in zip(energies, occupations > 0, strict=True)
    )
