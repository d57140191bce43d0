"""What a nonlocal descriptor is: its facts, and its map from the density to the values.

A functional's energy density f = n zk depends at each point on the density there, x (n, its
gradient, tau), and on descriptors U of the density everywhere. There are two kinds.

`GridOperator`: U = S (w p). Channels p at the points are made by a pointwise graph, or are the
density itself; w are the weights. S is fixed by points, weights and atoms, linear, and never
stored: a `LinearMap` applies it and its exact transpose, so that the energy's derivative

    dE/dp_j = w_j a_j,    a = S^T (w f_U)

needs no division by a weight, which may be zero or negative.

`fields.OrbitalField`: U is a function of the density matrix of one spin, computed with the host's
atomic orbitals; the derivative of the energy by the density matrix is a Fock matrix.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Protocol, Self

import numpy as np

from xcnet.operators.points import Array as Array
from xcnet.operators.points import Points as Points

Rng = np.random.Generator


@dataclass(frozen=True)
class Descriptor:
    """A nonlocal descriptor with its parameters: a frozen dataclass whose fields the record holds.

    Attributes
    ----------
    label : str
        Name in records and of the graphs' input: lower case, no digits, no variable of libxc's.
    width : int
        Number of values at a point, of each spin if ``spin_resolved``.
    spin_resolved : bool
        Whether each spin has its own: those of spin a come first, then those of spin b; of a
        closed shell the sums of both. Otherwise they are of the total density.
    floor : float or None
        Least value that graphs are given, also where quadrature noise takes it below; the
        derivative there is zero. None for values of any sign.
    scales : bool
        Whether `scaled` gives what a uniformly scaled density has.
    schema : mapping
        JSON schema of the parameters in a record.
    """

    label: ClassVar[str]
    width: ClassVar[int] = 1
    spin_resolved: ClassVar[bool] = False
    floor: ClassVar[float | None] = None
    scales: ClassVar[bool] = False
    schema: ClassVar[Mapping[str, Any]]

    @classmethod
    def from_record(cls, parameters: Mapping[str, Any]) -> Self:
        """Descriptor of parameters that fit the schema.

        Raises
        ------
        ValueError
            They contradict each other.
        """
        return cls(**parameters)

    def parameters(self) -> dict[str, Any]:
        """What a record holds of it."""
        fields = asdict(self)
        return {name: value for name, value in fields.items() if value is not None}

    def uniform_gas(self, rho: Array) -> Array:
        """Values (N, k) in uniform gases of the spin densities rho (N, 2), bohr^-3."""
        raise NotImplementedError

    def sample(self, n: Array, rho: Array, rng: Rng, wide: bool) -> Array:
        """Values (N, k) that may occur at densities n (N, 1), of the spins rho (N, 2).

        ``wide``: of all kinds, for reference vectors; otherwise strictly above the floor and of
        moderate size, so that small steps stay inside every bound.
        """
        raise NotImplementedError

    def scaled(self, values: Array, gamma: Array) -> Array:
        """Values (N, k) of the uniformly scaled density, gamma^3 n(gamma r), where r is scaled to.

        ``gamma`` is (N, 1) or (1, 1). By default they stay: the descriptor has a length of its own,
        and what it becomes is not known from the values at a point. Whoever knows it says
        ``scales``.
        """
        return values

    def energy_scale(self, values: Array) -> Array:
        """Energy per volume (N,), not negative, that values may bring into a functional."""
        return np.zeros(len(values))

    def hydrogen(self, radii: Array) -> Array | None:
        """Values (N, k) in the hydrogen atom, spin a, at distances (N,) in bohr; None if unknown.

        Functionals are then checked for the one-electron limit.
        """
        return None


@dataclass(frozen=True, eq=False)
class Motion:
    """What an energy changes by as points, atoms and weights move, beyond w v grad x of points.

    Attributes
    ----------
    points : (3, N)
        By the place of each point, Hartree/bohr.
    atoms : (A, 3) or None
        By the place of each atom at fixed points.
    weights : (N,) or None
        By each weight, beyond the energy density f: Hartree bohr^-3.
    """

    points: Array
    atoms: Array | None = None
    weights: Array | None = None


class LinearMap(Protocol):
    """The linear map S of a grid operator on one set of points."""

    def apply(self, charges: Array) -> Array:
        """U (N, width) of the charges w p (N, channels)."""

    def transpose(self, slopes: Array) -> Array:
        """a = S^T x (N, channels) of x = w f_U (N, width): exactly the transpose of `apply`."""

    def motion(
        self, channels: Array, slopes: Array, adjoint: Array, gradient: Array | None
    ) -> Motion:
        """Derivatives of (w f_U) . S (w p) as the grid and the atoms move, at fixed w, p and f_U.

        Parameters
        ----------
        channels : (N, channels)
            p.
        slopes : (N, width)
            f_U, zero where U is clipped.
        adjoint : (N, channels)
            a = S^T (w f_U).
        gradient : (3, N) or None
            Of the density, where that is the channel: for operators that are fields of it.

        Returns
        -------
        Motion
            Of an exact S: by points and atoms, and p . a by the weights (`exact_motion`).
        """


def exact_motion(by_points: Array, by_atoms: Array, channels: Array, adjoint: Array) -> Motion:
    """Motion of a map whose derivatives by points (3, N) and by atoms (A, 3) are exact."""
    return Motion(by_points, by_atoms, np.einsum("nc,nc->n", channels, adjoint))


@dataclass(frozen=True)
class GridOperator(Descriptor):
    """A descriptor that is a linear map of channels on the grid.

    Attributes
    ----------
    channels : int
        Number of channels that it maps: with the record's `channels` these come from a pointwise
        graph, otherwise there is one, the total density.
    """

    channels: ClassVar[int] = 1

    def on(self, points: Points) -> LinearMap:
        """Return the map on a set of points, whose weights it may read.

        Raises
        ------
        InputError, MissingInputError
            The points are not what it needs.
        MissingPackageError
            A package that it needs is not installed.
        """
        raise NotImplementedError
