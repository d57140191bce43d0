"""Tapes' programs in numpy, with a bound of the rounding error of every result.

Running error analysis: each operation passes the errors of its operands on by its derivatives and
adds half a unit in the last place of its own. See N. J. Higham, Accuracy and Stability of
Numerical Algorithms, 2nd ed. (2002), section 3.3, doi:10.1137/1.9780898718027.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from xcnet.density import Array
from xcnet.tape.rows import Program

UNIT = 2.0**-53
#: Of the elementary functions, in units in the last place; ONNX Runtime's have up to 3.
FUNCTIONS = {"exp": 4.0, "log": 4.0, "pow": 4.0, "tanh": 4.0, "sigmoid": 4.0}
#: Differences below the normal numbers are no errors of rounding.
SMALLEST = 2.0**-1021


def bounds(program: Program, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Bound of the absolute error of every output (N, width), at inputs without one."""
    rows: dict[int, tuple[Array, Array]] = {}
    points = len(next(iter(inputs.values())))
    for name, ids in program.inputs.items():
        for component, row in enumerate(ids):
            rows[row] = inputs[name][:, component], np.zeros(points)
    for row, value in program.values.items():
        rows[row] = np.full(points, value), np.zeros(points)
    with np.errstate(all="ignore"):
        for block in program.blocks:
            for at, row in enumerate(block.rows):
                if block.product is not None:
                    rows[row] = _product(block.product.weights[at], block.product.rows, rows)
                else:
                    operands = [rows[operand] for operand in program.operands[row]]
                    rows[row] = _step(block.operator, operands)
    return {
        name: np.stack([rows[row][1] for row in ids], axis=1)
        for name, ids in program.outputs.items()
    }


def _product(
    weights: Array, ids: tuple[int, ...], rows: Mapping[int, tuple[Array, Array]]
) -> tuple[Array, Array]:
    total, error, size = 0.0, 0.0, 0.0
    for weight, row in zip(weights, ids, strict=True):
        value, own = rows[row]
        total = total + weight * value
        size = size + np.abs(weight * value)
        error = error + np.abs(weight) * own
    return np.asarray(total), np.asarray(error + len(ids) * UNIT * size)


def _step(operator: str, operands: list[tuple[Array, Array]]) -> tuple[Array, Array]:
    values, errors = zip(*operands, strict=True)
    a, ea = values[0], errors[0]
    b, eb = (values[1], errors[1]) if len(values) > 1 else (a, ea)
    if operator in ("greater", "greater_equal"):
        return (a > b if operator == "greater" else a >= b), np.zeros_like(a)
    if operator == "where":
        mask = a.astype(bool)
        return np.where(mask, b, values[2]), np.where(mask, eb, errors[2])
    if operator in ("max", "min"):
        first = a > b if operator == "max" else a < b
        return np.where(first, a, b), np.maximum(ea, eb)
    result, passed = _smooth(operator, a, ea, b, eb)
    error = passed + FUNCTIONS.get(operator, 1.0) * UNIT * np.abs(result) + SMALLEST
    return result, np.where(np.isnan(error), np.inf, error)


def _smooth(operator: str, a: Array, ea: Array, b: Array, eb: Array) -> tuple[Array, Array]:
    """Result and the operands' errors, passed on to first order."""
    if operator == "add":
        return a + b, ea + eb
    if operator == "sub":
        return a - b, ea + eb
    if operator == "mul":
        return a * b, np.abs(a) * eb + np.abs(b) * ea + ea * eb
    if operator == "div":
        return a / b, (ea + np.abs(a / b) * eb) / np.abs(b)
    if operator == "pow":
        return a**b, np.abs(b * a ** (b - 1.0)) * ea
    slopes = {
        "abs": (np.abs(a), np.ones_like(a)),
        "neg": (-a, np.ones_like(a)),
        "sign": (np.sign(a), np.zeros_like(a)),
        "sqrt": (np.sqrt(a), 0.5 / np.sqrt(a)),
        "exp": (np.exp(a), np.exp(a)),
        "log": (np.log(a), 1.0 / a),
        "tanh": (np.tanh(a), np.ones_like(a)),
        "sigmoid": (0.5 + 0.5 * np.tanh(0.5 * a), 0.25 * np.ones_like(a)),
    }
    result, slope = slopes[operator]
    # Sigmoid is 1 - 1 / (1 + exp(-|a|)) below zero: its rounding is that of numbers near one.
    return result, np.abs(slope) * ea + (2.0 * UNIT if operator == "sigmoid" else 0.0)
