"""Arrays of a TorchScript archive: its raw data, and a list of what they are.

``data.pkl`` is a program for the machine of Python's pickles. It is read here as a list of
operations (`pickletools.genops` runs nothing) by a machine that knows the few that build modules
of tensors; classes are only names to it, nothing can be called.
Source of the layout: torch/csrc/jit/serialization and torch/_utils.py of PyTorch.
"""

from __future__ import annotations

import pickletools
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from xcnet.errors import InstallError
from xcnet.published.readers.arrays import Array, finite, unzipped

#: Storage class of torch -> type of its numbers.
TYPES: Mapping[str, np.dtype[Any]] = {
    "torch DoubleStorage": np.dtype("<f8"),
    "torch FloatStorage": np.dtype("<f4"),
}
TENSOR, ORDERED = "torch._utils _rebuild_tensor_v2", "collections OrderedDict"
MODULE = "__torch__"
MAX_OPERATIONS = 100_000


@dataclass(frozen=True)
class Name:
    """A class or function, which is never looked up."""

    text: str


@dataclass(frozen=True)
class Storage:
    """Raw numbers of one or more tensors."""

    values: Array


def arrays(data: bytes, source: str) -> dict[str, Array]:
    """Parameters and buffers of the archive's module by dotted name, float64."""
    files = unzipped(data, source)
    programs = [name for name in files if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(programs) != 1:
        raise InstallError(f"{source} has no data.pkl of one module", source=source)
    folder = programs[0].removesuffix("data.pkl")
    try:
        machine = Machine({k.removeprefix(folder): v for k, v in files.items()})
        with warnings.catch_warnings():  # of escapes in names
            warnings.simplefilter("ignore", DeprecationWarning)
            root = machine.run(files[programs[0]])
    except (ValueError, IndexError, KeyError, TypeError, RecursionError) as error:
        raise InstallError(
            f"{programs[0]} of {source} is refused: {error}", source=source
        ) from error
    return {name: finite(a, f"{name} in {source}") for name, a in _flat("", root, set()).items()}


def _flat(prefix: str, value: Any, above: set[int]) -> dict[str, Array]:
    if isinstance(value, np.ndarray):
        return {prefix: value}
    arrays: dict[str, Array] = {}
    if isinstance(value, dict) and id(value) not in above:  # a module may hold itself
        for key, item in value.items():
            name = f"{prefix}.{key}" if prefix else str(key)
            arrays |= _flat(name, item, above | {id(value)})
    return arrays


class Machine:
    """Reads the operations of a pickle; ValueError for one that it does not know."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = files
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self, program: bytes) -> Any:
        """Value that the program leaves."""
        for count, (operation, argument, _) in enumerate(pickletools.genops(program)):
            if count > MAX_OPERATIONS:
                raise ValueError(f"more than {MAX_OPERATIONS} operations")
            if operation.name == "STOP":
                return self.stack.pop()
            step = STEPS.get(operation.name)
            if step is None:
                raise ValueError(f"the operation {operation.name} is not one of tensors' files")
            step(self, argument)
        raise ValueError("it does not end")

    def since_mark(self) -> list[Any]:
        """Take what lies above the last mark."""
        start = self.marks.pop()
        taken, self.stack[start:] = self.stack[start:], []
        return taken

    def set_items(self, pairs: list[Any]) -> None:
        """Put keys and values into the dictionary below them."""
        target = self.stack[-1]
        if not isinstance(target, dict) or len(pairs) % 2:
            raise ValueError("items of something that has none")
        target.update(zip(pairs[::2], pairs[1::2], strict=True))

    def new_object(self, _: Any) -> None:
        """Make a module, whatever its class: a dictionary."""
        arguments, name = self.stack.pop(), self.stack.pop()
        if arguments != () or not isinstance(name, Name) or not name.text.startswith(MODULE):
            raise ValueError(f"an object of {name}")
        self.stack.append({})

    def build(self, _: Any) -> None:
        """Give a module its attributes."""
        state, module = self.stack.pop(), self.stack[-1]
        if not isinstance(state, dict) or not isinstance(module, dict):
            raise ValueError("a module whose state is no dictionary")
        module.update(state)

    def reduce(self, _: Any) -> None:
        """Stand for the two calls that occur; all others are refused."""
        arguments, name = self.stack.pop(), self.stack.pop()
        text = name.text if isinstance(name, Name) else repr(name)
        if text == ORDERED and arguments == ():
            self.stack.append({})
        elif text == TENSOR and isinstance(arguments[0], Storage):
            self.stack.append(_tensor(arguments[0].values, *arguments[1:4]))
        else:
            raise ValueError(f"a call of {text}")

    def storage(self, _: Any) -> None:
        """Raw numbers by the key of their file."""
        kind, storage_type, key, place, size = self.stack.pop()
        dtype = TYPES.get(storage_type.text if isinstance(storage_type, Name) else "")
        if kind != "storage" or dtype is None or place != "cpu" or not isinstance(key, str):
            raise ValueError(f"a storage of {storage_type} on {place!r}")
        content = self.files[f"data/{key}"]
        if len(content) != size * dtype.itemsize:
            raise ValueError(f"data/{key} has {len(content)} bytes, not {size} numbers")
        self.stack.append(Storage(np.frombuffer(content, dtype).astype(np.float64)))


def _tensor(values: Array, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> Array:
    """Contiguous part of a storage."""
    expected = tuple(prod(shape[i + 1 :]) for i in range(len(shape)))
    if any(type(n) is not int or n < 0 for n in (offset, *shape)) or strides != expected:
        raise ValueError(f"a tensor with the shape {shape} and strides {strides}")
    part = values[offset : offset + prod(shape)]
    return part.reshape(shape)


def _push(value: Any) -> Callable[[Machine, Any], None]:
    return lambda machine, _: machine.stack.append(value)


def _argument(machine: Machine, argument: Any) -> None:
    machine.stack.append(argument)


def _put(machine: Machine, argument: Any) -> None:
    machine.memo[argument] = machine.stack[-1]


def _tuple(size: int) -> Callable[[Machine, Any], None]:
    def step(machine: Machine, _: Any) -> None:
        taken, machine.stack[-size:] = tuple(machine.stack[-size:]), []
        if len(taken) != size:
            raise ValueError("a tuple of values that are not there")
        machine.stack.append(taken)

    return step


STEPS: Mapping[str, Callable[[Machine, Any], None]] = {
    "PROTO": lambda machine, _: None,
    "GLOBAL": lambda machine, text: machine.stack.append(Name(text)),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), _put),
    **dict.fromkeys(
        ("BINGET", "LONG_BINGET"), lambda machine, key: machine.stack.append(machine.memo[key])
    ),
    **dict.fromkeys(("BINUNICODE", "BININT", "BININT1", "BININT2", "BINFLOAT"), _argument),
    "NONE": _push(None),
    "NEWTRUE": _push(True),
    "NEWFALSE": _push(False),
    "EMPTY_TUPLE": _push(()),
    "EMPTY_DICT": lambda machine, _: machine.stack.append({}),
    "MARK": lambda machine, _: machine.marks.append(len(machine.stack)),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.since_mark())),
    "TUPLE1": _tuple(1),
    "TUPLE2": _tuple(2),
    "TUPLE3": _tuple(3),
    "SETITEMS": lambda machine, _: machine.set_items(machine.since_mark()),
    "NEWOBJ": Machine.new_object,
    "BUILD": Machine.build,
    "REDUCE": Machine.reduce,
    "BINPERSID": Machine.storage,
}
