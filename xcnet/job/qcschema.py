"""Input and output of calculations in QCSchema, the format that QCEngine and Psi4 speak.

D. G. A. Smith et al., WIREs Comput. Mol. Sci. 11, e1491 (2021), doi:10.1002/wcms.1491: objects
AtomicInput, AtomicResult and FailedOperation, version 1; bohr, Hartree, flat lists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

import xcnet
from xcnet.errors import ConvergenceError, InputError, XCNetError
from xcnet.scf import calculation
from xcnet.scf.calculation import Settings
from xcnet.systems.molecules import Molecule, complete

DRIVERS = ("energy", "gradient")
#: Keywords of an input, and the settings that they are.
KEYWORDS = {"grid_level": "grid_level", "density_fit": "density_fit", "tolerance": "tolerance"}
TOLERANCE = 1e-9  # Hartree


def outputs(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every result of a run's document as AtomicResult, or FailedOperation if not converged."""
    molecules = {m["name"]: Molecule(**m) for m in document["molecules"]}
    settings = document["settings"]
    return [
        _output(
            _input(molecules[result["molecule"]], "energy", result["xc"], settings),
            result,
            result["energy"],
        )
        for result in document["results"]
    ]


def compute(request: Mapping[str, Any]) -> dict[str, Any]:
    """Answer an AtomicInput.

    Parameters
    ----------
    request : mapping
        ``molecule``, ``driver`` (energy or gradient) and ``model`` (``method``, any name or
        expression of functionals, and ``basis``, a name); ``keywords`` may hold ``grid_level``,
        ``density_fit`` and ``tolerance`` (Hartree).

    Returns
    -------
    dict
        AtomicResult; FailedOperation, with the error's text, for what cannot be computed.
    """
    try:
        return _compute(request)
    except XCNetError as error:
        return _failed(request, error)


def _compute(request: Mapping[str, Any]) -> dict[str, Any]:
    driver, model = str(request["driver"]), request["model"]
    if driver not in DRIVERS:
        raise InputError(f"driver {driver!r} is not available: {' or '.join(DRIVERS)} are")
    if not isinstance(model.get("basis"), str):
        raise InputError("model.basis must be the name of a basis set")
    molecule = _molecule(request["molecule"])
    settings = _settings(request.get("keywords") or {}, model)
    gradients: list[Any] = []

    def inspect(mf: Any) -> None:
        if driver == "gradient" and mf.converged:
            gradients.append(mf.nuc_grad_method().set(verbose=0).kernel())

    result = calculation.solve(molecule, model["method"], settings, _silent, inspect)
    value = np.ravel(gradients[0]).tolist() if gradients else result.energy
    return _output(request, asdict(result), value)


def _silent(cycle: int, energy: float) -> None:
    """Report no progress."""


def _settings(keywords: Mapping[str, Any], model: Mapping[str, Any]) -> Settings:
    unknown = sorted(set(keywords) - set(KEYWORDS))
    if unknown:
        raise InputError(
            f"there is no keyword {', '.join(unknown)}, but {', '.join(KEYWORDS)}", given=unknown
        )
    level = keywords.get("grid_level")
    if level is None:
        level = calculation.grid_level([calculation.check_functional(model["method"])])
    fit = keywords.get("density_fit", False)
    return Settings(model["basis"], level, fit, keywords.get("tolerance", TOLERANCE))


def _molecule(described: Mapping[str, Any]) -> Molecule:
    real = described.get("real")
    if real is not None and not np.all(real):
        raise InputError("molecule.real: ghost atoms are not available here; use PySCF's own")
    geometry = (
        np.reshape(np.asarray(described["geometry"], dtype=float), (-1, 3))
        * calculation.ANGSTROM_PER_BOHR
    )
    symbols = tuple(str(symbol) for symbol in described["symbols"])
    positions = tuple((float(x), float(y), float(z)) for x, y, z in geometry)
    charge = described.get("molecular_charge", 0.0)
    if charge != round(charge):
        raise InputError(f"molecule.molecular_charge must be a whole number, not {charge}")
    name = described.get("name") or "".join(symbols)
    spin = round(described.get("molecular_multiplicity", 1)) - 1
    return complete(Molecule(name, symbols, positions, round(charge)), name, spin)


def _input(
    molecule: Molecule, driver: str, method: str, settings: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "schema_name": "qcschema_input",
        "schema_version": 1,
        "molecule": {
            "schema_name": "qcschema_molecule",
            "schema_version": 2,
            "name": molecule.name,
            "symbols": list(molecule.symbols),
            "geometry": (np.ravel(molecule.positions) / calculation.ANGSTROM_PER_BOHR).tolist(),
            "molecular_charge": float(molecule.charge),
            "molecular_multiplicity": molecule.spin + 1,
            "fix_com": True,
            "fix_orientation": True,
        },
        "driver": driver,
        "model": {"method": method, "basis": settings["basis"]},
        "keywords": {key: settings[name] for key, name in KEYWORDS.items()},
    }


def _output(
    request: Mapping[str, Any], result: Mapping[str, Any], value: float | Sequence[float]
) -> dict[str, Any]:
    if not result["converged"]:
        reason = f"not self-consistent after {result['cycles']} cycles ({result['solver']})"
        return _failed(request, ConvergenceError(f"{result['xc']}: {reason}"))
    properties = {
        "calcinfo_natom": len(request["molecule"]["symbols"]),
        "return_energy": result["energy"],
        "scf_total_energy": result["energy"],
        "scf_xc_energy": result["exc"],
        "scf_iterations": result["cycles"],
    }
    if not isinstance(value, float):
        properties["return_gradient"] = value
    return {
        **request,
        "schema_name": "qcschema_output",
        "schema_version": 1,
        "properties": properties,
        "return_result": value,
        "success": True,
        "provenance": {
            "creator": "xcnet",
            "version": xcnet.__version__,
            "routine": "xcnet.job",
            **calculation.versions(),
        },
    }


def _failed(request: Mapping[str, Any], error: XCNetError) -> dict[str, Any]:
    return {
        "input_data": dict(request),
        "success": False,
        "error": {"error_type": type(error).__name__, "error_message": str(error)},
    }
