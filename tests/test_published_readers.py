"""Readers of authors' files: hostile ones are refused with the file's name, and nothing runs."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from xcnet.errors import InstallError
from xcnet.published.readers import arrays, snappy, tensorflow, torchscript

NUMBERS = np.arange(6.0).reshape(2, 3)


def npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def archive(**files: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in files.items():
            target.writestr(name, content)
    return stream.getvalue()


class Layer(torch.nn.Module):
    """A module for TorchScript's files."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = torch.nn.Linear(3, 2, dtype=torch.float64)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.inner(x)
        return result


def script() -> bytes:
    """An archive of TorchScript's layout, with the numbers of `NUMBERS`."""
    return archive(**{"net/data.pkl": program(), "net/data/0": NUMBERS.tobytes()})


def program(callee: bytes = b"ctorch._utils\n_rebuild_tensor_v2\n") -> bytes:
    """Pickle of a module with one tensor, in the operations that TorchScript writes."""
    name = b"X\x06\x00\x00\x00weight"
    storage = b"(X\x07\x00\x00\x00storagectorch\nDoubleStorage\nX\x01\x00\x00\x000"
    storage += b"X\x03\x00\x00\x00cpuK\x06tQ"
    tensor = b"(" + storage + b"K\x00(K\x02K\x03t(K\x03K\x01t\x89ccollections\nOrderedDict\n)RtR"
    return b"\x80\x02c__torch__\nNet\n)\x81}(" + name + callee + tensor + b"ub."


def table(value: bytes, key: bytes = b"w") -> bytes:
    """Index of a checkpoint with one entry, uncompressed."""

    def block(*entries: tuple[bytes, bytes]) -> bytes:
        body = b"".join(bytes([0, len(k), len(v)]) + k + v for k, v in entries)
        return body + struct.pack("<II", 0, 1)

    data = block((key, value))
    handle = bytes([0, len(data)])
    index = block((key, handle))
    start = len(data) + 5
    footer = bytes([0, 0, start, len(index)]).ljust(40, b"\0") + tensorflow.MAGIC
    return data + b"\0" * 5 + index + b"\0" * 5 + footer


#: float32, of the shape (2, 3), 24 bytes at 0.
ENTRY = b"\x08\x01\x12\x08\x12\x02\x08\x02\x12\x02\x08\x03\x28\x18"


def test_arrays_come_out() -> None:
    expected = NUMBERS
    np.testing.assert_array_equal(arrays.npy(npy(NUMBERS.astype("<f4")), "a"), expected)
    np.testing.assert_array_equal(arrays.npy(npy(np.asfortranarray(NUMBERS)), "a"), expected)
    contents = arrays.npz(archive(**{"a.npy": npy(NUMBERS)}), "a")
    np.testing.assert_array_equal(contents["a"], expected)
    np.testing.assert_array_equal(torchscript.arrays(script(), "s")["weight"], expected)
    data = NUMBERS.astype("<f4").tobytes()
    np.testing.assert_array_equal(tensorflow.arrays(table(ENTRY), data, "t")["w"], expected)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_what_torch_itself_writes() -> None:
    module = Layer()
    stream = io.BytesIO()
    torch.jit.save(torch.jit.script(module), stream)
    contents = torchscript.arrays(stream.getvalue(), "module")
    for name, parameter in module.named_parameters():
        np.testing.assert_array_equal(contents[name], parameter.detach().numpy())


class Hostile:
    """Runs code when it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.place,)


def test_nothing_runs(tmp_path: Path) -> None:
    trap = tmp_path / "executed"
    with pytest.raises(InstallError, match="holds object"):
        arrays.npy(npy(np.array([Hostile(trap)], dtype=object)), "a.npy")
    for protocol in range(6):
        data = archive(**{"net/data.pkl": pickle.dumps(Hostile(trap), protocol)})
        with pytest.raises(InstallError, match=r"net/data\.pkl of net is refused"):
            torchscript.arrays(data, "net")
    system = archive(**{"n/data.pkl": program(b"cos\nsystem\n"), "n/data/0": NUMBERS.tobytes()})
    with pytest.raises(InstallError, match="a call of os system"):
        torchscript.arrays(system, "net")
    assert not trap.exists()


@pytest.mark.parametrize(
    ("read", "reason"),
    [
        (lambda: arrays.npy(npy(NUMBERS.astype(int)), "f"), "f holds int64"),
        (lambda: arrays.npy(npy(NUMBERS)[:-1], "f"), "f claims the shape"),
        (lambda: arrays.npy(npy(NUMBERS / 0.0), "f"), "not finite"),
        (lambda: arrays.npy(b"", "f"), "f is no array of numpy"),
        (lambda: arrays.npz(npy(NUMBERS), "f"), "f is no archive"),
        (
            lambda: arrays.npz(archive(a=b"\0" * (arrays.MAX_BYTES + 1)), "f"),
            "bytes unpacked are more than",
        ),
        (lambda: torchscript.arrays(archive(a=b""), "f"), r"f has no data\.pkl"),
        (
            lambda: torchscript.arrays(archive(**{"n/data.pkl": program(), "n/data/0": b"1"}), "f"),
            "has 1 bytes, not 6 numbers",
        ),
        (lambda: torchscript.arrays(archive(**{"n/data.pkl": program()}), "f"), "refused"),
        (lambda: tensorflow.arrays(table(ENTRY), b"\0" * 23, "f"), r"shape \(2, 3\) with 24 bytes"),
        (lambda: tensorflow.arrays(table(b"\x08\x02"), b"", "f"), "of the type 2"),
        (lambda: tensorflow.arrays(b"", b"", "f"), "its end is not that of a table"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_refusals(read: Callable[[], object], reason: str) -> None:
    with pytest.raises(InstallError, match=reason):
        read()


@pytest.mark.filterwarnings("ignore")  # of numpy, on types and headers of older versions
@pytest.mark.parametrize("reader", ["npy", "npz", "torchscript", "tensorflow"])
def test_damaged_files_give_an_error_or_numbers(reader: str) -> None:
    """Every truncation, and bytes changed at random: never another exception."""
    data = NUMBERS.astype("<f4").tobytes()
    cases: dict[str, tuple[bytes, Callable[[bytes], object]]] = {
        "npy": (npy(NUMBERS), lambda content: arrays.npy(content, "f")),
        "npz": (archive(**{"a.npy": npy(NUMBERS)}), lambda content: arrays.npz(content, "f")),
        "torchscript": (
            program(),
            lambda content: torchscript.arrays(
                archive(**{"n/data.pkl": content, "n/data/0": NUMBERS.tobytes()}), "f"
            ),
        ),
        "tensorflow": (table(ENTRY), lambda content: tensorflow.arrays(content, data, "f")),
    }
    whole, read = cases[reader]
    rng = np.random.default_rng(0)
    damaged = [whole[:end] for end in range(len(whole))]
    for _ in range(2000):
        changed = bytearray(whole)
        for place in rng.integers(0, len(whole), rng.integers(1, 4)):
            changed[place] = rng.integers(0, 256)
        damaged.append(bytes(changed))
    refused = 0
    for content in damaged:
        try:
            read(content)
        except InstallError:
            refused += 1
    assert refused > len(whole) // 2


def test_snappy() -> None:
    # A literal, and a copy that reaches into what it writes.
    assert snappy.unpack(bytes([10, 4]) + b"ab" + bytes([(8 - 4) << 2 | 1, 2])) == b"ab" * 5
    for damaged in (b"\xff\xff\xff\xff\x0f\0", bytes([10, 4]) + b"ab", bytes([4, 1, 9])):
        with pytest.raises((ValueError, IndexError)):
            snappy.unpack(damaged)
