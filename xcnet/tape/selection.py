"""Instructions of a tape: blocks of rows without what is not needed, neighbours fused.

Only what changes no bit is fused: each step still rounds as it does alone. The exceptions are the
sums of matrix products, whose terms are added in order by fused multiply-adds, as ONNX Runtime
does where the processor has them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from xcnet.tape.rows import Block, Program

#: A product of two operands whose only use is one of these becomes part of it, as first operand.
INNER = ("mul", "add", "sub")
OUTER = ("mul", "add", "sub", "div")


@dataclass
class Instruction:
    """One step of a tape: as many results as each of ``operands`` has rows, or as ``rows``."""

    operator: str
    rows: list[int]
    operands: list[list[int]]
    weights: NDArray[np.float64] | None = None
    bias: list[float] | None = None
    second: list[int] = field(default_factory=list)  # rows of a second result


def instructions(program: Program) -> list[Instruction]:
    """Steps that compute the outputs of a program."""
    steps = [_instruction(program, block) for block in _living(program)]
    uses = _uses(program, steps)
    steps = _add_biases(program, steps, uses)
    steps = _fuse_layers(program, steps, uses)
    return _fuse_pairs(steps, uses)


def _living(program: Program) -> list[Block]:
    """Blocks without rows that no output needs."""
    needed = {row for rows in program.outputs.values() for row in rows}
    living = []
    for block in reversed(program.blocks):
        rows = [row for row in block.rows if row in needed]
        if not rows:
            continue
        for row in rows:
            needed.update(program.operands[row])
        living.append(Block(block.operator, rows, block.product))
        if block.product is not None:
            kept = [block.rows.index(row) for row in rows]
            product = block.product
            living[-1].product = type(product)(product.weights[kept], product.rows)
    return living[::-1]


def _instruction(program: Program, block: Block) -> Instruction:
    if block.product is not None:
        return Instruction("product", block.rows, [list(block.product.rows)], block.product.weights)
    operands = zip(*(program.operands[row] for row in block.rows), strict=True)
    return Instruction(block.operator, block.rows, [list(column) for column in operands])


def _uses(program: Program, steps: list[Instruction]) -> Counter[int]:
    uses = Counter(row for rows in program.outputs.values() for row in rows)
    for step in steps:
        for operand in step.operands:
            uses.update(operand)
    return uses


def _users(steps: list[Instruction]) -> dict[int, list[Instruction]]:
    users: dict[int, list[Instruction]] = {}
    for step in steps:
        for operand in step.operands:
            for row in operand:
                known = users.setdefault(row, [])
                if not known or known[-1] is not step:
                    known.append(step)
    return users


def _only_user(step: Instruction, users: dict[int, list[Instruction]]) -> Instruction | None:
    """The one step that uses all results of a step."""
    users_by_id = {id(user): user for row in step.rows for user in users.get(row, [])}
    return next(iter(users_by_id.values())) if len(users_by_id) == 1 else None


def _add_biases(
    program: Program, steps: list[Instruction], uses: Counter[int]
) -> list[Instruction]:
    """Constants added to the results of a product become part of it."""
    users = _users(steps)
    gone: set[int] = set()
    for step in steps:
        user = _only_user(step, users) if step.operator == "product" else None
        if user is None or user.operator != "add" or any(uses[row] != 1 for row in step.rows):
            continue
        place = int(user.operands[1] == step.rows)
        bias = user.operands[1 - place]
        if user.operands[place] == step.rows and all(row in program.values for row in bias):
            user.operator, user.operands = "product", step.operands
            user.weights, user.bias = step.weights, [program.values[row] for row in bias]
            gone.add(id(step))
    return [step for step in steps if id(step) not in gone]


def _fuse_layers(
    program: Program, steps: list[Instruction], uses: Counter[int]
) -> list[Instruction]:
    """x / sqrt(x^2 + 1) of a layer, and (x^2 + 1)^(3/2) where its derivative divides by it."""
    makers = {row: step for step in steps for row in step.rows}
    outputs = {row for rows in program.outputs.values() for row in rows}
    users = _users(steps)
    gone: set[int] = set()
    for step in steps:
        layer = _layer(program, step, makers)
        if layer is None:
            continue
        root, sum_, square = layer
        inner = {id(step), id(root), id(sum_), id(square)}
        outside = [
            user
            for part in (root, sum_, square)
            for row in part.rows
            for user in users.get(row, [])
            if id(user) not in inner
        ]
        cubes = {id(user): user for user in outside}
        if outputs.intersection([*root.rows, *sum_.rows, *square.rows]) or len(cubes) > 1:
            continue
        cube = next(iter(cubes.values()), None)
        if cube is not None:
            parts = sorted((root.rows, sum_.rows))
            if cube.operator != "mul" or sorted(cube.operands) != parts:
                continue
            step.second = cube.rows
            inner.add(id(cube))
        step.operator, step.operands = "algebraic", [step.operands[0]]
        gone |= inner - {id(step)}
    return [step for step in steps if id(step) not in gone]


def _layer(
    program: Program, step: Instruction, makers: dict[int, Instruction]
) -> tuple[Instruction, Instruction, Instruction] | None:
    """Root, sum and square whose quotient a step is."""
    if step.operator != "div":
        return None
    x, below = step.operands
    root = makers.get(below[0])
    if root is None or root.operator != "sqrt" or root.rows != below:
        return None
    sum_ = makers.get(root.operands[0][0])
    if sum_ is None or sum_.operator != "add" or sum_.rows != root.operands[0]:
        return None
    ones = [operand for operand in sum_.operands if program.values.get(operand[0]) == 1.0]
    rest = [operand for operand in sum_.operands if operand[0] not in program.values]
    if len(ones) != 1 or len(rest) != 1 or len(set(ones[0])) != 1:
        return None
    square = makers.get(rest[0][0])
    if square is None or square.operator != "mul" or square.rows != rest[0]:
        return None
    return (root, sum_, square) if square.operands == [x, x] else None


def _fuse_pairs(steps: list[Instruction], uses: Counter[int]) -> list[Instruction]:
    """Pairs of elementwise steps, the first of which has no other use."""
    makers = {row: step for step in steps for row in step.rows}
    gone: set[int] = set()
    for step in steps:
        if step.operator not in OUTER or id(step) in gone:
            continue
        for place in (0, 1):
            inner = makers.get(step.operands[place][0])
            if (
                inner is None
                or inner.operator not in INNER
                or inner.rows != step.operands[place]
                or any(uses[row] != 1 for row in inner.rows)
            ):
                continue
            reverse = place == 1 and step.operator in ("sub", "div")
            outer = f"{'r' if reverse else ''}{step.operator}"
            step.operator = f"{inner.operator}_{outer}"
            step.operands = [*inner.operands, step.operands[1 - place]]
            gone.add(id(inner))
            break
    return [step for step in steps if id(step) not in gone]
