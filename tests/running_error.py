"""Tapes' programs in numpy, with a bound of the rounding error of every result.

Running error analysis: each operation passes the errors of its operands on by its derivatives and
adds half a unit in the last place of its own. See N. J. Higham, Accuracy and Stability of
Numerical Algorithms, 2nd ed. (2002), section 3.3, doi:10.1137/1.9780898718027.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from xcnet.density import Array
from xcnet.tape.rows import Program

UNIT = 2.0**-53
#: Of the elementary functions, in units in the last place; ONNX Runtime's have up to 3.
FUNCTIONS = {"exp": 4.0, "log": 4.0, "pow": 4.0, "tanh": 4.0, "sigmoid": 4.0}
#: Differences below the normal numbers are no errors of rounding.
SMALLEST = 2.0**-1021
#: Functions of one operand, and their slopes.
SLOPES: Mapping[str, Callable[[Array], tuple[Array, Any]]] = {
    "abs": lambda a: (np.abs(a), 1.0),
    "neg": lambda a: (-a, 1.0),
    "sign": lambda a: (np.sign(a), 0.0),
    "sqrt": lambda a: (np.sqrt(a), 0.5 / np.sqrt(a)),
    "exp": lambda a: (np.exp(a), np.exp(a)),
    "log": lambda a: (np.log(a), 1.0 / a),
    "tanh": lambda a: (np.tanh(a), 1.0),
    "sigmoid": lambda a: (0.5 + 0.5 * np.tanh(0.5 * a), 0.25),
}


def bounds(program: Program, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Bound of the absolute error of every output (N, width), at inputs without one."""
    rows: dict[int, tuple[Array, Array]] = {}
    points = len(next(iter(inputs.values())))
    for name, ids in program.inputs.items():
        for component, row in enumerate(ids):
            rows[row] = inputs[name][:, component], np.zeros(points)

    def operand(row: int) -> tuple[Array, Array]:
        if row not in rows:
            rows[row] = np.full(points, program.values[row]), np.zeros(points)
        return rows[row]

    with np.errstate(all="ignore"):
        for block in program.blocks:
            if block.product is not None:
                results = _product(block.product.weights, list(map(operand, block.product.rows)))
                rows.update(zip(block.rows, results, strict=True))
                continue
            for row in block.rows:
                rows[row] = _step(block.operator, list(map(operand, program.operands[row])))
    return {
        name: np.stack([operand(row)[1] for row in ids], axis=1)
        for name, ids in program.outputs.items()
    }


def _product(weights: Array, operands: list[tuple[Array, Array]]) -> Iterator[tuple[Array, Array]]:
    values, errors = (np.stack(columns) for columns in zip(*operands, strict=True))
    sizes = errors + len(operands) * UNIT * np.abs(values)
    return zip(weights @ values, np.abs(weights) @ sizes, strict=True)


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
    result, slope = SLOPES[operator](a)
    # Sigmoid is 1 - 1 / (1 + exp(-|a|)) below zero: its rounding is that of numbers near one.
    return result, np.abs(slope) * ea + (2.0 * UNIT if operator == "sigmoid" else 0.0)
