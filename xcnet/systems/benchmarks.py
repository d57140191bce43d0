"""All sets that benchmarks can run: those with a protocol file, and the public sets.

Public sets have one protocol: a basis with diffuse functions, for anions are among them. Their
functionals get D4 where dftd4 has parameters.
"""

from __future__ import annotations

from collections.abc import Sequence

from xcnet.systems import public_sets, quantities, reactions, sets, training_sets
from xcnet.systems.public_sets import PublicSet
from xcnet.systems.reactions import Reaction
from xcnet.systems.sets import BenchmarkSet, Limits, Protocol
from xcnet.systems.units import KCAL_PER_HARTREE

PUBLIC = "public"
PROTOCOL = Protocol(
    basis="def2-TZVPPD",
    grid_level=3,
    finer_grids=True,
    guess_grid_level=1,
    density_fit="def2-universal-jkfit",
    tolerance=1e-8,
)
LIMITS = Limits(memory_gb=8, seconds=14400)


def names() -> list[str]:
    """Names of all sets."""
    return sorted([*sets.names(), *public_sets.names()])


def load(name: str) -> BenchmarkSet:
    """Set of a name (InputError if there is none)."""
    return _described(public_sets.load(name)) if name in public_sets.names() else sets.load(name)


def _described(public: PublicSet) -> BenchmarkSet:
    subsets: dict[str, dict[str, Sequence[str]]] = {
        public.set if public.format == "gscdb" else public.name: {"without": ()}
    }
    if public.large:
        subsets["at most 17 heavy atoms"] = {"without": public.large}
    return BenchmarkSet(
        name=public.name,
        title=public.title,
        reactions=PUBLIC,
        unit="kcal/mol",
        geometries=public.citation,
        reference=public.citation,
        subsets=subsets,
        quick={},
        protocol=PROTOCOL,
        limits=LIMITS,
        dispersion="D4",
    )


def of_set(chosen: BenchmarkSet, only: Sequence[str] | None = None) -> list[Reaction]:
    """Reactions of a set, or those of them that are named, with references in its unit.

    Raises
    ------
    InputError
        The set has no reaction of a name, or its data are not on this machine.
    """
    if chosen.quantity != sets.ENERGY:
        return reactions.named(chosen.name, {q.name: q for q in quantities.of_set(chosen)}, only)
    if chosen.reactions != PUBLIC:
        return reactions.reactions(chosen, only)
    by_name = {
        reaction.name: Reaction(
            reaction.name, reaction.terms, reaction.reference * KCAL_PER_HARTREE, reaction.weight
        )
        for reaction in training_sets.load(chosen.name).reactions
    }
    return reactions.named(chosen.name, by_name, only)
