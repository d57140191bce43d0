"""Exact constraints as measured figures; only those that a record declares can fail.

Source of the constraints: J. P. Perdew, A. Ruzsinszky, J. Sun, K. Burke, J. Chem. Phys. 140,
18A533 (2014), doi:10.1063/1.4870763.

Exchange is not given apart by a functional of both. Under uniform scaling to high densities,
n_g(r) = g^3 n(g r), exchange grows with g and correlation does not; so e_xc[n_g]/g at a large g
takes its place, where that limit exists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

import numpy as np

from xcnet import enhancement, sample
from xcnet.check.results import NOT_APPLICABLE, Result, judged
from xcnet.check.subject import Subject
from xcnet.density import Array
from xcnet.errors import EngineError, LibxcNotFoundError, UnknownFunctionalError
from xcnet.functionals import LibXCFunctional
from xcnet.operators import Descriptor

LIEB_OXFORD = 1.6790 / -float(enhancement.uniform_exchange(np.array(1.0)))
#: Scaling at which correlation is a ten-thousandth of exchange.
HIGH_DENSITY = 1e4
HYDROGEN_EXCHANGE = -0.3125
#: Grid of the smoothness: s and alpha from 0 to 3 in these steps, at rs = 1, unpolarized.
SMOOTH_STEP, SMOOTH_END = 0.02, 3.0

Check = Callable[[Subject], "Result | str"]
#: Constraint of the record -> what it is called in reports.
NAMES: Mapping[str, str] = MappingProxyType(
    {
        "uniform_gas": "uniform-gas limit",
        "spin_scaling": "spin scaling of exchange",
        "exchange_scaling": "uniform scaling of exchange",
        "lieb_oxford": "Lieb-Oxford bound",
        "correlation_sign": "correlation <= 0",
        "one_electron": "one-electron self-correlation",
        "smoothness": "smoothness of the enhancement factor",
        "grid_noise": "SCF noise",
    }
)


def check(subject: Subject) -> Iterator[Result]:
    """Measure every constraint that needs no calculation of a molecule."""
    for constraint, measure in _MEASURES.items():
        reason = _no_sense(subject) if constraint != "smoothness" else ""
        try:
            result = reason or measure(subject)
        except EngineError as error:
            result = figure(subject, constraint, np.nan, 0.0, note=str(error))
        if isinstance(result, str):
            result = Result("physics", NAMES[constraint], NOT_APPLICABLE, note=result)
        yield result


def figure(
    subject: Subject, constraint: str, value: float, limit: float, *, unit: str = "", note: str = ""
) -> Result:
    """Result of a constraint, which fails only if the record requires it."""
    required = subject.spec is not None and constraint in subject.spec.constraints
    return judged(
        "physics", NAMES[constraint], value, limit, unit=unit, note=note, required=required
    )


def _no_sense(subject: Subject) -> str:
    if subject.kind > 2:
        return "a functional of the kinetic energy"
    exact = subject.polarized._expression.exact_exchange
    return "part of its exchange is exact" if exact.alpha or exact.beta else ""


def exchange(subject: Subject, points: Mapping[str, Array]) -> Array:
    """Exchange energy per particle; of both together, that of the high-density limit."""
    if subject.kind == 0:
        return subject.energy(points)
    return subject.energy(subject.scaled(points, HIGH_DENSITY)) / HIGH_DENSITY


def _scaling(subject: Subject) -> tuple[float, str]:
    """Largest deviation from e_x[n_g] = g e_x[n], and how it was found."""
    points = subject.moderate(500)
    if subject.kind == 0:
        energy = subject.energy(points)
        errors = [
            np.abs(subject.energy(subject.scaled(points, g)) / (g * energy) - 1.0)
            for g in (0.1, 0.5, 2.0, 10.0)
        ]
        return float(np.max(errors)), "e_x[n_g]/g for g from 0.1 to 10"
    dense, denser = (
        subject.energy(subject.scaled(points, g)) / g for g in (HIGH_DENSITY, 2 * HIGH_DENSITY)
    )
    return float(np.max(np.abs(denser / dense - 1.0))), "e_xc[n_g]/g from g = 1e4 to 2e4"


def _without_limit(subject: Subject) -> str:
    """Why exchange is not to be had, or nothing."""
    if not subject.has_exchange:
        return "a functional of correlation alone"
    if not subject.scales:
        return "its descriptor has a length of its own: densities do not scale point by point"
    if subject.kind != 0 and not _scaling(subject)[0] < 1e-2:
        return "it has no high-density limit that exchange could be told by"
    return ""


def _uniform_gas(subject: Subject) -> Result | str:
    rs, zeta = np.meshgrid(np.geomspace(0.1, 20.0, 30), [0.0, 0.5, 1.0])
    points = subject.at(rs=rs, zeta=zeta)
    wanted = np.zeros(rs.size)
    parts = {0: ("lda_x",), 1: ("lda_c_pw_mod",), 2: ("lda_x", "lda_c_pw_mod")}[subject.kind]
    try:
        for name in parts:
            wanted += LibXCFunctional(name, 2).compute({"rho": points["rho"]})["zk"][:, 0]
    except (LibxcNotFoundError, UnknownFunctionalError):
        return "libxc, which has the uniform gas, is not there"
    error = np.abs(subject.energy(points) / wanted - 1.0).max()
    note = "relative, rs 0.1-20, zeta 0-1; correlation of Perdew and Wang"
    return figure(subject, "uniform_gas", error, 1e-3, note=note)


def _spin_scaling(subject: Subject) -> Result | str:
    if reason := _without_limit(subject):
        return reason
    points = subject.moderate(500)
    n = points["rho"].sum(axis=1)
    both = np.zeros(len(n))
    for channel in (0, 1):
        both += points["rho"][:, channel] * exchange(subject, sample.one_spin(points, channel))
    error = np.abs(both / (n * exchange(subject, points)) - 1.0).max()
    note = "relative, point by point" + _by_limit(subject)
    return figure(subject, "spin_scaling", error, 1e-3, note=note)


def _by_limit(subject: Subject) -> str:
    return "" if subject.kind == 0 else "; exchange from the high-density limit"


def _exchange_scaling(subject: Subject) -> Result | str:
    if not subject.has_exchange or not subject.scales:
        return _without_limit(subject)
    error, how = _scaling(subject)
    return figure(subject, "exchange_scaling", error, 1e-3, note=f"relative, {how}")


def _lieb_oxford(subject: Subject) -> Result | str:
    if not subject.has_exchange:
        return "a functional of correlation alone"
    rs, s, alpha, zeta = np.meshgrid(
        np.geomspace(0.1, 100.0, 16),
        np.linspace(0.0, 5.0, 26),
        np.linspace(0.0, 5.0, 11),
        [0.0, 1.0],
    )
    points = subject.at(rs, s, alpha, zeta)
    factor = subject.energy(points) / enhancement.uniform_exchange(points["rho"].sum(axis=1))
    worst = int(np.argmax(factor))
    note = (
        f"largest F at rs = {rs.ravel()[worst]:.3g}, s = {s.ravel()[worst]:.2g}, "
        f"alpha = {alpha.ravel()[worst]:.2g}, zeta = {zeta.ravel()[worst]:.0f}; the local form, "
        "which is sufficient for the bound and not necessary"
    )
    return figure(subject, "lieb_oxford", float(factor[worst]), LIEB_OXFORD, note=note)


def _correlation_sign(subject: Subject) -> Result | str:
    points = subject.moderate(2000)
    if subject.kind == 0:
        return "a functional of exchange alone"
    if subject.kind == 1:
        values, note = subject.energy(points), "largest energy per particle"
    else:
        if reason := _without_limit(subject):
            return reason
        limit = exchange(subject, points)
        # What is left of correlation in the limit itself is at most a ten-thousandth of it.
        values, note = subject.energy(points) - limit, "largest e_xc less the high-density limit"
    return figure(subject, "correlation_sign", values.max(), 1e-6, unit="Ha", note=note)


def _one_electron(subject: Subject) -> Result | str:
    radii, weights = np.polynomial.laguerre.laggauss(80)
    radii = radii / 2.0  # exp(-2r) is the quadrature's own weight
    points = hydrogen(radii, subject.inputs, subject.descriptors)
    if points is None:
        return "its descriptors are not known in the hydrogen atom"
    n = points["rho"][:, 0]
    weights = weights / 2.0 * np.exp(2.0 * radii) * 4.0 * np.pi * radii**2
    keep = n > 1e-14
    points = {name: array[keep] for name, array in points.items()}
    n, weights = n[keep], weights[keep]
    energy = float((weights * n * subject.energy(points)).sum())
    if subject.kind == 1:
        note = "correlation energy of the hydrogen atom, exact orbital"
        return figure(subject, "one_electron", abs(energy), 1e-5, unit="Ha", note=note)
    total = f"E = {energy:.5f} Ha, exact {HYDROGEN_EXCHANGE}"
    if subject.kind == 0:
        note = f"exchange energy of the hydrogen atom, exact orbital; {total}"
        return figure(
            subject, "one_electron", abs(energy - HYDROGEN_EXCHANGE), 1e-3, unit="Ha", note=note
        )
    if reason := _without_limit(subject):
        note = f"error of E_xc of the hydrogen atom, exact orbital; {total}; {reason}"
        value = abs(energy - HYDROGEN_EXCHANGE)
        return figure(subject, "one_electron", value, 1e-3, unit="Ha", note=note)
    correlation = energy - float((weights * n * exchange(subject, points)).sum())
    note = f"E_xc less its high-density limit, hydrogen atom; {total}"
    # In the limit up to 1e-4 of correlation itself is left.
    return figure(subject, "one_electron", abs(correlation), 1e-4, unit="Ha", note=note)


def hydrogen(
    radii: Array, variables: tuple[str, ...], descriptors: Mapping[str, Descriptor]
) -> dict[str, Array] | None:
    """Variables of the exact hydrogen atom, spin up, at these distances (bohr).

    None where a descriptor's values are not known there.
    """
    n = np.exp(-2.0 * radii) / np.pi
    zero = np.zeros_like(n)
    # The gradient is -2n, the Laplacian 4n - 4n/r, and tau von Weizsaecker's: n/2.
    values = {
        "rho": np.stack([n, zero], axis=1),
        "sigma": np.stack([4.0 * n * n, zero, zero], axis=1),
        "lapl": np.stack([4.0 * n * (1.0 - 1.0 / radii), zero], axis=1),
        "tau": np.stack([0.5 * n, zero], axis=1),
    }
    for label, descriptor in descriptors.items():
        known = descriptor.hydrogen(radii)
        if known is None:
            return None
        values[label] = known
    return {name: values[name] for name in variables}


def _smoothness(subject: Subject) -> Result | str:
    if subject.inputs == ("rho",):
        return "it depends on the density alone"
    axis = np.arange(0.0, SMOOTH_END + SMOOTH_STEP / 2, SMOOTH_STEP)
    s, alpha = np.meshgrid(axis, axis, indexing="ij")
    points = subject.at(1.0, s, alpha)
    factor = subject.energy(points) / enhancement.uniform_exchange(points["rho"].sum(axis=1))
    factor = factor.reshape(s.shape)
    by_s = np.abs(np.diff(factor, 2, axis=0)).max() / SMOOTH_STEP**2
    by_alpha = np.abs(np.diff(factor, 2, axis=1)).max() / SMOOTH_STEP**2
    note = (
        f"largest second derivative of F(s, alpha), 0-{SMOOTH_END:.0f} in steps of {SMOOTH_STEP}, "
        f"rs = 1: {by_s:.3g} by s, {by_alpha:.3g} by alpha"
    )
    return figure(subject, "smoothness", max(by_s, by_alpha), 10.0, note=note)


_MEASURES: Mapping[str, Check] = MappingProxyType(
    {
        "uniform_gas": _uniform_gas,
        "spin_scaling": _spin_scaling,
        "exchange_scaling": _exchange_scaling,
        "lieb_oxford": _lieb_oxford,
        "correlation_sign": _correlation_sign,
        "one_electron": _one_electron,
        "smoothness": _smoothness,
    }
)
