"""Graphs of a functional folder against torch's automatic differentiation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from xcnet import engine, variables
from xcnet.errors import ExportError
from xcnet.export.closed_shell import ClosedShell
from xcnet.sample import Scales, closed_shell, sample
from xcnet.spec import FunctionalSpec

Array = NDArray[np.float64]
Component = tuple[str, int]
Module = Callable[..., torch.Tensor]

#: Allowed relative difference by derivative order. Higher derivatives sum terms of opposite signs,
#: and torch's and the graph's lose digits; what steep networks lose is measured (`_rounding`).
TOLERANCE = (1e-12, 1e-12, 1e-12, 1e-10)
MAX_NOISE = 1e-6
CHECK_POINTS, CHECK_SEED = 48, 4


@np.errstate(invalid="ignore")  # what is not finite is found below
def check_values(
    module: Module, spec: FunctionalSpec, order: int, spin: int = variables.POLARIZED
) -> None:
    """Compare one graph with torch's automatic differentiation on fresh points.

    The difference in each component may be `TOLERANCE` of its scale (`Scales`). To this comes ten
    times what changing the inputs by 1e-14 does to torch's own value and to the graph's: their
    rounding, which is large where they subtract nearly equal numbers (1 - zeta in a nearly empty
    channel) and networks are steep, up to 1e-6. A module that gives other values when called again
    with the same points is refused. Graphs of closed shells (``spin`` 1) are compared with the
    module at two equal spins.
    """
    points = sample(spec.variables, CHECK_POINTS + order, CHECK_SEED + order, spec.descriptors)
    if spin == variables.UNPOLARIZED:
        points, module = closed_shell(points)[0], ClosedShell(module, None)
    results = engine.run(spec, order, points, spin)
    expected = torch_values(module, points, order)
    _check_repeatable(expected, torch_values(module, points, order))
    noise = _rounding(lambda moved: torch_values(module, moved, order), points, expected)
    own = _rounding(lambda moved: engine.run(spec, order, moved, spin), points, results)
    scales = Scales(points, expected["zk"])
    for label, reference in expected.items():
        tolerance = TOLERANCE[sum(power for _, power in variables.powers(label))]
        for c in range(reference.shape[1]):
            scale = scales.of(label, c, reference[:, c])
            rounding = 10.0 * (noise[label] + own[label])[:, c]
            allowed = tolerance * scale + np.minimum(rounding, MAX_NOISE * scale)
            difference = np.abs(results[label][:, c] - reference[:, c])
            if not np.all(difference <= allowed):
                worst = int(np.argmax(np.nan_to_num(difference / allowed, nan=np.inf)))
                place = {name: value[worst].tolist() for name, value in points.items()}
                raise _mismatch(
                    f"{spec.name}: {label}[{c}], spin {spin},",
                    difference[worst] / scale[worst],
                    tolerance,
                    place,
                )


def _check_repeatable(once: Mapping[str, Array], again: Mapping[str, Array]) -> None:
    for label, values in once.items():
        if not np.array_equal(values, again[label], equal_nan=True):
            raise ExportError(
                "the module is not a function of its inputs: two calls with the same points give "
                f"different {label}; the energy must not depend on random numbers or on a state "
                "that changes from call to call",
                label=label,
            )


def _rounding(
    evaluate: Callable[[Mapping[str, Array]], Mapping[str, Array]],
    points: Mapping[str, Array],
    values: Mapping[str, Array],
) -> dict[str, Array]:
    """Largest change of values in four random changes of the inputs by 1e-14."""
    rng = np.random.default_rng(0)
    changes = []
    for _ in range(4):
        moved = {
            name: value * (1.0 + 1e-14 * rng.choice([-1.0, 1.0], value.shape))
            for name, value in points.items()
        }
        changes.append(evaluate(moved))
    return {
        label: np.max([np.abs(c[label] - value) for c in changes], axis=0)
        for label, value in values.items()
    }


def _mismatch(
    what: str, relative: float, tolerance: float, place: Mapping[str, Any]
) -> ExportError:
    if np.isfinite(relative):
        message = (
            f"{what} of the graph differs from torch by {relative:.1e} relative (allowed "
            f"{tolerance:.0e}) at {place}; the energy must be a function of the variables of one "
            "point, without random numbers or branches of Python on values"
        )
    else:
        message = (
            f"{what} is not finite at {place}; keep logarithms, powers and quotients away from "
            "their singularities, inside torch.where branches too"
        )
    return ExportError(message, point=place)


def torch_values(module: Module, points: Mapping[str, Array], order: int) -> dict[str, Array]:
    """Output labels up to an order by torch's automatic differentiation, ``(N, width)``.

    In the spin of the points.
    """
    spin = points["rho"].shape[1]
    columns: dict[Component, torch.Tensor] = {
        (name, i): torch.from_numpy(value[:, i].copy()).requires_grad_()
        for name, value in points.items()
        for i in range(value.shape[1])
    }
    stacked = {
        name: torch.stack([columns[name, i] for i in range(value.shape[1])], dim=1)
        for name, value in points.items()
    }
    exc = module(**stacked).reshape(-1)
    slopes: dict[tuple[Component, ...], torch.Tensor] = {(): exc * stacked["rho"].sum(1)}
    for n in range(order):
        for factors in combinations_with_replacement(columns, n):
            rest = list(columns)[list(columns).index(factors[-1]) if factors else 0 :]
            slopes |= _gradient(slopes[factors], factors, {c: columns[c] for c in rest}, n < order)
    values = {"zk": exc.numpy(force=True)[:, None]}
    for n in range(1, order + 1):
        for label in variables.labels(tuple(points), n):
            parts = [
                slopes[tuple(sorted(factors, key=list(columns).index))].numpy(force=True)
                for factors in variables.components(label, spin)
            ]
            values[label] = np.stack(parts, axis=1)
    return values


def _gradient(
    value: torch.Tensor,
    factors: tuple[Component, ...],
    columns: Mapping[Component, torch.Tensor],
    again: bool,
) -> dict[tuple[Component, ...], torch.Tensor]:
    if not value.requires_grad:
        return {(*factors, c): torch.zeros_like(x) for c, x in columns.items()}
    slopes = torch.autograd.grad(
        value.sum(),
        list(columns.values()),
        create_graph=again,
        retain_graph=True,
        allow_unused=True,
        materialize_grads=True,
    )
    return {(*factors, c): slope for c, slope in zip(columns, slopes, strict=True)}
