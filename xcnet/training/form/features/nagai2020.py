"""Form of R. Nagai, R. Akashi, O. Sugino, npj Comput. Mater. 6, 43 (2020).

doi:10.1038/s41524-020-0310-0. One network makes exchange and correlation together: the energy
density is -n^(4/3) p (1 + f) with p the mean of (1 +- zeta)^(4/3) and f > -1 of logarithms of the
density, p, the reduced gradient, the reduced kinetic energy density and the near-region density.
The logarithm of a vanishing gradient falls to that of a tiny number: the form has cusps there.
"""

from __future__ import annotations

import torch
from torch import Tensor

from xcnet.training.form.features.form import PartForm

#: Keeps the logarithms and quotients finite; part of the published form.
TINY = 1e-7
CITATION = {
    "key": "Nagai2020_43",
    "text": "R. Nagai, R. Akashi, and O. Sugino, npj Comput. Mater. 6, 43 (2020)",
    "doi": "10.1038/s41524-020-0310-0",
    "bibtex": (
        "@article{Nagai2020_43,\n"
        "  title = {Completing density functional theory by machine learning hidden messages "
        "from molecules},\n"
        "  author = {Nagai, Ryo and Akashi, Ryosuke and Sugino, Osamu},\n"
        "  journal = {npj Computational Materials},\n"
        "  volume = {6},\n"
        "  pages = {43},\n"
        "  year = {2020},\n"
        "  doi = {10.1038/s41524-020-0310-0}\n"
        "}"
    ),
}


def ingredients(
    up: Tensor,
    down: Tensor,
    sigma: Tensor | None = None,
    tau: Tensor | None = None,
    near_region: Tensor | None = None,
) -> tuple[list[Tensor], Tensor]:
    """Features before the logarithm, and p, all of the shape of the arguments.

    ``up`` and ``down`` are the spin densities; ``sigma``, the squared gradient, ``tau`` and the
    near-region density are those of the total density; what is left out gives no feature.
    """
    n = up + down
    u = (n + TINY) ** (1 / 3)
    # 1 + z and 1 - z with z = (up - down) / (n + TINY), free of cancellation at |z| = 1.
    more, less = (2 * up + TINY) / (n + TINY), (2 * down + TINY) / (n + TINY)
    p = (more ** (4 / 3) + less ** (4 / 3)) * 0.5
    features = [u, p]
    if sigma is not None:
        # Each of aa, 2 ab, bb brings its own 1e-7.
        features.append(((sigma + 4 * TINY) ** 0.5 + TINY) / u**4)
    if tau is not None:
        d = more ** (5 / 3) + less ** (5 / 3)
        features.append((tau + TINY) / (u**5 * d))
    if near_region is not None:
        features.append(torch.clamp(near_region, min=0.0) + TINY)
    return features, p


def columns(
    rho_a: Tensor, rho_b: Tensor, sigma: Tensor, tau: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Parts of the energy density ``base + coefficient f(features)``.

    Parameters
    ----------
    rho_a, rho_b, sigma, tau : (...)
        Spin densities; squared gradient and kinetic energy density of the total density.

    Returns
    -------
    base (...), coefficients (..., 1), features (..., 4)
    """
    features, p = ingredients(rho_a, rho_b, sigma, tau)
    base = -((rho_a + rho_b) ** (4 / 3)) * p
    return base, base[..., None], torch.log(torch.stack(features, -1))


META_GGA = PartForm(4, 1, columns, "elu")
