"""Training sets: one module each, holding ``SYSTEMS``; adding a set is adding a file here."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass

from xcnet.errors import InputError


@dataclass(frozen=True)
class System:
    """One atom or molecule whose density enters the training.

    Parameters
    ----------
    name : str
        Short formula, unique within a recipe.
    geometry : str
        Lines or ``;``-separated entries ``symbol x y z`` in angstrom.
    spin : int
        Number of unpaired electrons.
    """

    name: str
    geometry: str
    spin: int

    @property
    def elements(self) -> tuple[str, ...]:
        """Symbol of each atom, in the order of the geometry."""
        return tuple(entry.split()[0] for entry in self.geometry.split(";"))


def names() -> list[str]:
    """Names of the training sets: the modules in this folder."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load(name: str) -> tuple[System, ...]:
    """Systems of the set ``name``; an InputError lists the known sets when it does not exist."""
    if name not in names():
        raise InputError(
            f"unknown training set {name!r}; known sets: {', '.join(names())}", argument="sets"
        )
    systems: tuple[System, ...] = importlib.import_module(f"{__name__}.{name}").SYSTEMS
    return systems
