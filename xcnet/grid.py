"""Functionals on a whole grid: the one evaluation of nonlocal functionals, for all hosts.

The energy E = sum_i w_i n_i zk_i depends on the density at point i also through descriptors U at
all others (`xcnet.operators`). Its exact derivative, dE/dx_i = w_i v_i, defines the effective
potential v (`xcnet.stages`): nothing is divided by a weight, which may be zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Any

import numpy as np

from xcnet import engine, rows, threads, variables
from xcnet.errors import InputError, UnsupportedError
from xcnet.operators import (
    Array,
    DensityMatrices,
    Descriptor,
    GridOperator,
    LinearMap,
    Motion,
    OrbitalField,
    read_points,
    read_values,
)
from xcnet.spec import ADJOINT, CHANNELS, HIDDEN, HIDDEN_SLOPES
from xcnet.stages import Evaluation, FieldStage, GridStage, Kept, Stage
from xcnet.terms import TermFunctional

#: Bytes of hidden values and their slopes that are kept for one functional; points beyond compute
#: them again.
MOST_HIDDEN = 1 << 30

Terms = Sequence[tuple[float, TermFunctional]]


class Grid:
    """All points of a calculation, in any order. A host makes it once per geometry.

    Parameters
    ----------
    coords : (N, 3) array
        Points, bohr.
    weights : (N,) array
        Integration weights, bohr^3, of any sign.
    centres : (A, 3) array, optional
        Centres of the atomic grids, bohr. Some descriptors need this and the next two.
    parents : (N,) array of int, optional
        Centre that each point belongs to, -1 for none (padding of zero weight).
    volumes : (N,) array, optional
        Weights before the partition among the atoms.
    numbers : (A,) array, optional
        Atomic numbers of the centres, 0 for ghosts. With them the continuum descriptor is several
        times more accurate on coarse grids, and the nonlocal potential has a meaning only times
        the weights: it is huge where a weight is tiny.

    Raises
    ------
    InputError, ArgumentTypeError
        Naming the array that is wrong.
    """

    def __init__(
        self,
        coords: Any,
        weights: Any,
        *,
        centres: Any = None,
        parents: Any = None,
        volumes: Any = None,
        numbers: Any = None,
    ) -> None:
        self.points = read_points(coords, weights, centres, parents, volumes, numbers)
        self._maps: dict[GridOperator, LinearMap] = {}

    def __len__(self) -> int:
        return len(self.points.weights)

    def map(self, descriptor: GridOperator) -> LinearMap:
        """The descriptor's linear map S on these points, made when first asked for."""
        linear_map = self._maps.get(descriptor)
        if linear_map is None:
            linear_map = self._maps[descriptor] = descriptor.on(self.points)
        return linear_map

    def values(self, descriptor: GridOperator, channels: Any) -> Array:
        """U = S (w p) (N, k) of channels p (N,) or (N, c), such as the total density in bohr^-3.

        Quadrature noise can take it below its floor; functionals clip it.
        """
        channels = read_values("channels", channels, len(self), descriptor.channels)
        return self.map(descriptor).apply(self.points.weights[:, None] * channels)

    def adjoint(self, descriptor: GridOperator, values: Array, slopes: Any) -> Array:
        """a = S^T (w f_U) (N, c), from f_U (N, k) at the values U (N, k).

        For the density as channel: the nonlocal part of the potential, Hartree, which is added to
        the derivative by rho, of either spin, at fixed U.
        """
        slopes = read_values("slopes", slopes, len(self), descriptor.width)
        if descriptor.floor is not None:  # a clipped descriptor does not change with the density
            slopes = np.where(np.reshape(values, slopes.shape) > descriptor.floor, slopes, 0.0)
        return self.map(descriptor).transpose(self.points.weights[:, None] * slopes)

    def check_size(self, points: int, functional: str) -> None:
        """Raise InputError unless the density has as many points as the grid."""
        if points != len(self):
            raise InputError(
                f"{functional}: the density has {points} points, coords and weights have "
                f"{len(self)}; a nonlocal functional is evaluated on the whole grid at once",
                functional=functional,
                argument="coords",
                expected=len(self),
                given=points,
            )


def evaluate(
    grid: Grid,
    terms: Terms,
    inputs: Mapping[str, Array],
    order: int = 1,
    *,
    rest: Mapping[str, Array] | None = None,
    matrices: DensityMatrices | None = None,
) -> Evaluation:
    """Evaluate weighted functionals on a whole grid: channels, descriptors, graphs, adjoints.

    Parameters
    ----------
    grid : Grid
        All N points.
    terms : sequence of (weight, functional)
        Local and nonlocal ones, of one spin.
    inputs : mapping
        Validated density variables (N, k), without descriptors.
    order : int
        0 energies, 1 potentials, 2 also what `Evaluation.response` needs.
    rest : mapping, optional
        Outputs (N, width) of what the host evaluates itself, by label, to be added.
    matrices : DensityMatrices, optional
        For functionals with orbital fields.

    Raises
    ------
    UnsupportedError
        An orbital field without density matrices.
    """
    spin = variables.UNPOLARIZED if inputs["rho"].shape[1] == 1 else variables.POLARIZED
    stages: dict[Any, Stage] = {}
    read = [
        _stages(grid, i, term, inputs, matrices, stages, order) for i, (_, term) in enumerate(terms)
    ]
    evaluation = Evaluation(tuple(inputs), spin, [*stages.values()], grid.points.weights, order)
    if rest is not None:
        evaluation.add(rest)

    def work(part: slice) -> None:
        for (weight, term), own in zip(terms, read, strict=True):
            chunk = {name: inputs[name][part] for name in inputs}
            chunk |= {label: stage.values[part] for label, stage in own.items()}
            flags = [True] * (order + 1)
            labels = list(variables.requested_labels(term.variables, flags))
            handed = _handed(own, part)
            evaluation.add(term.evaluate(chunk | handed, labels), part, weight, own)
            if handed and weight != 1.0:
                handed[HIDDEN_SLOPES] *= weight

    threads.for_each_chunk(len(grid), _chunk(order, spin), work)
    for stage in stages.values() if order else ():
        evaluation.close(stage)
        if isinstance(stage, GridStage):
            stage.adjoint = stage.transposed(stage.slopes)
            evaluation.pull_back(stage, _pulled_back(stage, inputs, order))
            stage.forget_hidden()
    return evaluation


def _chunk(order: int, spin: int) -> int:
    return engine.chunk([True] * (order + 1), spin)


def _handed(stages: Mapping[str, Stage], part: slice) -> dict[str, Array]:
    """What first stages hand over at some points: that of the one grid operator with channels."""
    for stage in stages.values():
        if isinstance(stage, GridStage) and stage.term is not None:
            return stage.handed(part)
    return {}


def _stages(
    grid: Grid,
    place: int,
    term: TermFunctional,
    inputs: Mapping[str, Array],
    matrices: DensityMatrices | None,
    known: dict[Any, Stage],
    order: int,
) -> dict[str, Stage]:
    """Stages of the descriptors that a functional reads, by label; new ones become known.

    Those with channels belong to the functional in its place among the terms.
    """
    result = {}
    for label, descriptor in term.descriptors.items():
        own = term if term.has_channels and isinstance(descriptor, GridOperator) else None
        key = descriptor, None if own is None else place
        if key not in known:
            known[key] = _stage(grid, descriptor, own, inputs, matrices, order)
        result[label] = known[key]
    return result


def _stage(
    grid: Grid,
    descriptor: Descriptor,
    term: TermFunctional | None,
    inputs: Mapping[str, Array],
    matrices: DensityMatrices | None,
    order: int,
) -> Stage:
    if isinstance(descriptor, GridOperator):
        channels = inputs["rho"].sum(axis=1, keepdims=True)
        kept = None
        if term is not None:
            kept = _kept(term, inputs, order)
            channels = _channels(term, inputs, kept)
        return GridStage(
            descriptor=descriptor,
            values=grid.values(descriptor, channels),
            map=grid.map(descriptor),
            weights=grid.points.weights[:, None],
            term=term,
            channels=channels,
            kept=kept,
        )
    if not isinstance(descriptor, OrbitalField) or matrices is None:
        raise UnsupportedError(
            f"the descriptor {descriptor.label} is made of the density matrix, which is not given "
            "here: use the functional in PySCF (import xcnet.adapters.pyscf)",
            method=descriptor.label,
        )
    return FieldStage(descriptor=descriptor, values=matrices.values(descriptor), matrices=matrices)


def _kept(term: TermFunctional, inputs: Mapping[str, Array], order: int) -> Kept | None:
    """Room for hidden values of the first points, where a potential is wanted."""
    points, spin = inputs["rho"].shape
    width = term.hidden_width
    if order != 1 or not width:
        return None
    most = MOST_HIDDEN // (2 * 8 * width)
    size = _chunk(order, spin)
    return Kept(points if points <= most else most // size * size, width)


def _channels(term: TermFunctional, inputs: Mapping[str, Array], kept: Kept | None) -> Array:
    """Channels (N, c); hidden values are filled in on the way."""

    def work(part: slice) -> dict[str, Array]:
        chunk = {name: array[part] for name, array in inputs.items()}
        if kept is None or part.stop > len(kept):
            return term.first_stage(chunk, 0)
        return term.hand_over({**chunk, HIDDEN: kept.values[part]})

    # The same chunks as those of potentials, so that what is kept covers whole ones.
    return _gathered(inputs, 1, work)[CHANNELS]


def _pulled_back(stage: GridStage, inputs: Mapping[str, Array], order: int) -> dict[str, Array]:
    """Outputs (N, width) of the graph of channels with the adjoint; nothing for the density."""
    term = stage.term
    if term is None:
        return {}
    arrays = {**inputs, ADJOINT: stage.adjoint}

    def work(part: slice) -> dict[str, Array]:
        chunk = {name: array[part] for name, array in arrays.items()}
        return term.first_stage(chunk | stage.handed(part), order)

    return _gathered(inputs, order, work)


def _gathered(
    inputs: Mapping[str, Array], order: int, work: Callable[[slice], Mapping[str, Array]]
) -> dict[str, Array]:
    """Outputs (N, width) of what gives those of some points; all points give the derivatives."""
    points, spin = inputs["rho"].shape
    result: dict[str, Array] = {}
    lock = Lock()

    def put(part: slice) -> None:
        outputs = work(part)
        with lock:
            for label, values in outputs.items():
                if label not in result:
                    result[label] = np.empty((points, values.shape[1]))
                result[label][part] = values

    threads.for_each_chunk(points, _chunk(order, spin), put)
    return result


class OnRows:
    """An evaluation in a host's density rows, see `xcnet.rows`.

    Attributes
    ----------
    exc : (N,)
        Energy per particle, Hartree.
    potential : (s, R, N)
        Derivatives of the energy, divided by the weights, by the rows.
    """

    def __init__(self, evaluation: Evaluation, density_rows: Array) -> None:
        self._evaluation, self._rows = evaluation, density_rows
        self.exc = evaluation.zk[:, 0]
        self.potential = rows.by_rows(density_rows, evaluation.slopes)

    def fock(self) -> Array | None:
        """What orbital fields add to the potential matrices: (s, nao, nao), Hartree."""
        return self._evaluation.fock()

    def response(self, change: Array, matrices: Array | None = None) -> tuple[Array, Array | None]:
        """Change of `potential` (s, R, N) and of `fock`, to first order.

        Parameters
        ----------
        change : (s, R, N)
            Change of the rows.
        matrices : (s, nao, nao), optional
            Change of the density matrices, for orbital fields.
        """
        known = self._evaluation
        moved = rows.change_of(self._rows, change, known.names)
        slopes, fock = known.response(moved, np.empty(0) if matrices is None else matrices)
        return rows.change_by_rows(self._rows, change, known.slopes, slopes), fock

    def motion(self) -> Motion:
        """What moving points, atoms and weights add: `Evaluation.motion`."""
        return self._evaluation.motion(self._rows[:, rows.GRADIENT].sum(axis=0))


def evaluate_rows(
    grid: Grid,
    terms: Terms,
    density_rows: Array,
    order: int = 1,
    *,
    rest: Mapping[str, Array] | None = None,
    matrices: DensityMatrices | None = None,
) -> OnRows:
    """`evaluate` for density rows (s, R, N): n, its gradient and tau as far as terms read them."""
    read = {name for _, term in terms for name in term.variables}
    read |= {name for label in rest or () for name, _ in variables.powers(label)} | {"rho"}
    names = [name for name in variables.COMPONENTS if name in read]
    inputs = rows.variables_of(density_rows, names)
    evaluation = evaluate(grid, terms, inputs, order, rest=rest, matrices=matrices)
    return OnRows(evaluation, density_rows)
