"""Tapes: a program's instructions as bytes that C reads.

All numbers are little endian. A tape is

- the magic bytes, the format's version, and seven counts, uint32 each: inputs, outputs, registers,
  constants, weights, words of code, and multiply-adds per point of all matrix products (for who
  chooses an engine);
- for each input and each output its name (32 bytes, padded with zeros), its width (uint32), and
  as many operands (int32): the register that an input's component is loaded into (-1: not
  needed), or where an output's component is found;
- the constants and the weights of matrix products (float64);
- the code (int32);
- the SHA-256 of all before it.

An operand is a register if it is not negative, else the constant ~operand. An instruction is its
operator (bits 0 to 7) with the operands that advance from row to row (bits 8 to 10), its number of
rows, its first result's register and its operands; a product has the number of its terms, the
places of its weights and biases (-1: none) and one operand per term. Of several rows the results
have room up to a multiple of four registers, and what the room held is lost.
"""

from __future__ import annotations

import hashlib
import struct
from bisect import insort
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from xcnet.tape.rows import Program
from xcnet.tape.schedule import scheduled
from xcnet.tape.selection import Instruction, instructions

MAGIC = b"xcnetape"
VERSION = 2
NAME_BYTES = 32
#: Results of several rows have room up to a multiple of this: for a single point, vectors go across
#: rows. What is beyond the results belongs to nobody after the instruction.
ROOM = 4
HEAD = struct.Struct("<8I")
HASH_BYTES = 32
UNUSED = -1
#: Operators by number, with how many operands they have; adapters/libxc/tape.h has the same list.
ELEMENTWISE = {
    **dict.fromkeys("copy abs neg sign sqrt exp log tanh sigmoid".split(), 1),
    **dict.fromkeys("add sub mul div max min greater greater_equal pow".split(), 2),
    "where": 3,
    **dict.fromkeys("mul_mul mul_add mul_sub mul_rsub mul_div mul_rdiv".split(), 3),
    **dict.fromkeys("add_mul add_add add_sub add_rsub add_div add_rdiv".split(), 3),
    **dict.fromkeys("sub_mul sub_add sub_sub sub_rsub sub_div sub_rdiv".split(), 3),
}
OPERATORS = {name: i for i, name in enumerate([*ELEMENTWISE, "algebraic", "product"])}


class _Registers:
    """Registers given to rows, taken back after a row's last use."""

    def __init__(self) -> None:
        self.count = 0
        self._free: list[int] = []  # sorted

    def take(self, count: int) -> int:
        """First of so many neighbouring registers."""
        run = 0
        for i, register in enumerate(self._free):
            run = run + 1 if i and self._free[i - 1] == register - 1 else 1
            if run == count:
                first = register - count + 1
                del self._free[i - count + 1 : i + 1]
                return first
        first = self.count
        while self._free and self._free[-1] == first - 1:
            first = self._free.pop()
        self.count = first + count
        return first

    def give_back(self, register: int) -> None:
        insort(self._free, register)


class _TapeWriter:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.steps = scheduled(instructions(program))
        self.registers = _Registers()
        self.places: dict[int, int] = {}
        self.constants: list[float] = []
        self.weights: list[float] = []
        self.code: list[int] = []
        self.multiply_adds = 0
        self._copies: dict[int, int] = {}  # registers of constants
        self._room: list[int] = []  # registers beyond an instruction's results
        self._places_of_weights: dict[bytes, int] = {}
        self._last = self._last_uses()

    def _last_uses(self) -> dict[int, int]:
        last: dict[int, int] = {}
        for i, step in enumerate(self.steps):
            for rows in (step.rows, step.second, *step.operands):
                last.update(dict.fromkeys(rows, i))
        end = len(self.steps)
        last.update({row: end for rows in self.program.outputs.values() for row in rows})
        return last

    def _operand(self, row: int) -> int:
        if row not in self.places:
            self._place_constants([row])
        return self.places[row]

    def _register(self, row: int) -> int:
        """Register of a row; a constant is copied into one, which it keeps."""
        place = self._operand(row)
        if place >= 0:
            return place
        if row not in self._copies:
            self._copies[row] = self.registers.take(1)
            self.code += [OPERATORS["copy"], 1, self._copies[row], place]
        return self._copies[row]

    def _place_constants(self, rows: Sequence[int]) -> None:
        for row in rows:
            self.places[row] = ~len(self.constants)
            self.constants.append(self.program.values[row])

    def _advancing(self, rows: Sequence[int]) -> tuple[int, bool] | None:
        """First operand of rows that are all the same or neighbours; None if they are neither."""
        if len(set(rows)) == 1:
            return self._operand(rows[0]), False
        if all(row in self.program.values for row in rows):
            # A run of their own, as the same constants may be in another order elsewhere.
            first = ~len(self.constants)
            self.constants += [self.program.values[row] for row in rows]
            return first, True
        places = [self._operand(row) for row in rows]
        if places[0] >= 0 and places == list(range(places[0], places[0] + len(rows))):
            return places[0], True
        return None

    def _release(self, step: Instruction, i: int) -> None:
        for row in {row for operand in step.operands for row in operand}:
            if self._last[row] == i and self.places.get(row, UNUSED) >= 0:
                self.registers.give_back(self.places.pop(row))

    def _take(self, rows: Sequence[int]) -> int:
        count = len(rows)
        room = -(-count // ROOM) * ROOM if count > 1 else 1
        first = self.registers.take(room)
        self.places.update(zip(rows, range(first, first + count), strict=True))
        self._room += range(first + count, first + room)
        return first

    def load(self) -> None:
        """Registers of the inputs' components that are used."""
        for rows in self.program.inputs.values():
            for row in rows:
                if row in self._last:
                    self._take([row])

    def step(self, i: int, step: Instruction) -> None:
        """Write one instruction; a row that is used no more gives its register back."""
        if step.operator == "product":
            self._product(step)
        elif len(step.rows) == 1:
            # Each point's operands are read before its result is written: it may take their place.
            # A second result may not, the reader refuses it: it takes its own place before.
            operands = [self._operand(operand[0]) for operand in step.operands]
            second = self._take_second(step)
            self._release(step, i)
            self._emit(step.operator, step.rows, operands, 0, second)
            return
        else:
            self._wide(step)
        self._release(step, i)
        for register in self._room:
            self.registers.give_back(register)
        self._room.clear()

    def _wide(self, step: Instruction) -> None:
        advancing = [self._advancing(operand) for operand in step.operands]
        places = [place for place in advancing if place is not None]
        if len(places) < len(advancing):
            first = self._take(step.rows)
            if step.second:
                self._take(step.second)
            for at in range(len(step.rows)):
                operands = [self._operand(operand[at]) for operand in step.operands]
                second = [self.places[step.second[at]]] if step.second else []
                self._words(step.operator, 1, first + at, operands + second, 0)
            return
        flags = sum(1 << k for k, (_, advances) in enumerate(places) if advances)
        operands = [first for first, _ in places]
        self._emit(step.operator, step.rows, operands, flags, self._take_second(step))

    def _take_second(self, step: Instruction) -> int:
        return self._take(step.second) if step.second else UNUSED

    def _emit(
        self,
        operator: str,
        rows: Sequence[int],
        operands: Sequence[int],
        flags: int,
        second: int,
    ) -> None:
        first = self._take(rows)
        extra = [second] if operator == "algebraic" else []
        self._words(operator, len(rows), first, [*operands, *extra], flags)

    def _words(
        self, operator: str, count: int, first: int, operands: Sequence[int], flags: int
    ) -> None:
        if operator == "algebraic" and len(operands) == 1:
            operands = [*operands, UNUSED]
        self.code += [OPERATORS[operator] | flags << 8, count, first, *operands]

    def _product(self, step: Instruction) -> None:
        assert step.weights is not None
        operands = [self._register(row) for row in step.operands[0]]
        first = self._take(step.rows)
        at, bias = self._store(step.weights.ravel()), UNUSED
        if step.bias is not None:
            bias = self._store(np.array(step.bias))
        self.multiply_adds += step.weights.size
        self.code += [OPERATORS["product"], len(step.rows), first, len(operands), at, bias]
        self.code += operands

    def _store(self, weights: NDArray[np.float64]) -> int:
        """Place of weights; equal ones are stored once."""
        key = weights.tobytes()
        if key not in self._places_of_weights:
            self._places_of_weights[key] = len(self.weights)
            self.weights += weights.tolist()
        return self._places_of_weights[key]

    def tensors(self, tensors: dict[str, list[int]], is_input: bool) -> Iterator[bytes]:
        """Descriptions of inputs or outputs."""
        for name, rows in tensors.items():
            if is_input:
                places = [self.inputs.get(row, UNUSED) for row in rows]
            else:
                places = [self._operand(row) for row in rows]
            yield name.encode().ljust(NAME_BYTES, b"\0")
            yield struct.pack(f"<I{len(places)}i", len(places), *places)

    def write(self) -> bytes:
        """All bytes of the tape."""
        self.load()
        self.inputs = dict(self.places)
        for i, step in enumerate(self.steps):
            self.step(i, step)
        program = self.program
        tensors = [*self.tensors(program.inputs, True), *self.tensors(program.outputs, False)]
        counts = (
            *(len(program.inputs), len(program.outputs), self.registers.count),
            *(len(self.constants), len(self.weights), len(self.code)),
        )
        parts = [MAGIC, HEAD.pack(VERSION, *counts, self.multiply_adds), *tensors]
        numbers = [*self.constants, *self.weights]
        parts.append(struct.pack(f"<{len(numbers)}d", *numbers))
        parts.append(struct.pack(f"<{len(self.code)}i", *self.code))
        content = b"".join(parts)
        return content + hashlib.sha256(content).digest()


def tape(program: Program) -> bytes:
    """Tape of a program."""
    return _TapeWriter(program).write()


def is_whole(content: bytes) -> bool:
    """Whether bytes end with their own hash, as a tape does."""
    body, digest = content[:-HASH_BYTES], content[-HASH_BYTES:]
    return content.startswith(MAGIC) and hashlib.sha256(body).digest() == digest
