"""What is looked at before any work of a training: names, sets, basis sets, record, folders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from pathlib import Path

from xcnet import install, registry
from xcnet.errors import InputError, UnknownFunctionalError, UnsupportedError, XCNetError
from xcnet.export.exporter import planned
from xcnet.libxc import Functional
from xcnet.references import accurate
from xcnet.scf import calculation
from xcnet.scf.molecule import build
from xcnet.spec import FunctionalSpec
from xcnet.systems import training_sets
from xcnet.systems.molecules import Molecule
from xcnet.training import rounds
from xcnet.training.loss import parts
from xcnet.training.publish.records import record
from xcnet.training.recipe import Recipe, RefinementSettings
from xcnet.variables import POLARIZED


@dataclass(frozen=True)
class Training:
    """A recipe, its file, and where its functional's folder is to be."""

    recipe: Recipe
    path: Path
    target: Path

    def check(self) -> None:
        """Raise InputError if the training could not be done, or not be exported in the end."""
        if self.target.exists():
            raise InputError(
                f"{self.target} exists already; remove it or choose another --output",
                file=str(self.target),
            )
        systems = self.systems()
        with self._about("densities.xc"):
            _check_libxc(self.recipe.densities.xc)
        with self._about("densities.basis"):
            _check_basis(systems, self.recipe.densities.basis)
        for part in parts.trained(self.recipe.form):
            with self._about(f"{part.name}.target"):
                _check_target(parts.settings(part, self.recipe).target)
        if self.recipe.refinement is not None:
            self._check_refinement(self.recipe.refinement)
        with self._about("record"):
            self._check_record()

    def systems(self) -> list[Molecule]:
        """Systems that the fit uses."""
        with self._about("sets"):
            return training_sets.gather(training_sets.load(name) for name in self.recipe.sets)

    def _check_record(self) -> None:
        """Raise an error if the record is wrong, or a name in it belongs to another functional."""
        # What the training will find has a stand-in: the recipe for the weights, any density.
        facts = record(self.recipe, self.path, {"largest_density": inf}, "")
        spec = planned(facts, self.target)
        install.refuse_taken_names(spec, self._home(spec))

    def _home(self, spec: FunctionalSpec) -> Path:
        """Folder that has the functional of this very recipe already, or will have it."""
        try:
            known = registry.find(spec.name).spec
        except XCNetError:
            known = None
        made = known is not None and known.training.get("recipe_sha256") == self.recipe.sha256
        return known.folder.parent if known and made else self.target.parent

    def _check_refinement(self, settings: RefinementSettings) -> None:
        with self._about("refinement.sets"):
            systems = rounds.reactions(settings).systems
        states = settings.ground_states
        with self._about("refinement.start"):
            calculation.check_functional(settings.start)
        with self._about("refinement.ground_states.basis"):
            _check_basis(systems, states.basis)
        with self._about("refinement.ground_states.density_fit"):
            _check_basis(systems if states.density_fit else (), states.density_fit)
        if settings.orbitals is not None:
            with self._about("refinement.orbitals.set"):
                accurate.load(settings.orbitals.set)

    @contextmanager
    def _about(self, key: str) -> Iterator[None]:
        """Name the recipe's file and key in errors of what it says there."""
        try:
            yield
        except XCNetError as error:
            raise InputError(f"{self.path}: {key}: {error}", file=str(self.path)) from error


def _check_libxc(xc: str) -> None:
    from pyscf import dft

    try:
        dft.libxc.xc_type(xc)
    except (KeyError, ValueError, IndexError, AssertionError) as error:
        raise UnknownFunctionalError(
            f"PySCF's libxc has no functional {xc!r} ({error}); `xcnet list` shows those there are",
            functional=xc,
        ) from error


def _check_target(names: str) -> None:
    for name in names.split("+"):
        if Functional(name.strip(), POLARIZED).needs_laplacian:
            raise UnsupportedError(
                f"{name.strip()} needs the Laplacian of the density, which is not sampled",
                functional=name.strip(),
            )


def _check_basis(systems: Iterable[Molecule], basis: str) -> None:
    for system in systems:
        build(system, basis)
