"""Recipes: everything that can be set about a training, read from a TOML file."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tomllib
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

from xcnet.errors import InputError
from xcnet.scf.densities import DensitySettings
from xcnet.scf.ground_states import GroundStateSettings
from xcnet.scf.limits import (
    COUNT,
    GRID_LEVEL,
    NAME,
    NAMES,
    NOT_NEGATIVE,
    POSITIVE,
    WIDTHS,
    Rules,
    complaint,
    of_record,
)
from xcnet.training.form.forms import FORMS

T = TypeVar("T")


@dataclass(frozen=True)
class SamplingSettings:
    """How points are drawn from the densities.

    Parameters
    ----------
    points, energy_points : int
        Per system: points for energy density and potential, points for the integrated energy.
    jittered : int
        Per system: points moved off their place by random factors.
    wide : int
        Points spread over the whole space of densities, gradients and kinetic energy densities.
    jitter : float
        Width of the logarithms of these factors.
    """

    points: Annotated[int, COUNT]
    energy_points: Annotated[int, COUNT]
    jittered: Annotated[int, COUNT]
    wide: Annotated[int, COUNT]
    jitter: Annotated[float, NOT_NEGATIVE]


@dataclass(frozen=True)
class LossSettings:
    """Weights of the parts of the loss, relative to the energy per electron.

    Parameters
    ----------
    potential : float
        Derivatives times their variable, per electron.
    energy : float
        Integrated energy of each system, 1/Hartree.
    jittered, wide : float
        Factor for moved points; factor for the relative errors of the spread points.
    core : float
        Points of density rho count less by 1 + core rho^(1/3): cores cancel in differences.
    """

    potential: Annotated[float, NOT_NEGATIVE]
    energy: Annotated[float, NOT_NEGATIVE]
    jittered: Annotated[float, NOT_NEGATIVE]
    wide: Annotated[float, NOT_NEGATIVE]
    core: Annotated[float, NOT_NEGATIVE]


@dataclass(frozen=True)
class PartSettings:
    """One network: the libxc functional it learns, its hidden widths and its training.

    ``starts`` initial networks take ``start_iterations`` each; the best one goes on to
    ``iterations`` in all.
    """

    target: Annotated[str, NAME]
    hidden: Annotated[list[int], WIDTHS]
    starts: Annotated[int, COUNT]
    start_iterations: Annotated[int, COUNT]
    iterations: Annotated[int, COUNT]


@dataclass(frozen=True)
class OrbitalSettings:
    """Density part of the loss, see `xcnet.training.loss.orbitals`.

    Parameters
    ----------
    set : str
        Set of accurate references, such as three-molecules.
    weight : float
        Weight of the mean relaxation energy, in kcal/mol, against squares of energy errors in
        (kcal/mol)^2.
    grid_level : int
        PySCF's grid level for the matrix elements.
    highest : float
        Empty orbitals above this energy are left out, Hartree.
    """

    set: Annotated[str, NAME]
    weight: Annotated[float, NOT_NEGATIVE]
    grid_level: Annotated[int, GRID_LEVEL]
    highest: float


@dataclass(frozen=True)
class RefinementSettings:
    """Training on known energies after the fit, see `xcnet.training.loss.refinement`.

    Parameters
    ----------
    sets : list of str
        Training sets whose reactions are trained on.
    part, check : str
        Part of each set that is trained on, and the part that is only watched (empty: none).
    start : str
        Functional whose ground states the first round uses.
    rounds : int
        Trainings, each at the ground states of the functional that the one before gave.
    iterations : int
        Steps of each round.
    prior : float
        Weight of the loss of the fit against squared errors in (kcal/mol)^2.
    width : float
        Errors well beyond count by their size, not by its square, kcal/mol.
    decay : float, optional
        Weight of the squares of the networks' parameters against squared errors in (kcal/mol)^2.
    """

    sets: Annotated[list[str], NAMES]
    part: Annotated[str, NAME]
    check: str
    start: Annotated[str, NAME]
    rounds: Annotated[int, COUNT]
    iterations: Annotated[int, COUNT]
    prior: Annotated[float, NOT_NEGATIVE]
    width: Annotated[float, POSITIVE]
    ground_states: GroundStateSettings
    orbitals: OrbitalSettings | None = None
    decay: Annotated[float | None, NOT_NEGATIVE] = None


@dataclass(frozen=True)
class RecordSettings:
    """Facts of the functional's record and card that the training does not decide.

    ``note`` ends the card's section on how good the functional is.
    """

    name: Annotated[str, of_record("name")]
    alias: Annotated[str, of_record("aliases")]
    id: Annotated[int, of_record("id")]
    description: Annotated[str, of_record("description")]
    grid_level: Annotated[int, of_record("grid_level")]
    note: str = ""


@dataclass(frozen=True)
class Recipe:
    """One training.

    Parameters
    ----------
    seed : int
        Seed of initial weights and samples.
    sets : list of str
        Training sets whose densities the fit uses, see `xcnet.systems.training_sets`.
    form : str
        Form of the functional: lda, gga, meta-gga or nra, see `xcnet.training.form.forms`.
    """

    seed: Annotated[int, NOT_NEGATIVE]
    sets: Annotated[list[str], NAMES]
    record: RecordSettings
    densities: DensitySettings
    sampling: SamplingSettings
    loss: LossSettings
    exchange: PartSettings
    correlation: PartSettings
    form: Annotated[str, {"enum": tuple(FORMS)}] = "meta-gga"
    refinement: RefinementSettings | None = None

    @property
    def sha256(self) -> str:
        """Hash of all settings that the trained weights depend on."""
        settings = _without_none(dataclasses.asdict(self))
        del settings["record"]
        if self.form == "meta-gga":
            del settings["form"]
        text = json.dumps(settings, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def _without_none(table: dict[str, Any]) -> dict[str, Any]:
    """Settings that are there, at every level."""
    return {
        key: _without_none(value) if isinstance(value, dict) else value
        for key, value in table.items()
        if value is not None
    }


def find(name: str) -> Path:
    """Path of a recipe given by its file, or by the name of a shipped one (InputError)."""
    if (path := Path(name)).is_file():
        return path
    folder = Path(__file__).parent / "recipes"
    shipped = {path.stem: path for path in sorted(folder.glob("*.toml"))}
    if name not in shipped:
        raise InputError(
            f"no recipe {name!r}: neither a file nor one of {', '.join(shipped)}", given=name
        )
    return shipped[name]


def load(path: Path) -> Recipe:
    """Read a recipe; InputError says which key is unknown or missing, or has a wrong value."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"cannot read the recipe {path}: {error}", file=str(path)) from error
    recipe = _build(Recipe, data, path, "")
    name, start = recipe.record.name, f"{FORMS[recipe.form].family}_xc_"
    if not name.startswith(start):
        raise InputError(
            f"{path}: record.name = {name!r} must begin with {start}, the family of the form "
            f"{recipe.form}",
            file=str(path),
            given=name,
        )
    return recipe


def _build(kind: type[T], data: dict[str, Any], path: Path, prefix: str) -> T:
    hints = get_type_hints(kind, include_extras=True)
    required = {f.name for f in dataclasses.fields(kind) if f.default is dataclasses.MISSING}  # type: ignore[arg-type]
    for problem, keys in (("unknown", data.keys() - hints), ("missing", required - data.keys())):
        if keys:
            raise InputError(
                f"{path}: {problem} key {prefix}{min(keys)}; the keys of this table are "
                f"{', '.join(hints)}",
                file=str(path),
                given=sorted(keys),
            )
    return kind(**{key: _value(hints[key], data[key], path, f"{prefix}{key}") for key in data})


def _value(hint: Any, value: Any, path: Path, where: str) -> Any:
    rules: Rules = {}
    if get_origin(hint) is Annotated:
        hint, rules = get_args(hint)
    if isinstance(hint, UnionType):
        hint = get_args(hint)[0]
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, dict):
            raise InputError(f"{path}: {where} must be a table", file=str(path))
        return _build(hint, value, path, f"{where}.")  # type: ignore[arg-type]
    found = _typed(hint, value, path, where)
    if wanted := complaint(found, rules):
        raise InputError(
            f"{path}: {where} = {value!r} must be {wanted}", file=str(path), given=value
        )
    return found


def _typed(hint: Any, value: Any, path: Path, where: str) -> Any:
    """Value of the type that a setting has."""
    item = {list[int]: int, list[str]: str}.get(hint)
    if item is not None and isinstance(value, list) and all(type(x) is item for x in value):
        return value
    if hint is float and type(value) in (int, float) and isfinite(value):
        return float(value)
    if item is None and hint is not float and type(value) is hint:
        return value
    expected = str(hint) if item else {float: "a finite number"}.get(hint, hint.__name__)
    raise InputError(f"{path}: {where} = {value!r} must be {expected}", file=str(path))
