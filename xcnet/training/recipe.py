"""Recipes: everything that can be set about a training, read from a TOML file."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_type_hints

from xcnet.errors import InputError
from xcnet.training.forms import FORMS
from xcnet.training.ground_states import GroundStateSettings
from xcnet.training.reference import DensitySettings

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
    """One network: the libxc functional it learns, its hidden widths and its training.

    ``starts`` initial networks take ``start_iterations`` each; the best one goes on to
    ``iterations`` in all.
    """

    target: str
    hidden: list[int]
    starts: int
    start_iterations: int
    iterations: int


@dataclass(frozen=True)
class OrbitalSettings:
    """Density part of the loss, see `xcnet.training.orbitals`.

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
    """Training on known energies after the fit, see `xcnet.training.refinement`.

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
        Training sets whose densities the fit uses, see `xcnet.training.datasets`.
    form : str
        Form of the functional: lda, gga, meta-gga or nra, see `xcnet.training.forms`.
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
    """Read a recipe; InputError says which key is unknown, missing or of a wrong type."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"cannot read the recipe {path}: {error}", file=str(path)) from error
    recipe = _build(Recipe, data, path, "")
    if recipe.form not in FORMS:
        raise InputError(
            f"{path}: form = {recipe.form!r} must be one of {', '.join(FORMS)}", file=str(path)
        )
    return recipe


def _build(kind: type[T], data: dict[str, Any], path: Path, prefix: str) -> T:
    hints = get_type_hints(kind)
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
    if isinstance(hint, UnionType):
        hint = get_args(hint)[0]
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, dict):
            raise InputError(f"{path}: {where} must be a table", file=str(path))
        return _build(hint, value, path, f"{where}.")  # type: ignore[arg-type]
    item = {list[int]: int, list[str]: str}.get(hint)
    if item is not None and isinstance(value, list) and all(type(x) is item for x in value):
        return value
    if hint is float and type(value) in (int, float):
        return float(value)
    if item is None and type(value) is hint:
        return value
    expected = str(hint) if item else hint.__name__
    raise InputError(f"{path}: {where} = {value!r} must be {expected}", file=str(path))
