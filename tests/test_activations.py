"""Activations composed of the runtime's operators: values and slopes, also in the tails."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from scipy import special, stats

from xcnet.export import algebra
from xcnet.export.differentiate import derivatives
from xcnet.export.graph import Node, column_input
from xcnet.export.onnx_writer import to_onnx

Array = NDArray[np.float64]
SQRT2 = 2.0**0.5
X = column_input("rho", 0)
#: Both signs, from denormals to the largest powers, and densely where the functions bend.
TAILS = np.concatenate([10.0 ** np.linspace(-300.0, 300.0, 601), [0.0, 5e-324]])
POINTS = np.concatenate([-TAILS, TAILS, np.linspace(-30.0, 30.0, 60_001)])


def values(node: Node, x: Array = POINTS) -> list[Array]:
    """A function of X and its slope, as ONNX Runtime has them."""
    slope = derivatives(node, [X], 1)[0,]
    data = to_onnx({"zk": [node], "vrho": [slope]}, {"rho": 1})
    session = onnxruntime.InferenceSession(data)
    return [output[:, 0] for output in session.run(None, {"rho": x[:, None]})]


@pytest.mark.parametrize(
    ("op", "value", "slope"),
    [
        (
            "erf",
            special.erf,
            lambda x: 2.0 / np.sqrt(np.pi) * np.exp(-(np.minimum(np.abs(x), 40.0) ** 2)),
        ),
        ("normal_cdf", special.ndtr, stats.norm.pdf),
        ("softplus", lambda x: np.logaddexp(0.0, x), special.expit),
    ],
)
def test_values_and_slopes(
    op: str, value: Callable[[Array], Array], slope: Callable[[Array], Array]
) -> None:
    with np.errstate(over="ignore", under="ignore"):
        function, by_x = values(algebra.unary(op, X))
        expected, expected_slope = value(POINTS), slope(POINTS)
    scale = np.maximum(1.0, np.abs(expected))
    assert (np.abs(function - expected) / scale).max() < 1e-15
    # Slopes keep their digits down to the smallest numbers, as far as exp does (x^2 eps).
    allowed = (1e-15 + 5e-16 * np.minimum(np.abs(POINTS), 40.0) ** 2) * expected_slope + 1e-300
    assert (np.abs(by_x - expected_slope) <= allowed).all()


def test_small_arguments_of_erf_keep_their_digits() -> None:
    function, _ = values(algebra.unary("erf", X))
    near = np.abs(POINTS) > 1e-290
    expected = special.erf(POINTS[near])
    assert (np.abs(function[near] / expected - 1.0)).max() < 1e-15
