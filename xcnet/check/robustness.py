"""Densities that no training has seen: every output has to be finite, and the energy bounded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import MappingProxyType

import numpy as np

from xcnet import sample, variables
from xcnet.check.results import Result, judged
from xcnet.check.subject import Subject
from xcnet.density import Array
from xcnet.errors import EngineError
from xcnet.operators import Descriptor

#: Densities of a full check, and of those at export, at installation and in tests.
FULL, QUICK = 1_000_000, 20_000
CHUNK = 4096
#: Of each chunk: points for the highest derivatives, and as closed shells.
PART = 512
#: Energy density over n^(4/3) + |grad n|^2 n^(-4/3) + tau n^(-1/3) + |lapl| n^(-1/3), the terms of
#: the second-order gradient expansion, and energies that are descriptors; kinetic energies over
#: n^(1/3) times that.
MOST_ENERGY = 10.0
#: Values at which programs go wrong: zeros, thresholds, the ends of float64's powers.
EDGES = (0.0, -0.0, 5e-324, 1e-300, 1e-200, 1e-100, 1e-40, 1e-25, 1e-20, 1e-16, 1e-13, 1e-12,
         1.0000001e-12, 2e-12, 1e-10, 1e-6, 1e-3, 0.1, 1.0, 1e2, 1e4, 1e6)  # fmt: skip

Rng = np.random.Generator
Descriptors = Mapping[str, Descriptor]
Kind = Callable[[int, Rng, Descriptors], dict[str, Array]]


def check(
    subject: Subject, points: int = QUICK, progress: Callable[[int], None] = lambda done: None
) -> Iterator[Result]:
    """Evaluate densities of every kind; `progress` is told how many more are done."""
    bad: dict[str, list[str]] = {kind: [] for kind in KINDS}
    counts = dict.fromkeys(KINDS, 0)
    largest, place = 0.0, ""
    done = chunk = 0
    while done < points:
        kind = list(KINDS)[chunk % len(KINDS)]
        size = min(CHUNK, points - done, max(1, points // len(KINDS)))
        inputs = densities(kind, subject.inputs, size, chunk, subject.descriptors)
        for order, spin, some in (
            (1, variables.POLARIZED, slice(None)),
            (subject.highest_order, variables.POLARIZED, slice(PART)),
            (1, variables.UNPOLARIZED, slice(PART)),
            (subject.highest_order, variables.UNPOLARIZED, slice(PART)),
        ):
            part = {name: array[some] for name, array in inputs.items()}
            if spin == variables.UNPOLARIZED:
                part, _ = sample.closed_shell(part)
            values = _evaluate(subject, part, order, spin, bad[kind])
            if values is not None and spin == variables.POLARIZED:
                ratio = _energy_ratio(subject, part, values)
                if ratio.max() > largest:
                    worst = int(ratio.argmax())
                    largest = float(ratio[worst])
                    place = f"{kind}, n = {part['rho'][worst].sum():.1e} bohr^-3"
        counts[kind] += size
        done += size
        chunk += 1
        progress(size)
    for kind, problems in bad.items():
        if counts[kind]:
            note = f"{counts[kind]} densities" + (f"; {problems[0]}" if problems else "")
            name = f"outputs that are not finite: {kind}"
            yield judged("robustness", name, float(len(problems)), 0.0, note=note)
    note = f"energy density over the terms of the gradient expansion, largest at {place}"
    yield judged("robustness", "energy bounded", largest, MOST_ENERGY, note=note)


def _evaluate(
    subject: Subject, points: Mapping[str, Array], order: int, spin: int, bad: list[str]
) -> dict[str, Array] | None:
    """Outputs, if all are finite; what is not is described in `bad`."""
    try:
        result = subject.compute(points, order, spin)
    except EngineError as error:
        bad.append(str(error))
        return None
    problems = [label for label, values in result.items() if not np.isfinite(values).all()]
    if not problems:
        return result
    row = int(np.argmin(np.isfinite(result[problems[0]]).all(axis=1)))
    place = {name: array[row].tolist() for name, array in points.items()}
    bad.append(f"{problems[0]} at {place}")
    return None


def _energy_ratio(
    subject: Subject, points: Mapping[str, Array], values: Mapping[str, Array]
) -> Array:
    """Energy density in units that bound it in every limit of the variables."""
    n = points["rho"].sum(axis=1)
    energy = np.abs(n * values["zk"][:, 0])
    n = np.maximum(n, 1e-100)  # below, where outputs are zero, its powers are not numbers
    scale = n ** (4.0 / 3.0)
    if "sigma" in points:
        scale = scale + points["sigma"][:, ::2].clip(0.0).sum(axis=1) / n ** (4.0 / 3.0)
    for name in ("tau", "lapl"):
        if name in points:
            scale = scale + np.abs(points[name]).sum(axis=1) / n ** (1.0 / 3.0)
    for label, descriptor in subject.descriptors.items():
        scale = scale + descriptor.energy_scale(points[label])
    kinetic = subject.kind == variables.KINDS["kinetic"]
    return np.asarray(energy / (scale * n ** (1.0 / 3.0) if kinetic else scale))


def densities(
    kind: str,
    names: tuple[str, ...],
    n: int,
    seed: int,
    descriptors: Mapping[str, Descriptor] = sample.NO_DESCRIPTORS,
) -> dict[str, Array]:
    """Spin-resolved densities of one of `KINDS`, those variables of them that are named."""
    values = KINDS[kind](n, np.random.default_rng(seed), descriptors)
    return {name: np.ascontiguousarray(values[name]) for name in names}


def _log_uniform(
    n: int, rng: Rng, descriptors: Descriptors, low: float = 1e-20, high: float = 1e6
) -> dict[str, Array]:
    def draw(columns: int) -> Array:
        return np.asarray(np.exp(rng.uniform(np.log(low), np.log(high), (n, columns))))

    sigma = draw(3)
    sigma[:, 1] = rng.uniform(-1.0, 1.0, n) * 0.5 * (sigma[:, 0] + sigma[:, 2])
    lapl = draw(2) * rng.choice([-1.0, 1.0], (n, 2))
    values = {"rho": draw(2), "sigma": sigma, "lapl": lapl, "tau": draw(2)}
    for label, descriptor in descriptors.items():
        size = draw(variables.width(label, variables.POLARIZED))
        values[label] = size if descriptor.floor is not None else size * _signs(rng, size)
    return values


def _signs(rng: Rng, values: Array) -> Array:
    return rng.choice([-1.0, 1.0], values.shape)


def _all(
    n: int, rng: Rng, descriptors: Descriptors, low: float = 1e-10, high: float = 1e3
) -> dict[str, Array]:
    names = (*variables.COMPONENTS, *descriptors)
    return sample.moderate(names, n, int(rng.integers(1 << 31)), low, high, descriptors)


def _polarized(n: int, rng: Rng, descriptors: Descriptors) -> dict[str, Array]:
    values = _all(n, rng, descriptors)
    for name, columns in (("rho", [1]), ("sigma", [1, 2]), ("lapl", [1]), ("tau", [1])):
        values[name][:, columns] = 0.0
    return values


def _flat(n: int, rng: Rng, descriptors: Descriptors) -> dict[str, Array]:
    values = _all(n, rng, descriptors)
    values["sigma"][:] = 0.0
    return values


def _at_bound(n: int, rng: Rng, descriptors: Descriptors) -> dict[str, Array]:
    values = _all(n, rng, descriptors)
    values["tau"] = values["sigma"][:, ::2] / (8.0 * values["rho"])
    return values


def _below_bound(n: int, rng: Rng, descriptors: Descriptors) -> dict[str, Array]:
    values = _at_bound(n, rng, descriptors)
    values["tau"] *= rng.choice([0.0, 1e-10, 0.5, 1.0 - 1e-12], (n, 2))
    return values


def _tails(n: int, rng: Rng, descriptors: Descriptors, gaussian: bool) -> dict[str, Array]:
    """One orbital's tail for each spin: n = exp(-2 k r), or exp(-k r^2)."""
    r = rng.uniform(0.5, 60.0 if not gaussian else 8.0, (n, 1))
    k = np.exp(rng.uniform(np.log(0.05), np.log(5.0), (n, 2)))
    exponent = k * r * r if gaussian else 2.0 * k * r
    rho = np.exp(-exponent)
    slope = 2.0 * k * r if gaussian else 2.0 * k
    curvature = 6.0 * k if gaussian else 4.0 * k / r
    gradient = slope * rho
    up, down = gradient.T
    return {
        "rho": rho,
        "sigma": np.stack([up * up, up * down, down * down], axis=1),
        "lapl": (slope**2 - curvature) * rho,
        "tau": slope**2 * rho / 8.0,
        **{label: descriptor.uniform_gas(rho) for label, descriptor in descriptors.items()},
    }


def _edges(n: int, rng: Rng, descriptors: Descriptors) -> dict[str, Array]:
    values = {
        name: rng.choice(EDGES, (n, variables.width(name, variables.POLARIZED)))
        for name in (*variables.COMPONENTS, *descriptors)
    }
    signed = [label for label, descriptor in descriptors.items() if descriptor.floor is None]
    for name in ("rho", "sigma", "lapl", *signed):
        values[name] *= np.where(rng.random(values[name].shape) < 0.1, -1.0, 1.0)
    return values


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "log-uniform from 1e-20 to 1e6": _log_uniform,
        "fully polarized": _polarized,
        "zero gradient": _flat,
        "tau at its bound": _at_bound,
        "tau below its bound": _below_bound,
        "slow tails": partial(_tails, gaussian=False),
        "fast tails": partial(_tails, gaussian=True),
        "edges of float64 and of thresholds": _edges,
    }
)
