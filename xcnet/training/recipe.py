"""Recipes: everything that can be set about a training, read from a TOML file."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from math import isfinite
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_type_hints

from xcnet import paths
from xcnet.errors import InputError
from xcnet.scf.densities import DensitySettings
from xcnet.scf.ground_states import GroundStateSettings
from xcnet.spec import SCHEMA
from xcnet.training.form import networks
from xcnet.training.form.forms import FORMS


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

    points: int
    energy_points: int
    jittered: int
    wide: int
    jitter: float


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

    potential: float
    energy: float
    jittered: float
    wide: float
    core: float


@dataclass(frozen=True)
class PartSettings:
    """One network: the libxc functional it learns, its hidden widths, its training and its kind.

    ``starts`` initial networks take ``start_iterations`` each; the best one goes on to
    ``iterations`` in all. ``network`` is a kind of `xcnet.training.form.networks`, the form's if it
    is not given.
    """

    target: str
    hidden: list[int]
    starts: int
    start_iterations: int
    iterations: int
    network: str | None = None


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

    set: str
    weight: float
    grid_level: int
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

    sets: list[str]
    part: str
    check: str
    start: str
    rounds: int
    iterations: int
    prior: float
    width: float
    ground_states: GroundStateSettings
    orbitals: OrbitalSettings | None = None
    decay: float | None = None


@dataclass(frozen=True)
class RecordSettings:
    """Facts of the functional's record and card that the training does not decide.

    ``note`` ends the card's section on how good the functional is.
    """

    name: str
    alias: str
    id: int
    description: str
    grid_level: int
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

    seed: int
    sets: list[str]
    record: RecordSettings
    densities: DensitySettings
    sampling: SamplingSettings
    loss: LossSettings
    exchange: PartSettings
    correlation: PartSettings
    form: str = "meta-gga"
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


def shipped_recipes() -> dict[str, Path]:
    """Paths of the shipped recipes by name; those of rows, NAME.rows.toml, are others."""
    paths = sorted((Path(__file__).parent / "recipes").glob("*.toml"))
    return {path.stem: path for path in paths if "." not in path.stem}


def find(name: str) -> Path:
    """Path of a recipe given by its file, or by the name of a shipped one (InputError)."""
    if (path := Path(name)).is_file():
        return path
    shipped = shipped_recipes()
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
    if wrong := _complaint(data):
        raise InputError(f"{path}: {wrong}", file=str(path))
    recipe: Recipe = _build(Recipe, data)
    if wrong := _contradiction(recipe):
        raise InputError(f"{path}: {wrong}", file=str(path))
    return recipe


def _build(kind: Any, data: dict[str, Any]) -> Any:
    """Settings of a kind from what the schema has accepted."""
    hints = get_type_hints(kind)
    return kind(**{key: _value(hints[key], value) for key, value in data.items()})


def _value(hint: Any, value: Any) -> Any:
    if isinstance(hint, UnionType):
        hint = get_args(hint)[0]
    if dataclasses.is_dataclass(hint):
        return _build(hint, value)
    return float(value) if hint is float else value


def _contradiction(recipe: Recipe) -> str:
    """What the schema cannot know: names of forms and networks, and which family a form has."""
    if recipe.form not in FORMS:
        return f"form = {recipe.form!r} must be one of {', '.join(FORMS)}"
    for part in FORMS[recipe.form].networks:
        kind = getattr(recipe, part).network
        if kind is not None and kind not in networks.names():
            return f"{part}.network = {kind!r} must be one of {', '.join(networks.names())}"
    name, start = recipe.record.name, f"{FORMS[recipe.form].family}_xc_"
    if not name.startswith(start):
        return (
            f"record.name = {name!r} must begin with {start}, the family of the form {recipe.form}"
        )
    return ""


#: Rule of the schema -> what it asks for.
_RULES = {
    "minimum": "at least {}",
    "exclusiveMinimum": "greater than {}",
    "maximum": "at most {}",
    "pattern": "text that matches {}",
    "minLength": "{} or more characters long",
    "maxLength": "{} or fewer characters long",
    "minItems": "a list of {} or more",
    "uniqueItems": "a list without repetition",
    "type": "of the type {}",
}


def _complaint(data: dict[str, Any]) -> str:
    """What a recipe must have and has not; empty if it keeps the schema and is finite."""
    import fastjsonschema

    if where := _not_finite(data):
        return where
    try:
        _validator()(data)
    except fastjsonschema.JsonSchemaValueException as error:
        where = error.name.removeprefix("data").removeprefix(".")
        if error.rule in ("additionalProperties", "required"):
            known = error.definition["properties"]
            # A key that is misspelled is both, and better named by what stands there.
            unknown = set(error.value) - set(known)
            keys = unknown or set(error.definition["required"]) - set(error.value)
            key = ".".join(filter(None, [where, min(keys)]))
            problem = "unknown" if unknown else "missing"
            return f"{problem} key {key}; the keys of this table are {', '.join(known)}"
        wanted = _RULES[error.rule].format(error.rule_definition)
        return f"{where} = {error.value!r} must be {wanted}"
    return ""


def _not_finite(table: dict[str, Any], prefix: str = "") -> str:
    for key, value in table.items():
        if isinstance(value, dict) and (where := _not_finite(value, f"{prefix}{key}.")):
            return where
        if isinstance(value, float) and not isfinite(value):
            return f"{prefix}{key} = {value!r} must be a finite number"
    return ""


@cache
def _validator() -> Callable[[Any], Any]:
    """Validator of the schema; fields of the functional's record are those of records."""
    import fastjsonschema

    schema = json.loads((Path(__file__).parent / "recipe.schema.json").read_text(encoding="utf-8"))
    record = json.loads((paths.models_folder() / SCHEMA).read_text(encoding="utf-8"))
    fields = {f"record_{name}": rules for name, rules in record["properties"].items()}
    fields["record_alias"] = fields["record_aliases"]["items"]
    schema["definitions"] |= record["definitions"] | fields
    validator: Callable[[Any], Any] = fastjsonschema.compile(schema)
    return validator
