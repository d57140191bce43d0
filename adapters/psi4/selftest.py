"""What ``xcnet psi4 --self-test`` runs: everything that the adapter needs of this Psi4.

Attributes and signatures first, then water with a semilocal and a nonlocal functional: energies
beside those of PySCF, gradients beside differences of the energies; then what has to be refused.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import psi4
from psi4 import core

import xcnet
from xcnet.adapters.psi4 import installation, versions
from xcnet.errors import UnsupportedError

#: Symbol, x, y, z, bohr.
WATER = "O 0 0 0.2254\nH 0 1.4423 -0.9015\nH 0 -1.4423 -0.9015"
#: Energies in Hartree: STO-3G, exact integrals, PySCF 2.14 with xcnet 0.1.0, grid level 5.
ENERGIES = {"nn-metagga": -75.313407, "nn-nra": -75.320045}
#: Hartree. Grids of Psi4 and of its versions differ.
ENERGY_TOLERANCE = 1e-3
#: Of both hydrogens' way from the oxygen, bohr; the error of the difference is of second order.
STEP = 0.01
#: Hartree per bohr: of the difference, and of grids that turn with the molecule.
GRADIENT_TOLERANCE = 2e-4
_OPTIONS = {"basis": "sto-3g", "scf_type": "pk", "e_convergence": 1e-9, "d_convergence": 1e-8}

Check = tuple[str, Callable[[], str]]


def run() -> int:
    """Run all checks, print a line for each; exit code 1 if one failed."""
    core.be_quiet()
    failures = 0
    print(f"xcnet {xcnet.__version__} in Psi4 {psi4.__version__}, numpy {np.__version__}")
    for title, check in checks():
        try:
            word, text = "passed", check()
        except Exception as error:
            word, text = "FAILED", str(error) or traceback.format_exc()
            failures += 1
        print(f"{word}  {title}{': ' + text if text else ''}", flush=True)
    print(f"{failures} failed" if failures else "everything passed")
    return int(failures > 0)


def checks() -> Iterator[Check]:
    """Title and function of each check; a function returns what was measured."""
    yield "attributes and signatures", _attributes
    yield "arrays of numpy", _arrays
    for name in ENERGIES:
        yield f"water, {name}: energy", partial(_energy, name)
        yield f"water, {name}: gradient", partial(_gradient, name)
    for title, refused in _refusals():
        yield f"refused: {title}", partial(_refusal, refused)
    yield "a calculation after those", partial(_energy, "nn-metagga")


def _attributes() -> str:
    faults = [f"{hook.text} {problem}" for hook, problem in versions.problems()]
    if faults:
        raise UnsupportedError("; ".join(faults))
    lacking = [h.text for h in versions.HOOKS if versions.find(h.module, h.name) is None]
    rest = f"; not in this version: {', '.join(lacking)}" if lacking else ""
    return f"{len(versions.HOOKS) - len(lacking)} of {len(versions.HOOKS)}{rest}"


def _arrays() -> str:
    installation.check_arrays()
    return ""


def _calculate(function: Any, name: str, stretch: float = 0.0, **options: Any) -> Any:
    core.clean()
    core.clean_options()
    psi4.set_options({**_OPTIONS, **options})
    molecule = psi4.geometry(f"{WATER}\nunits bohr\nno_com\nno_reorient")
    place = np.array(molecule.geometry())
    place[1:] += stretch * _directions(place)
    molecule.set_geometry(core.Matrix.from_array(place))
    molecule.update_geometry()
    return function(name, molecule=molecule)


def _directions(place: Any) -> Any:
    """Unit vectors (2, 3) from the oxygen to the hydrogens."""
    bonds = place[1:] - place[0]
    return bonds / np.linalg.norm(bonds, axis=1)[:, None]


def _energy(name: str) -> str:
    energy = _calculate(psi4.energy, name)
    return _compared("Hartree", energy, ENERGIES[name], ENERGY_TOLERANCE)


def _gradient(name: str) -> str:
    gradient = np.array(_calculate(psi4.gradient, name))
    place = np.array(psi4.geometry(f"{WATER}\nunits bohr\nno_com\nno_reorient").geometry())
    slope = float(np.sum(gradient[1:] * _directions(place)))
    ends = [_calculate(psi4.energy, name, stretch) for stretch in (STEP, -STEP)]
    return _compared("Hartree/bohr", slope, (ends[0] - ends[1]) / (2 * STEP), GRADIENT_TOLERANCE)


def _compared(unit: str, value: float, expected: float, tolerance: float) -> str:
    text = f"{value:.6f} {unit}, expected {expected:.6f}"
    if not abs(value - expected) < tolerance:
        raise ArithmeticError(f"{text} within {tolerance}")
    return text


def _refusals() -> Iterator[tuple[str, Callable[[], Any]]]:
    """What Psi4 would compute wrongly or abort at."""
    yield "SOSCF of a meta-GGA", partial(_calculate, psi4.energy, "nn-metagga", soscf=True)
    yield "analytic Hessian", partial(_calculate, _hessian, "nn-metagga")
    for name in ("nn-metagga", "nn-nra"):
        yield f"response, {name}", partial(_calculate, _response, name)
        if versions.find("psi4.core", "RHF.twoel_Hx_full") is not None:
            yield f"TDDFT, {name}", partial(_calculate, _excitations, name)
    yield "a composite method", partial(_calculate, _composite, "nn-nra")
    if versions.find("psi4.core", "HF.openorbital_scf") is not None:
        yield "iterations in C++", partial(_calculate, _in_core, "nn-nra")


def _hessian(name: str, molecule: Any) -> Any:
    _, wavefunction = psi4.energy(name, molecule=molecule, return_wfn=True)
    return core.scfhess(wavefunction)


def _response(name: str, molecule: Any) -> Any:
    _, wavefunction = psi4.energy(name, molecule=molecule, return_wfn=True)
    return wavefunction.cphf_solve([core.Matrix(1, 1)], 1e-4, 1, 0)


def _excitations(name: str, molecule: Any) -> Any:
    _, wavefunction = psi4.energy(name, molecule=molecule, return_wfn=True)
    return wavefunction.twoel_Hx_full([], False, "SO", True)


def _in_core(name: str, molecule: Any) -> Any:
    psi4.set_options({"orbital_optimizer_package": "ooo"})
    return psi4.energy(name, molecule=molecule)


def _composite(name: str, molecule: Any) -> Any:
    return psi4.energy("scf/cc-pv[dt]z", molecule=molecule, dft_functional=name)


def _refusal(calculate: Callable[[], Any]) -> str:
    try:
        result = calculate()
    except Exception as error:
        if "xcnet" in type(error).__module__ or "UnsupportedError" in str(error):
            return ""
        raise
    raise ArithmeticError(f"it was computed, with the result {result}")
