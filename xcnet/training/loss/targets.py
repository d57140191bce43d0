"""Energy densities and potentials of a libxc functional: what the networks are fitted to."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xcnet.libxc import Functional

Array = npt.NDArray[np.float64]


def exchange(name: str, variables: Array) -> Array:
    """Exchange of single spin channels.

    Parameters
    ----------
    name : str
        libxc's name of an exchange functional.
    variables : (N, 3)
        rho_s, sigma_ss, tau_s.

    Returns
    -------
    (N, 4): energy per volume and its derivatives with respect to the variables.
    """
    rho, sigma, tau = variables.T
    # A closed shell of twice the channel: half its energy, by the exact spin scaling.
    result = _evaluate(name, [rho] * 2, [sigma] * 3, [tau] * 2)
    return np.stack([0.5 * result[0], result[1], result[3], result[6]], axis=1)


def correlation(name: str, variables: Array) -> Array:
    """Correlation that depends on the gradient and tau of the total density only.

    Parameters
    ----------
    name : str
        libxc's name of a correlation functional.
    variables : (N, 4 or 5)
        rho_a, rho_b, sigma, tau, the last two of the total density; R, which changes nothing.

    Returns
    -------
    (N, 5 or 6): energy per volume and its derivatives with respect to the variables.
    """
    _, _, *channels = _channels(variables)
    result = _evaluate(name, *channels)
    target = np.zeros((len(variables), variables.shape[1] + 1))
    target[:, :5] = np.stack([result[0], result[1], result[2], result[3], result[6]], axis=1)
    return target


def together(names: str, variables: Array) -> Array:
    """Exchange and correlation at the gradient and tau of the total density.

    The spin channels share these in proportion to their densities.

    Parameters
    ----------
    names : str
        libxc's names with + between them.
    variables : (N, 4 or 5)
        As for `correlation`.

    Returns
    -------
    (N, 5 or 6): energy per volume and its derivatives with respect to the variables.
    """
    a, b, *channels = _channels(variables)
    n, sigma, tau = variables[:, 0] + variables[:, 1], variables[:, 2], variables[:, 3]
    parts = [np.stack(_evaluate(name.strip(), *channels)) for name in names.split("+")]
    e, e_a, e_b, e_aa, e_ab, e_bb, t_a, t_b = sum(parts[1:], parts[0])
    # What a share changes when its density does, times n: da = b, db = -b by n_a.
    share = (2.0 * a * e_aa + (b - a) * e_ab - 2.0 * b * e_bb) * sigma + (t_a - t_b) * tau
    target = np.zeros((len(variables), variables.shape[1] + 1))
    target[:, 0] = e
    target[:, 1], target[:, 2] = e_a + share * b / n, e_b - share * a / n
    target[:, 3] = a * a * e_aa + a * b * e_ab + b * b * e_bb
    target[:, 4] = a * t_a + b * t_b
    return target


def _channels(variables: Array) -> tuple[Array, Array, list[Array], list[Array], list[Array]]:
    """Shares of both spins in the density; rho a b, sigma aa ab bb, tau a b.

    Gradient and tau are shared in proportion to the density: any other split may break
    sigma_ss <= 8 rho_s tau_s, to which libxc then cuts the gradient.
    """
    rho_a, rho_b, sigma, tau = variables[:, :4].T
    a, b = rho_a / (rho_a + rho_b), rho_b / (rho_a + rho_b)
    sigmas = [a * a * sigma, a * b * sigma, b * b * sigma]
    return a, b, [rho_a, rho_b], sigmas, [a * tau, b * tau]


def _evaluate(name: str, rho: list[Array], sigma: list[Array], tau: list[Array]) -> list[Array]:
    """Energy per volume and first derivatives: e, rho a b, sigma aa ab bb, tau a b.

    Derivatives by what the functional does not depend on are zero.
    """
    columns = {"rho": rho, "sigma": sigma, "tau": tau}
    inputs = {key: np.ascontiguousarray(np.stack(value, axis=1)) for key, value in columns.items()}
    slopes = {key: np.zeros_like(value) for key, value in inputs.items()}
    functional = Functional(name, 2)
    used = functional.family_variables
    outputs = {f"v{key}": slopes[key] for key in used} | {"zk": np.zeros((len(rho[0]), 1))}
    functional.evaluate({key: inputs[key] for key in used}, outputs)
    energy = outputs["zk"][:, 0] * inputs["rho"].sum(axis=1)
    return [energy, *slopes["rho"].T, *slopes["sigma"].T, *slopes["tau"].T]
