"""Enhancement factors: the energy over that of the uniform gas's exchange, F = e / e_x(n).

As functions of the dimensionless variables that functionals are drawn with: the Wigner-Seitz
radius rs, the reduced gradient s, alpha (0 in one orbital, 1 in the uniform gas) and the
polarization zeta.
Source: J. Sun, A. Ruzsinszky, J. P. Perdew, Phys. Rev. Lett. 115, 036402 (2015),
doi:10.1103/PhysRevLett.115.036402.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from xcnet.density import Array
from xcnet.operators import Descriptor
from xcnet.sample import NO_DESCRIPTORS, UNIFORM_TAU

_SLATER = -0.75 * (3.0 / np.pi) ** (1.0 / 3.0)
_FERMI = 2.0 * (3.0 * np.pi**2) ** (1.0 / 3.0)


def density(rs: npt.ArrayLike) -> Array:
    """Density of a Wigner-Seitz radius (bohr), bohr^-3."""
    return np.asarray(3.0 / (4.0 * np.pi * np.asarray(rs, dtype=np.float64) ** 3))


def points(
    variables: Iterable[str],
    rs: npt.ArrayLike = 1.0,
    s: npt.ArrayLike = 0.0,
    alpha: npt.ArrayLike = 1.0,
    zeta: npt.ArrayLike = 0.0,
    descriptors: Mapping[str, Descriptor] = NO_DESCRIPTORS,
) -> dict[str, Array]:
    """Spin-resolved variables ``(N, k)`` of densities whose spins differ in their number only.

    The Laplacian is zero, and descriptors are those of the uniform gas.
    """
    broadcast = np.broadcast_arrays(
        *(np.asarray(x, dtype=np.float64) for x in (rs, s, alpha, zeta))
    )
    rs, s, alpha, zeta = (x.ravel() for x in broadcast)
    n = density(rs)
    share = np.stack([1.0 + zeta, 1.0 - zeta], axis=1) / 2.0
    rho = n[:, None] * share
    gradient = (s * _FERMI * n ** (4.0 / 3.0))[:, None] * share
    up, down = gradient.T
    # tau_W of a channel is gradient^2/(8 rho), also where the channel is empty.
    weizsaecker = (s * _FERMI * n ** (4.0 / 3.0))[:, None] ** 2 * share / (8.0 * n[:, None])
    values = {
        "rho": rho,
        "sigma": np.stack([up * up, up * down, down * down], axis=1),
        "lapl": np.zeros_like(rho),
        "tau": weizsaecker + alpha[:, None] * UNIFORM_TAU * rho ** (5.0 / 3.0),
        **{label: descriptor.uniform_gas(rho) for label, descriptor in descriptors.items()},
    }
    return {name: values[name] for name in variables}


def uniform_exchange(n: Array) -> Array:
    """Exchange energy per particle of the unpolarized uniform gas, Hartree."""
    return np.asarray(_SLATER * n ** (1.0 / 3.0))
