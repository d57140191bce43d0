"""Benchmark sets: a TOML file each, with its protocol, subsets and reference formula."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from xcnet.errors import InputError

FOLDER = Path(__file__).resolve().parent / "protocols"
ENERGY = "energy"


@dataclass(frozen=True)
class Protocol:
    """What decides the energies of a set, beside the functional; `Settings` of a calculation.

    With ``finer_grids`` a functional that asks for a finer grid than ``grid_level`` gets it. With
    ``density`` all functionals are evaluated at the density of this one, converged on the guess's
    grid; without, each at its own.
    """

    basis: str
    grid_level: int
    finer_grids: bool
    guess_grid_level: int
    density_fit: str
    tolerance: float
    density: str = ""

    def facts(self) -> dict[str, Any]:
        """What records have of it: no density where each functional has its own."""
        facts = asdict(self)
        return facts if self.density else {k: v for k, v in facts.items() if k != "density"}

    def text(self) -> str:
        """One line for people."""
        fit = f"density fitting with {self.density_fit}" if self.density_fit else "no fitting"
        finer = " (finer where the functional asks for it)" if self.finer_grids else ""
        guess = f"guess from level {self.guess_grid_level}"
        if self.density:
            guess = f"at densities of {self.density} on level {self.guess_grid_level}"
        return (
            f"{self.basis}, grid level {self.grid_level}{finer}, {guess}, {fit}, "
            f"converged to {self.tolerance:g} Ha"
        )


@dataclass(frozen=True)
class Limits:
    """What one calculation may use."""

    memory_gb: float
    seconds: float


@dataclass(frozen=True)
class BenchmarkSet:
    """One set as its file describes it.

    ``quantity``: what is calculated of each system, an energy or one of `xcnet.scf.quantities`;
    ``table`` has the references that belong to no collection.
    """

    name: str
    title: str
    reactions: str
    unit: str
    geometries: str
    reference: str
    subsets: Mapping[str, Mapping[str, Sequence[str]]]
    quick: Mapping[str, Any]
    protocol: Protocol
    limits: Limits
    dispersion: str = ""
    cation_spin: Mapping[str, int] | None = None
    literature: Mapping[str, float] | None = None
    aims: Mapping[str, float] | None = None
    remark: str = ""
    accurate: Mapping[str, Any] | None = None
    quantity: str = ENERGY
    table: Mapping[str, Any] | None = None


def names() -> list[str]:
    """Names of all sets."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


@cache
def load(name: str) -> BenchmarkSet:
    """Read the set's file.

    Raises
    ------
    InputError
        If there is no such set.
    """
    if name not in names():
        raise InputError(f"no benchmark set {name!r}; there are {', '.join(names())}", given=name)
    record = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    record["protocol"] = Protocol(**record["protocol"])
    record["limits"] = Limits(**record["limits"])
    return BenchmarkSet(name=name, **record)


def changed(protocol: Protocol, **values: Any) -> Protocol:
    """Protocol with those values that are not None."""
    kept = {field.name: getattr(protocol, field.name) for field in fields(protocol)}
    return Protocol(**{**kept, **{name: v for name, v in values.items() if v is not None}})
