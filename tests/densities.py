"""Random densities and Ridders' finite differences for the laws that every functional obeys."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

#: Uniform gas: tau = TAU_UNIFORM n^(5/3) for one spin channel of density n.
TAU_UNIFORM = 0.3 * (6.0 * np.pi**2) ** (2.0 / 3.0)


def random_densities(
    points: int, seed: int = 0, low: float = 1e-3, high: float = 10.0
) -> dict[str, Array]:
    """Polarized variables of physical densities, strictly inside every bound.

    Spin densities are log-uniform, reduced gradients up to 3, tau between the von Weizsaecker
    bound and about five times the uniform gas's, lapl of either sign.
    """
    rng = np.random.default_rng(seed)
    rho = np.exp(rng.uniform(np.log(low), np.log(high), (points, 2)))
    norm = rng.uniform(0.05, 3.0, (points, 2)) * 2.0 * (6.0 * np.pi**2) ** (1 / 3) * rho ** (4 / 3)
    saa, sbb = (norm**2).T
    # |sigma_ab| is limited by the mean, which is at least the geometric one.
    sab = rng.uniform(-0.95, 0.95, points) * np.sqrt(saa * sbb)
    sigma = np.stack([saa, sab, sbb], axis=1)
    uniform = TAU_UNIFORM * rho ** (5 / 3)
    tau = sigma[:, ::2] / (8.0 * rho) + rng.uniform(0.02, 5.0, (points, 2)) * uniform
    lapl = rng.normal(size=(points, 2)) * rho ** (5 / 3)
    return {"rho": rho, "sigma": sigma, "lapl": lapl, "tau": tau}


def closed_shell(polarized: Mapping[str, Array]) -> tuple[dict[str, Array], dict[str, Array]]:
    """Unpolarized variables, and the same density as polarized ones."""
    one = {"rho": 2 * polarized["rho"][:, :1], "sigma": 4 * polarized["sigma"][:, :1]}
    one |= {k: 2 * polarized[k][:, :1] for k in ("lapl", "tau")}
    two = {"rho": np.repeat(one["rho"] / 2, 2, 1), "sigma": np.repeat(one["sigma"] / 4, 3, 1)}
    two |= {k: np.repeat(one[k] / 2, 2, 1) for k in ("lapl", "tau")}
    return one, two


def ridders(
    function: Callable[[Array], Array], x: Array, step: Array, rows: int = 9
) -> tuple[Array, Array]:
    """Derivative of a function of one variable at many points, and its estimated error.

    Central differences with steps shrinking by 1.4, extrapolated by Neville's scheme; the entry
    of the smallest error estimate is taken at each point.
    Source: C. J. F. Ridders, Adv. Eng. Softw. 4, 75 (1982), doi:10.1016/S0141-1195(82)80057-0.
    """
    shrink = 1.4
    table: list[Array] = []
    best = np.zeros_like(x)
    error = np.full_like(x, np.inf)
    h = step.copy()
    for row in range(rows):
        new = [(function(x + h) - function(x - h)) / (2 * h)]
        factor = shrink**2
        for previous in table:
            new.append((new[-1] * factor - previous) / (factor - 1.0))
            factor *= shrink**2
            estimate = np.maximum(abs(new[-1] - new[-2]), abs(new[-1] - previous))
            better = estimate < error
            best = np.where(better, new[-1], best)
            error = np.where(better, estimate, error)
        table = new if row else [new[0]]
        h = h / shrink
    return best, error
