"""A partition of the density among the atoms whose parts are smooth on spheres around each atom.

Hosts cut space sharply, so that each atomic grid integrates its own part well on the whole; the
parts' expansions in harmonics then need more angular points than these grids have. Densities are
known at all points, so that the parts may be any others: fuzzy cells (A. D. Becke, J. Chem. Phys.
88, 2547 (1988), doi:10.1063/1.454033) of a softer kind, times 1/r, which keeps each nucleus to
its own atom. All constants were chosen by measurement: the expansion's error for small molecules
of H to Cl.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xcnet import threads
from xcnet.operators import compiled
from xcnet.operators.points import Array, Points

#: A point's share may exceed the host's by this factor, since a density is known only times its
#: weight; where the host's share is smaller still, the own one is left out.
LARGEST = 1e8
#: Own shares that may be left out. If there are larger ones, the host's weights vanish where the
#: own cells do not (some hosts' cells end sharply), and the host's shares are used everywhere.
LEFT_OUT = 1e-3
CHUNK = 4096


def factors(points: Points, neighbours: npt.NDArray[np.intp], distances: Array) -> Array:
    """What turns weights w of the host into volumes times own shares, (N,); 1 without elements.

    Parameters
    ----------
    points : Points
        With atoms.
    neighbours, distances : (A, A)
        Atoms by their distance from each atom, and these distances in bohr.
    """
    atoms, weights = points.atoms, points.weights
    unchanged = np.ones(len(weights))
    if atoms is None or atoms.numbers is None:
        return unchanged
    loops = compiled.loops("near_region.partition_loops")
    shares = np.zeros(len(weights))
    rows = np.searchsorted([2, 11], atoms.numbers, side="right")

    def work(part: slice) -> None:
        loops.shares(
            points.coords,
            atoms.parents,
            atoms.centres,
            rows,
            neighbours,
            distances,
            part.start,
            part.stop,
            shares,
        )

    threads.for_each_chunk(len(weights), CHUNK, work)
    wanted = shares * atoms.volumes
    known = np.abs(weights) * LARGEST > np.abs(wanted)
    if shares[~known].max(initial=0.0) > LEFT_OUT:
        return unchanged
    return np.divide(wanted, weights, out=np.zeros(len(weights)), where=known)
