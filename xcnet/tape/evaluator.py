"""The C evaluator of tapes, for arrays of numpy."""

from __future__ import annotations

import ctypes
import struct
import weakref
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from xcnet import shared_library
from xcnet.errors import EngineError, NativeError
from xcnet.tape.writer import HEAD, MAGIC, NAME_BYTES

Array = NDArray[np.float64]
#: No array of the caller's for any output.
NOWHERE: Mapping[str, Array] = MappingProxyType({})


class Tape:
    """A tape that C has read and checked.

    Parameters
    ----------
    content : bytes
        The tape.

    Attributes
    ----------
    inputs, outputs : tuple of (str, int)
        Names and components per point.
    multiply_adds : int
        Of all matrix products, per point.

    Raises
    ------
    NativeError
        The C library is missing, or refuses the tape.
    """

    def __init__(self, content: bytes) -> None:
        library = shared_library.load()
        problem = ctypes.c_char_p()
        self._address = library.xcnet_tape_open(content, len(content), ctypes.byref(problem))
        if not self._address:
            reason = (problem.value or b"").decode()
            raise NativeError(f"a tape is refused: {reason}", given=len(content))
        weakref.finalize(self, library.xcnet_tape_close, self._address)
        self._run = library.xcnet_tape_run
        self.inputs, self.outputs, self.multiply_adds = _signature(content)
        self._pointers = ctypes.c_void_p * len(self.inputs), ctypes.c_void_p * len(self.outputs)

    def run(
        self, inputs: Mapping[str, Array], places: Mapping[str, Array] = NOWHERE
    ) -> dict[str, Array]:
        """Outputs (N, width) at the points of float64 inputs (N, width).

        Those named in ``places`` are written there, into arrays in one piece.
        """
        arrays = [np.ascontiguousarray(inputs[name]) for name, _ in self.inputs]
        points = len(arrays[0])
        results = {
            name: places[name] if name in places else np.empty((points, width))
            for name, width in self.outputs
        }
        in_pointers, out_pointers = self._pointers
        pairs = zip(arrays, self.inputs, strict=True)
        failed = self._run(
            self._address,
            points,
            in_pointers(*[_address(x, points, w) for x, (_, w) in pairs]),
            out_pointers(*[_address(results[name], points, w) for name, w in self.outputs]),
        )
        if failed:
            raise EngineError(f"not enough memory to evaluate {points} points")
        return results


def _address(array: Array, points: int, width: int) -> int:
    if array.shape != (points, width) or array.dtype != np.float64:
        raise EngineError(f"an array of shape {array.shape}, not {(points, width)} of float64")
    if not array.flags.c_contiguous:
        raise EngineError(f"an array of shape {array.shape} is not in one piece")
    address: int = array.__array_interface__["data"][0]
    return address


def _signature(content: bytes) -> tuple[Sequence[tuple[str, int]], Sequence[tuple[str, int]], int]:
    """Inputs, outputs and multiply-adds of a tape that C has accepted."""
    _, inputs, outputs, *_, multiply_adds = HEAD.unpack_from(content, len(MAGIC))
    at = len(MAGIC) + HEAD.size
    tensors = []
    for _ in range(inputs + outputs):
        name = content[at : at + NAME_BYTES].rstrip(b"\0").decode(errors="replace")
        (width,) = struct.unpack_from("<I", content, at + NAME_BYTES)
        tensors.append((name, int(width)))
        at += NAME_BYTES + 4 + 4 * width
    return tuple(tensors[:inputs]), tuple(tensors[inputs:]), int(multiply_adds)


def instructions() -> str:
    """Instructions that the evaluator uses on this machine: portable, avx2 or avx512."""
    name: bytes = shared_library.load().xcnet_tape_instructions()
    return name.decode()
