"""LYP correlation in torch: C. Lee, W. Yang, R. G. Parr, Phys. Rev. B 37, 785 (1988).

doi:10.1103/PhysRevB.37.785, in the form that has gradients only: B. Miehlich, A. Savin, H. Stoll,
H. Preuss, Chem. Phys. Lett. 157, 200 (1989), doi:10.1016/0009-2614(89)87234-3, equation (2). With
|grad n|^2 = s_aa + 2 s_ab + s_bb its last three terms are

    -4/3 n^2 s_ab - n_a^2 s_bb - n_b^2 s_aa,

which does not cancel where one spin is alone. There, and for any one electron, the energy is zero.
"""

from __future__ import annotations

from math import pi

from torch import Tensor, exp

A, B, C, D = 0.04918, 0.132, 0.2533, 0.349
C_F = 0.3 * (3.0 * pi**2) ** (2.0 / 3.0)


def lyp_c(a: Tensor, b: Tensor, sigma: Tensor) -> Tensor:
    """Energy per particle (N,) of both spins' densities (N,) and gradient products (N, 3)."""
    n = a + b
    root, share_a, share_b = n ** (1.0 / 3.0), a / n, b / n
    aa, ab, bb = (sigma[:, i] / _eight_thirds(n, root) for i in range(3))
    screening, delta = _screening(root)
    kinetic = 2.0 ** (11.0 / 3.0) * C_F * (share_a ** (8.0 / 3.0) + share_b ** (8.0 / 3.0))
    unequal = share_a * aa + share_b * bb
    inner = (
        kinetic
        + (47.0 - 7.0 * delta) / 18.0 * (aa + 2.0 * ab + bb)
        - (2.5 - delta / 18.0) * (aa + bb)
        - (delta - 11.0) / 9.0 * unequal
    )
    product = share_a * share_b
    rest = 4.0 / 3.0 * ab + share_a * share_a * bb + share_b * share_b * aa
    return -A * screening * (4.0 * product + B * exp(-C / root) * (product * inner - rest))


def lyp_c_closed_shell(n: Tensor, sigma: Tensor) -> Tensor:
    """The same (N,) of a closed shell's total density and gradient (N,)."""
    root = n ** (1.0 / 3.0)
    screening, delta = _screening(root)
    gradient = sigma / _eight_thirds(n, root)
    inner = C_F - (3.0 + 7.0 * delta) / 72.0 * gradient
    return -A * screening * (1.0 + B * exp(-C / root) * inner)


def _eight_thirds(n: Tensor, root: Tensor) -> Tensor:
    four_thirds = n * root
    return four_thirds * four_thirds


def _screening(root: Tensor) -> tuple[Tensor, Tensor]:
    """1 / (1 + d n^(-1/3)) and delta, of n^(1/3)."""
    screening = root / (root + D)
    return screening, C / root + D / (root + D)
