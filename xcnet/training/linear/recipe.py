"""Recipe of rows: which sets, how much an error counts, and what the linear expansion may do.

TOML. ``[energies.SET]`` are fitted, ``[validation.SET]`` only looked at. Of ``[known.SET]`` the
prior's own energies are used, not the accurate ones: where few of these are fitted, the prior is
made by those, and ``[change]`` is the mesh of the expansion's fit to them. Each set has ``unit``
and, as far as wanted, ``sigma`` (an error of this size counts 1), ``part`` of a set that has
several, ``scheme`` (``coarse``, ``compact``, ``fine``, ``field`` or ``atoms``, see `preparation`),
``levels`` of the integration grids, ``weight`` in the order of calculations (less is earlier),
``without`` reactions or ``only`` some, and ``tight``, sigmas of single reactions.

``[grids]``, ``[bonds]``, ``[expansion]``, ``[mesh]`` and ``[constraints]`` are the terms that
`xcnet.training.loss` has files of; ``[network]`` and ``[record]`` are of functionals whose factors
are networks. ``[dispersion]`` has D4's parameters, where the fit has D4's energies beside it; they
go into the record. ``exact_exchange`` is a global hybrid's share. ``family`` is of what the factors
depend (`families`: mgga, gga, near-region). ``base`` names a shipped recipe
that has what this one does not say.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from xcnet.dispersion import KNOWN, NEEDED
from xcnet.errors import InputError
from xcnet.systems import training_sets
from xcnet.systems.elements import SYMBOLS
from xcnet.systems.molecules import Molecule
from xcnet.systems.reactions import Reaction
from xcnet.training.linear import families
from xcnet.training.linear.expansion import Orders
from xcnet.training.linear.families import MGGA, RowsFamily
from xcnet.training.linear.preparation import ATOMS, COARSE, COMPACT, FIELD, FINE, Job

FOLDER = Path(__file__).resolve().parent.parent / "recipes"
SCHEMES = {"coarse": COARSE, "compact": COMPACT, "fine": FINE, "field": FIELD, "atoms": ATOMS}
LAST_ELEMENT = SYMBOLS.index("Kr")  # heavier ones have effective core potentials in def2 bases
UNITS = ("kcal/mol", "eV", "mHa", "e bohr")
GROUPS = ("energies", "validation", "known")


@dataclass(frozen=True)
class Chosen:
    """One set of energies; see the module's docstring."""

    set: str
    unit: str
    sigma: float = 1.0
    part: str = ""
    scheme: str = "coarse"
    levels: tuple[int, ...] = (3,)
    weight: float = 1.0
    without: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    tight: Mapping[str, float] = field(default_factory=dict)

    def reactions(self) -> list[Reaction]:
        """Its reactions, without those of elements that are too heavy."""
        data = training_sets.load(self.set)
        data = data.part(self.part) if self.part else data
        return [
            reaction
            for reaction in data.reactions
            if reaction.name not in self.without
            and (not self.only or reaction.name in self.only)
            and _light(reaction)
        ]

    def job(self, system: Molecule) -> Job:
        """What has to be calculated of a system alone."""
        return Job(system, SCHEMES[self.scheme], self.levels, self.weight)

    def jobs(self, reaction: Reaction) -> list[Job]:
        """What has to be calculated of a reaction's systems, in their order."""
        jobs = [self.job(system) for _, system in reaction.terms]
        if self.scheme != "compact" or all(job.system.charge >= 0 for job in jobs):
            return jobs
        return [replace(job, scheme=COARSE) for job in jobs]


@dataclass(frozen=True)
class Grids:
    """Differences of two grid levels of every system of these sets, in kcal/mol."""

    sets: tuple[str, ...]
    sigma: float
    levels: tuple[int, int]


@dataclass(frozen=True)
class Bonds:
    """Bonds of the molecules of a set with at most ``heaviest`` heavy atoms, in angstrom."""

    set: str
    sigma: float
    heaviest: int
    weight: float


@dataclass(frozen=True)
class MeshSettings:
    """Standard deviations of the factors, and of their second derivatives, over the mesh."""

    exchange: float
    equal: float
    opposite: float
    curvature: float


@dataclass(frozen=True)
class Constraints:
    """Largest enhancement factor of exchange, and where one orbital is."""

    largest: float
    one_orbital: float


@dataclass(frozen=True)
class NetworkSettings:
    """Hidden widths and seed of the factors' networks, rounds of the fit and steps of each.

    ``start`` names a shipped recipe whose networks are the prior, instead of the expansion's, and
    where the fit begins, instead of what the seed makes.
    """

    hidden: tuple[int, ...]
    seed: int
    rounds: int
    steps: int
    start: str = ""


@dataclass(frozen=True)
class RowsRecord:
    """Facts of the functional's record that the fit does not decide.

    ``densities`` are the least and the largest of the fit, bohr^-3.
    """

    name: str
    alias: str
    id: int
    description: str
    grid_level: int
    densities: tuple[float, float]


@dataclass(frozen=True)
class RowsRecipe:
    """All of it; ``dispersion`` is D4's parameters, ``sha256`` the file's."""

    prior: str
    energies: tuple[Chosen, ...]
    validation: tuple[Chosen, ...]
    known: tuple[Chosen, ...]
    grids: Grids
    bonds: Bonds
    expansion: Orders
    mesh: MeshSettings
    constraints: Constraints
    network: NetworkSettings
    record: RowsRecord
    sha256: str
    dispersion: Mapping[str, float] | None = None
    exact_exchange: float = 0.0
    change: MeshSettings | None = None
    family: RowsFamily = MGGA

    def expanded(self) -> RowsRecipe:
        """Recipe of the expansion's fit: its mesh is that of the change, if there is one."""
        return replace(self, mesh=self.change or self.mesh)

    def chosen(self) -> Iterator[Chosen]:
        """All sets of energies."""
        yield from self.energies
        yield from self.validation
        yield from self.known


def _light(reaction: Reaction) -> bool:
    elements = {symbol for _, system in reaction.terms for symbol in system.symbols}
    return all(SYMBOLS.index(symbol) <= LAST_ELEMENT for symbol in elements)


def load(source: str) -> RowsRecipe:
    """Recipe of a file, or a shipped one by its name.

    Raises
    ------
    InputError
        There is no such file, or it is not such a recipe.
    """
    with reading(source) as path:
        data = path.read_bytes()
        record = tomllib.loads(data.decode())
        if base := record.pop("base", ""):
            before = (FOLDER / f"{base}.rows.toml").read_bytes()
            record, data = tomllib.loads(before.decode()) | record, before + data
        return _recipe(record, hashlib.sha256(data).hexdigest())


@contextmanager
def reading(source: str) -> Iterator[Path]:
    """Path of a file, or of a shipped recipe by its name; what is wrong in it is an InputError."""
    shipped = FOLDER / f"{source}.rows.toml"
    path = shipped if shipped.exists() else Path(source)
    try:
        yield path
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{source} is not a recipe of rows: {error}", file=str(path)) from error


def _recipe(record: dict[str, Any], sha256: str) -> RowsRecipe:
    record.setdefault("known", {})
    sets: dict[str, Any] = {name: sets_of(record.pop(name)) for name in GROUPS}
    record["family"] = family = _family(record.get("family", MGGA.name))
    parameters = record.get("dispersion", {})
    if not isinstance(parameters, dict) or (parameters and not NEEDED <= set(parameters) <= KNOWN):
        raise ValueError(f"[dispersion] has D4's {', '.join(sorted(NEEDED))}")
    if "change" in record:
        record["change"] = MeshSettings(**record["change"])
    parts = {
        "grids": Grids,
        "bonds": Bonds,
        "expansion": Orders,
        "mesh": MeshSettings,
        "constraints": Constraints,
        "network": NetworkSettings,
        "record": RowsRecord,
    }
    made: dict[str, Any] = {
        name: kind(**{key: _frozen(value) for key, value in record.pop(name).items()})
        for name, kind in parts.items()
    }
    recipe = RowsRecipe(**record, **sets, **made, sha256=sha256)
    if not recipe.expansion.fits(family.kept):
        raise ValueError(f"[expansion] is more than what {family.name} integrates, {family.kept}")
    if (start := recipe.network.start) and not (FOLDER / f"{start}.rows.toml").exists():
        raise ValueError(f"start {start} is no shipped recipe of rows")
    if start and recipe.known:
        raise ValueError("networks that start from others have no [known]")
    if recipe.prior not in family.functionals:
        raise ValueError(f"prior {recipe.prior} is none of {', '.join(family.functionals)}")
    return recipe


def _family(name: str) -> RowsFamily:
    if name not in families.FAMILIES:
        raise ValueError(f"family {name} is none of {', '.join(families.FAMILIES)}")
    return families.FAMILIES[name]


def jobs(sets: Iterable[Chosen]) -> list[Job]:
    """What has to be calculated of all reactions of some sets."""
    return [job for one in sets for reaction in one.reactions() for job in one.jobs(reaction)]


def sets_of(tables: Mapping[str, Mapping[str, Any]]) -> tuple[Chosen, ...]:
    """Sets of one group of a recipe's tables; ValueError where a unit is none."""
    sets = tuple(
        Chosen(name, **{key: _frozen(value) for key, value in entry.items()})
        for name, entry in tables.items()
    )
    if unknown := {chosen.unit for chosen in sets} - set(UNITS):
        raise ValueError(f"unit {', '.join(unknown)} is none of {', '.join(UNITS)}")
    return sets


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
