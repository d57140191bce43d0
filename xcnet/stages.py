"""The stages of an evaluation, and what follows from their slopes.

With f = n zk at each point, x the density variables there, channels p(x), descriptors U = S (w p)
and a = S^T (w f_U), all derivatives follow from the pointwise ones, S and its transpose:

    potential      v  = f_x + p_x a
    its change     dv = f_xx dx + f_xU dU + p_x da + (a p_xx) dx,
                   dU = S (w p_x dx),  da = S^T (w (f_Ux dx + f_UU dU)).

For orbital fields dU follows from the change of the density matrices, and w f_U gives a Fock
matrix in place of a.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from xcnet import variables
from xcnet.errors import UnsupportedError
from xcnet.operators import (
    Array,
    DensityMatrices,
    Descriptor,
    GridOperator,
    LinearMap,
    Motion,
    OrbitalField,
)
from xcnet.rooms import Room
from xcnet.spec import ADJOINT, HIDDEN, HIDDEN_SLOPES
from xcnet.terms import TermFunctional

NOTHING: Array = np.empty(0)


@dataclass(eq=False, kw_only=True)
class Stage:
    """A descriptor in an evaluation, shared by all functionals that read the same.

    Attributes
    ----------
    descriptor : Descriptor
        With its parameters.
    values : (N, k)
        U, not clipped.
    slopes : (N, k)
        f_U, zero where U is clipped; empty for order 0.
    """

    descriptor: Descriptor
    values: Array
    slopes: Array = field(default_factory=lambda: NOTHING)


class Kept:
    """What a graph of channels hands over at the first points, uninitialized.

    Attributes
    ----------
    values, slopes : (M, h)
        Hidden values, and the derivatives by them.
    """

    def __init__(self, points: int, width: int) -> None:
        self._room = Room(2 * points * width)
        self.values, self.slopes = (self._room.cut(points, width) for _ in range(2))

    def __len__(self) -> int:
        return len(self.values)

    def forget(self) -> None:
        """Leave the memory to others."""
        self.values = self.slopes = NOTHING
        self._room.leave()


@dataclass(eq=False, kw_only=True)
class GridStage(Stage):
    """A grid operator in an evaluation.

    Attributes
    ----------
    descriptor : GridOperator
        With its parameters.
    map : LinearMap
        S on these points.
    weights : (N, 1)
        Of the points.
    term : TermFunctional or None
        Functional whose graph makes the channels; None where the density is the channel.
    channels : (N, c)
        p.
    adjoint : (N, c)
        a = S^T (w f_U); empty for order 0.
    jacobian : dict
        p_x by variable, (N, components, c); empty below order 2, and for the density.
    kept : Kept or None
        What the channels' graph hands over to the energy's, until it is pulled back.
    """

    descriptor: GridOperator
    map: LinearMap
    weights: Array
    term: TermFunctional | None
    channels: Array
    adjoint: Array = field(default_factory=lambda: NOTHING)
    jacobian: dict[str, Array] = field(default_factory=dict)
    kept: Kept | None = None

    def handed(self, part: slice) -> dict[str, Array]:
        """Hidden values at some points and room for their slopes; nothing unless all have them."""
        if self.kept is None or part.stop > len(self.kept):
            return {}
        return {HIDDEN: self.kept.values[part], HIDDEN_SLOPES: self.kept.slopes[part]}

    def forget_hidden(self) -> None:
        """Give up the memory of hidden values, which nothing needs once they are pulled back."""
        if self.kept is not None:
            self.kept.forget()
            self.kept = None

    def transposed(self, slopes: Array) -> Array:
        """S^T (w y) (N, c) of y (N, k)."""
        return self.map.transpose(self.weights * slopes)

    def change(self, change: Mapping[str, Array]) -> Array:
        """Change dU (N, k) with the variables."""
        if self.term is None:
            moved = change["rho"].sum(axis=1, keepdims=True)
        else:
            parts = [np.einsum("nkc,nk->nc", self.jacobian[x], dx) for x, dx in change.items()]
            moved = np.sum(parts, axis=0)
        return self.map.apply(self.weights * moved)

    def pulled_back(self, adjoint: Array, name: str) -> Array:
        """p_x a (N, components) for one variable, from the Jacobian."""
        if self.term is None:
            return adjoint if name == "rho" else np.zeros((len(adjoint), 1))
        return np.asarray(np.einsum("nkc,nc->nk", self.jacobian[name], adjoint))

    def motion(self, gradient: Array) -> Motion:
        """What motion of the grid adds; `gradient` (3, N) is that of the total density."""
        known = gradient if self.term is None else None
        return self.map.motion(self.channels, self.slopes, self.adjoint, known)


@dataclass(eq=False, kw_only=True)
class FieldStage(Stage):
    """An orbital field in an evaluation, of these density matrices."""

    descriptor: OrbitalField
    matrices: DensityMatrices


class Evaluation:
    """Functionals on a whole grid, and their derivatives; `xcnet.grid.evaluate` makes it.

    Attributes
    ----------
    names : tuple of str
        Density variables that the functionals read.
    weights : (N,)
        Of the points.
    mapped, fields : list
        The stages of grid operators, and of orbital fields.
    zk : (N, 1)
        Energy per particle, Hartree.
    """

    def __init__(
        self, names: Sequence[str], spin: int, stages: Sequence[Stage], weights: Array, order: int
    ) -> None:
        self.names, self.weights, self._spin = tuple(names), weights, spin
        self.mapped = [stage for stage in stages if isinstance(stage, GridStage)]
        self.fields = [stage for stage in stages if isinstance(stage, FieldStage)]
        sizes: dict[str | Stage, int] = {name: variables.width(name, spin) for name in names}
        sizes |= {stage: stage.values.shape[1] for stage in (*self.mapped, *self.fields)}
        ends = np.cumsum(list(sizes.values())).tolist()
        self._place: dict[str | Stage, slice] = {
            key: slice(end - sizes[key], end) for key, end in zip(sizes, ends, strict=True)
        }
        points = len(weights)
        self.zk = np.zeros((points, 1))
        # Derivatives by all variables and descriptors; those by variables get p_x a as well.
        self._first = np.zeros((ends[-1] if order else 0, points))
        self._second = np.zeros((ends[-1], ends[-1], points)) if order > 1 else None

    @property
    def slopes(self) -> dict[str, Array]:
        """Derivatives v (N, components) of the energy, divided by the weights, by variable."""
        return self._by_name(self._first)

    def add(
        self,
        outputs: Mapping[str, Array],
        part: slice = slice(None),
        weight: float = 1.0,
        stages: Mapping[str, Stage] | None = None,
    ) -> None:
        """Add outputs of a functional by label, at some points; it reads these stages."""
        for label, values in outputs.items():
            if label == "zk":
                self.zk[part] += weight * values
                continue
            columns = variables.components(label, self._spin)
            for factors, column in zip(columns, values.T, strict=True):
                rows = [self._row(name, i, stages or {}) for name, i in factors]
                if len(rows) == 1:
                    self._first[rows[0], part] += weight * column
                elif self._second is not None:
                    for first, second in {(rows[0], rows[1]), (rows[1], rows[0])}:
                        self._second[first, second, part] += weight * column

    def close(self, stage: Stage) -> None:
        """Fix the slopes of a descriptor: where it is clipped it does not change."""
        place, floor = self._place[stage], stage.descriptor.floor
        for row, values in zip(range(place.start, place.stop), stage.values.T, strict=True):
            if floor is None:
                continue
            clipped = np.flatnonzero(values <= floor)
            self._first[row, clipped] = 0.0
            if self._second is not None:
                self._second[row, :, clipped] = 0.0
                self._second[:, row, clipped] = 0.0
        stage.slopes = self._first[place].T

    def pull_back(self, stage: GridStage, outputs: Mapping[str, Array]) -> None:
        """Add p_x a, and for order 2 a p_xx, of a stage whose adjoint is known.

        Parameters
        ----------
        stage : GridStage
            One of the stages.
        outputs : mapping
            Of the graph of channels, contracted with the adjoint; nothing for the density.
        """
        if stage.term is None:
            self._first[self._place["rho"]] += stage.adjoint.T
            return
        self.add({k: v for k, v in outputs.items() if k[0] == "v" and not k.endswith(ADJOINT)})
        for name in self.names:
            flat = outputs.get(f"v2{name}{ADJOINT}")
            if flat is not None:
                shape = len(flat), variables.width(name, self._spin), stage.channels.shape[1]
                stage.jacobian[name] = flat.reshape(shape)

    def fock(self) -> Array | None:
        """Fock matrices (s, nao, nao) of the orbital fields, Hartree; None without any."""
        scale = self.weights[:, None]
        return _sum([s.matrices.fock(s.descriptor, scale * s.slopes) for s in self.fields])

    def response(
        self, change: Mapping[str, Array], matrices: Array
    ) -> tuple[dict[str, Array], Array | None]:
        """Change of `slopes` and of `fock` to first order, for values of order 2.

        Parameters
        ----------
        change : mapping
            Change (N, components) of every variable.
        matrices : (s, nao, nao)
            Change of the density matrices, for orbital fields; empty without any.
        """
        assert self._second is not None  # of order 2
        moved = [change[name] for name in self.names]
        moved += [stage.change(change) for stage in self.mapped]
        moved += [stage.matrices.change(stage.descriptor, matrices) for stage in self.fields]
        first = np.einsum("klg,lg->kg", self._second, np.hstack(moved).T)
        slopes = self._by_name(first)
        for stage in self.mapped:
            adjoint = stage.transposed(first[self._place[stage]].T)
            slopes = {n: v + stage.pulled_back(adjoint, n) for n, v in slopes.items()}
        scale, focks = self.weights[:, None], []
        for field_ in self.fields:
            kind, known = field_.descriptor, field_.matrices
            focks.append(known.fock(kind, scale * first[self._place[field_]].T))
            focks.append(known.fock_change(kind, matrices, scale * field_.slopes))
        return slopes, _sum(focks)

    def motion(self, gradient: Array) -> Motion:
        """What moving points, atoms and weights add to (w v) grad x of the points.

        Parameters
        ----------
        gradient : (3, N)
            Of the total density.

        Raises
        ------
        UnsupportedError
            For an orbital field.
        """
        for stage in self.fields:
            raise UnsupportedError(
                f"nuclear gradients with the descriptor {stage.descriptor.label} are not there: "
                "take differences of energies",
                method="gradient",
            )
        parts = [stage.motion(gradient) for stage in self.mapped]
        points = np.sum([np.zeros_like(gradient), *(part.points for part in parts)], axis=0)
        atoms = _sum([part.atoms for part in parts if part.atoms is not None])
        weights = _sum([part.weights for part in parts if part.weights is not None])
        return Motion(points, atoms, weights)

    def _row(self, name: str, component: int, stages: Mapping[str, Stage]) -> int:
        first: int = self._place[stages.get(name, name)].start
        return first + component

    def _by_name(self, rows: Array) -> dict[str, Array]:
        return {name: rows[self._place[name]].T for name in self.names}


def _sum(parts: Sequence[Array]) -> Array | None:
    return np.sum(parts, axis=0) if parts else None
