"""Laws that hold whatever a functional computes: spin, derivatives, thresholds, chunks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from xcnet import density, sample, variables
from xcnet.check.results import Result, judged
from xcnet.check.ridders import SHRINK, extrapolated
from xcnet.check.subject import Subject
from xcnet.density import Array
from xcnet.spec import ADJOINT, CHANNELS, FunctionalSpec, Thresholds
from xcnet.terms import NeuralTerm

POINTS = 200
#: Largest relative differences by derivative order, where the same numbers are added up in
#: another order; third derivatives are sums of large terms of opposite signs.
ROUNDING = (1e-12, 1e-12, 1e-11, 1e-8)
#: By order of the derivative that is differentiated numerically to the next: how well a finite
#: difference has to know itself to count, and the largest difference from it.
RIDDERS = ((5e-8, 1e-7), (2e-6, 1e-5), (2e-5, 1e-4))
#: Relative first steps: one across a kink can look converged by itself, three rarely agree.
STEPS = (0.01, 0.002, 0.0004)
#: The same between the many kinks of a wide network whose activations have them.
FINE_STEPS = (8e-5, 3e-5, 1.2e-5)
ROWS = 9
#: Share of finite differences that must count: kinks have to be rare.
LEAST_SHARE = 0.9
#: Of the energy, in a derivative's own units: below this its digits mean nothing.
NEGLIGIBLE = 1e-6
#: Where libxc's own defaults are, for functionals without a record.
_DEFAULTS = Thresholds(density=1e-12, zeta=2.2e-16, sigma=1e-16, tau=1e-20)


def check(subject: Subject) -> Iterator[Result]:
    """Measure every law."""
    yield from spin_swap(subject)
    yield from closed_shell(subject)
    for order in range(1, subject.highest_order + 1):
        yield derivatives(subject, order)
    if subject.spec is not None and subject.spec.channels is not None:
        yield channels(subject.spec)
    yield from thresholds(subject)
    yield from invariance(subject)


def spin_swap(subject: Subject) -> Iterator[Result]:
    """Swapping the spins swaps the outputs."""
    points = subject.moderate(POINTS)
    result = subject.compute(points, subject.highest_order)
    exchanged = {name: array[:, variables.swapped(name)] for name, array in points.items()}
    swapped = subject.compute(exchanged, subject.highest_order)
    back = {label: values[:, _swapped_columns(label)] for label, values in swapped.items()}
    required = subject.spec is None or subject.spec.spin_symmetric
    note = "" if required else "its record says that it is not symmetric in the spins"
    yield from _compared(subject, "spin swap", points, result, back, required, note)


def _swapped_columns(label: str) -> list[int]:
    """Column of each component of a label after the spins were swapped."""
    components = variables.components(label, variables.POLARIZED)
    names = [name for name, _ in variables.powers(label)]
    swapped = {name: variables.swapped(name) for name in names}
    return [
        components.index(
            tuple(
                sorted(
                    ((name, swapped[name][i]) for name, i in factors),
                    key=lambda f: (names.index(f[0]), f[1]),
                )
            )
        )
        for factors in components
    ]


def closed_shell(subject: Subject) -> Iterator[Result]:
    """A closed shell as unpolarized variables and as two equal spins, by every order's graphs."""
    total, channels = sample.closed_shell(subject.moderate(POINTS))
    worst = np.zeros(subject.highest_order + 1)
    for level in range(subject.highest_order + 1):
        unpolarized = subject.compute(total, level, variables.UNPOLARIZED)
        polarized = subject.compute(channels, level)
        scales = sample.Scales(channels, polarized["zk"])
        for label, values in polarized.items():
            order = sum(power for _, power in variables.powers(label))
            weights = np.array(variables.fold_weights(label))
            columns = [scales.of(label, c, values[:, c]) for c in range(values.shape[1])]
            scale = np.maximum(np.stack(columns, axis=1) @ np.abs(weights.T), np.finfo(float).tiny)
            difference = np.abs(unpolarized[label] - density.fold(label, values)) / scale
            worst[order] = max(worst[order], difference.max())
    for order, value in enumerate(worst):
        name = f"closed shell as either spin, {variables.ORDERS[order]}"
        yield judged("laws", name, value, ROUNDING[order])


def _compared(
    subject: Subject,
    law: str,
    points: Mapping[str, Array],
    actual: Mapping[str, Array],
    expected: Mapping[str, Array],
    required: bool = True,
    note: str = "",
) -> Iterator[Result]:
    """Largest difference between two evaluations, for each derivative order."""
    scales = sample.Scales(points, expected["zk"])
    worst = np.zeros(subject.highest_order + 1)
    for label, values in expected.items():
        order = sum(power for _, power in variables.powers(label))
        for c in range(values.shape[1]):
            scale = np.maximum(scales.of(label, c, values[:, c]), np.finfo(float).tiny)
            worst[order] = max(
                worst[order], (np.abs(actual[label][:, c] - values[:, c]) / scale).max()
            )
    for order, value in enumerate(worst):
        name = f"{law}, {variables.ORDERS[order]}"
        yield judged("laws", name, value, ROUNDING[order], note=note, required=required)


def derivatives(subject: Subject, order: int, points: int = 60) -> Result:
    """Derivatives of one order against finite differences of the order below (Ridders)."""
    own_limit, limit = RIDDERS[order - 1]
    inputs = subject.moderate(points)
    for steps in (STEPS, FINE_STEPS):
        errors, own = _errors(subject, inputs, order, steps)
        good = own < own_limit
        share = float(good.mean())
        largest = float(errors[good].max(initial=0.0)) if share > LEAST_SHARE else np.nan
        if largest <= limit:  # a wrong derivative is wrong by any steps
            break
    note = f"{100 * share:.1f} % of {good.size} finite differences are good to {own_limit:.0e}"
    if steps is FINE_STEPS:
        note += ", by small steps"
    name = f"{variables.ORDERS[order]} is the derivative of {variables.ORDERS[order - 1]}"
    return judged("laws", name, largest, limit, note=note)


def _errors(
    subject: Subject, inputs: Mapping[str, Array], order: int, steps: tuple[float, ...]
) -> tuple[Array, Array]:
    """Relative differences of derivatives from finite ones, and the errors that these estimate."""
    analytic = subject.compute(inputs, order)
    lower = _values(subject, inputs, order - 1)
    scales = sample.Scales(inputs, analytic["zk"])
    errors, own = [], []
    for variable in subject.inputs:
        for column in range(inputs[variable].shape[1]):
            x = inputs[variable][:, column]
            numeric, error = _differences(subject, inputs, variable, column, order - 1, steps)
            for i, (factors, value) in enumerate(lower.items()):
                label, c = _place(subject, (*factors, (variable, column)))
                exact = analytic[label][:, c]
                # A derivative far below value/x drowns in the rounding of the value.
                scale = np.abs(exact) + 1e-3 * np.abs(value / x)
                scale += NEGLIGIBLE * scales.of(label, c, exact) + np.finfo(float).tiny
                errors.append(np.abs(numeric[i] - exact) / scale)
                own.append(error[i] / scale)
    return np.array(errors), np.array(own)


def channels(spec: FunctionalSpec, points: int = 60) -> Result:
    """Derivatives of the first stage, contracted with an adjoint, against finite differences."""
    term, step = NeuralTerm(spec, variables.POLARIZED), 1e-3
    inputs = sample.moderate(spec.inputs, points)
    values = term.first_stage(inputs, 0)[CHANNELS]
    adjoint = np.random.default_rng(0).normal(size=values.shape)
    derivatives = term.first_stage({**inputs, ADJOINT: adjoint}, 1)
    unit = np.abs(adjoint * values).sum(axis=1)
    worst = 0.0
    for name, x in inputs.items():
        for column in range(x.shape[1]):
            sums = []
            for k in (-2, -1, 1, 2):
                moved = x.copy()
                moved[:, column] *= 1.0 + k * step
                sums.append(
                    (adjoint * term.first_stage({**inputs, name: moved}, 0)[CHANNELS]).sum(1)
                )
            slope = (sums[0] - 8.0 * sums[1] + 8.0 * sums[2] - sums[3]) / (12.0 * step)
            error = np.abs(slope - x[:, column] * derivatives[f"v{name}"][:, column]) / unit
            worst = max(worst, float(error.max()))
    note = "of adjoint . channels, by each variable in its own unit"
    return judged("laws", "derivatives of the channels", worst, 1e-6, note=note)


Factors = tuple[tuple[str, int], ...]


def _values(subject: Subject, points: Mapping[str, Array], order: int) -> dict[Factors, Array]:
    """Columns of one derivative order by their factors; n*zk for order 0."""
    result = subject.compute(points, order)
    if order == 0:
        return {(): points["rho"].sum(axis=1) * result["zk"][:, 0]}
    return {
        factors: result[label][:, c]
        for label in subject.labels(order)
        for c, factors in enumerate(variables.components(label, variables.POLARIZED))
    }


def _differences(
    subject: Subject,
    inputs: Mapping[str, Array],
    variable: str,
    column: int,
    order: int,
    steps: tuple[float, ...],
) -> tuple[Array, Array]:
    """Numerical derivatives ``(columns, N)`` by one variable, and their errors."""
    x = inputs[variable][:, column]
    factors = np.array(
        [[[s / SHRINK**row, -s / SHRINK**row] for row in range(ROWS)] for s in steps]
    )
    moved = x * (1.0 + factors[..., None])  # (steps, rows, 2, N)
    copies = factors.size
    many = {name: np.tile(array, (copies, 1)) for name, array in inputs.items()}
    many[variable][:, column] = moved.ravel()
    values = np.array(list(_values(subject, many, order).values()))
    values = values.reshape(-1, *moved.shape)  # (columns, steps, rows, 2, N)
    width = x * factors[:, :, :1]
    central = (values[:, :, :, 0] - values[:, :, :, 1]) / (2.0 * width)
    columns = [extrapolated(np.moveaxis(central[:, i], 1, 0)) for i in range(len(steps))]
    numeric, own = (np.array(part) for part in zip(*columns, strict=True))
    best = np.take_along_axis(numeric, own.argmin(axis=0)[None], axis=0)[0]
    return best, np.maximum(own.min(axis=0), np.abs(numeric - best).max(axis=0))


def _place(subject: Subject, factors: Factors) -> tuple[str, int]:
    """Label and column of the derivative by these components, whatever their order."""
    names = subject.inputs
    wanted = tuple(sorted(factors, key=lambda f: (names.index(f[0]), f[1])))
    label = next(
        label
        for label in subject.labels(len(factors))
        if wanted in variables.components(label, variables.POLARIZED)
    )
    return label, variables.components(label, variables.POLARIZED).index(wanted)


def thresholds(subject: Subject) -> Iterator[Result]:
    """What changes where an input falls below its threshold."""
    floors = subject.spec.thresholds if subject.spec else _DEFAULTS
    points = subject.moderate(POINTS)
    total = points["rho"].sum(axis=1)
    scaled = subject.scaled(points, (floors.density * 1.000001 / total) ** (1 / 3))
    jump = np.abs(floors.density * subject.energy(scaled)).max()
    yield judged(
        "laws",
        "energy density lost at the density threshold",
        jump,
        1e-10,
        unit="Ha/bohr^3",
        note=f"at n = {floors.density:.0e} bohr^-3, where outputs become zero",
    )
    for what, names in (
        ("spin density", [("rho", 1, floors.density)]),
        ("sigma", [("sigma", 2, floors.sigma**2)]),
        ("tau", [("tau", 1, floors.tau)]),
    ):
        if names[0][0] in subject.inputs:
            yield _across(subject, what, *names[0])


def _across(subject: Subject, what: str, variable: str, column: int, floor: float) -> Result:
    """Jump of the energy and of the other spin's potential where one input meets its floor."""
    points = subject.moderate(POINTS)
    for name, channel in (("rho", 1), ("sigma", 2), ("tau", 1)):
        if name in points and (variable == "rho" or name == variable):
            points[name][:, channel] = 0.0
    if "sigma" in points:
        points["sigma"][:, 1] = 0.0
    sides = []
    for factor in (1.0 - 1e-9, 1.0 + 1e-9):
        points[variable][:, column] = floor * factor
        sides.append(subject.compute(points, 1))
    jumps = [
        np.abs(sides[0][label][:, 0] - sides[1][label][:, 0])
        / np.maximum(np.abs(sides[1][label][:, 0]), np.finfo(float).tiny)
        for label in ("zk", "vrho")
    ]
    name = f"jump at the {what} threshold"
    return judged(
        "laws", name, float(np.max(jumps)), 1e-8, note="of zk and of vrho of the other spin"
    )


def invariance(subject: Subject) -> Iterator[Result]:
    """Each point by itself: neither its neighbours nor the place in the arrays matter."""
    count = 2 * 2048 + 17
    points = subject.moderate(count, seed=1)
    result = subject.compute(points, subject.highest_order)
    order = np.random.default_rng(0).permutation(count)[: count // 7]
    picked = {name: array[order] for name, array in points.items()}
    expected = {label: values[order] for label, values in result.items()}
    reordered = subject.compute(picked, subject.highest_order)
    yield from _compared(subject, "other order and chunks", picked, reordered, expected)
    for level in range(subject.highest_order):
        lower = subject.compute(picked, level)
        scales = sample.Scales(picked, expected["zk"])
        worst = max(
            float(
                (
                    np.abs(values[:, c] - expected[label][:, c])
                    / np.maximum(scales.of(label, c, expected[label][:, c]), 1e-300)
                ).max()
            )
            for label, values in lower.items()
            for c in range(values.shape[1])
        )
        name = f"{variables.ORDERS[level]} alone and with {variables.ORDERS[subject.highest_order]}"
        yield judged("laws", name, worst, ROUNDING[subject.highest_order])
