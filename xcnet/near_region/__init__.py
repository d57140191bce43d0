"""The near-region density, a nonlocal descriptor, and its exact adjoint on any grid.

R(r) = integral of n(r') exp(-|r - r'|/sigma): the density gathered within a fraction of a bohr
around a point (R. Nagai, R. Akashi, O. Sugino, npj Comput. Mater. 6, 43 (2020),
doi:10.1038/s41524-020-0310-0). A functional's record says which of two definitions it was
trained with: ``grid-sum``, the published sum over the molecular grid, or ``continuum``, the
integral itself.

On a grid both are R = S (w n) with a matrix S that is never stored: an `Operator` applies it and
its transpose. The energy sum_i w_i n_i zk(x_i, R_i) then has the exact derivative

    dE/dn_i = w_i (v_i + [S^T (w f_R)]_i),    f_R = d(n zk)/dR,

so that the nonlocal potential needs no division by the weights, which may be zero or negative.
The continuum's S itself may contain 1/w: its potential means something only times w.
"""

from __future__ import annotations

from typing import Protocol

from xcnet.errors import ModelError
from xcnet.near_region.points import Array, Atoms, Points
from xcnet.spec import NearRegion

__all__ = ["Array", "Atoms", "Operator", "Points", "operator"]


class Operator(Protocol):
    """The linear map S from weighted densities to R, for one set of points."""

    def apply(self, charges: Array) -> Array:
        """R (N,) in electrons from charges w n (N,) in electrons."""

    def transpose(self, slopes: Array) -> Array:
        """S^T x (N,) for x (N,): the nonlocal potential from x = w d(n zk)/dR."""


def operator(descriptor: NearRegion, points: Points) -> Operator:
    """Operator of a functional's descriptor on a set of points.

    Parameters
    ----------
    descriptor : NearRegion
        Definition, width (bohr) and cut-off, from the functional's record.
    points : Points
        Validated coordinates and, for the continuum, their atoms.

    Raises
    ------
    ModelError
        The definition is not known.
    InputError, MissingInputError
        The points are not what the definition needs.
    MissingPackageError
        Numba is not installed.
    """
    if descriptor.definition == "grid-sum" and descriptor.cutoff is not None:
        from xcnet.near_region.grid_sum import GridSum

        return GridSum(points.coords, descriptor.sigma_bohr, descriptor.cutoff)
    if descriptor.definition == "continuum":
        from xcnet.near_region.continuum import Continuum

        return Continuum(points, descriptor.sigma_bohr)
    raise ModelError(
        f"near_region: the definition {descriptor.definition!r} with the cut-off "
        f"{descriptor.cutoff} is not known; there are 'grid-sum', which needs a cut-off, and "
        "'continuum'",
        definition=descriptor.definition,
    )
