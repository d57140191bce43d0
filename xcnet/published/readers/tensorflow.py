"""Arrays of a TensorFlow checkpoint bundle: a table of keys, offsets and shapes, and raw numbers.

Source of the layout: tensorflow/core/lib/io/format.h (tables of LevelDB) and
tensorflow/core/protobuf/tensor_bundle.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from math import prod

import numpy as np

from xcnet.errors import InstallError
from xcnet.published.readers.arrays import Array, finite
from xcnet.published.readers.snappy import unpack, varint

MAGIC = struct.pack("<Q", 0xDB4775248B80FB57)
FOOTER_BYTES = 48
#: Compression and checksum, after each block.
TRAILER_BYTES = 5
PLAIN, SNAPPY = 0, 1
FLOAT = 1
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


def arrays(index: bytes, data: bytes, source: str) -> dict[str, Array]:
    """Float32 variables of a bundle of one data file by key, as float64."""
    try:
        table = dict(_table(index))
        return {
            key.decode(): finite(_array(value, data), f"{key.decode()} in {source}")
            for key, value in table.items()
            if key
        }
    except (ValueError, IndexError, struct.error) as error:
        raise InstallError(
            f"{source} is no checkpoint that can be read: {error}", source=source
        ) from error


def _table(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Entries of all blocks that the index block lists."""
    footer = content[-FOOTER_BYTES:]
    if len(footer) < FOOTER_BYTES or footer[-len(MAGIC) :] != MAGIC:
        raise ValueError("its end is not that of a table")
    _, place = _handle(footer, 0)
    index, _ = _handle(footer, place)
    for _, value in _block(content, *index):
        yield from _block(content, *_handle(value, 0)[0])


def _block(content: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Entries of a block, whose keys leave out what they share with the one before."""
    block = content[offset : offset + size + TRAILER_BYTES]
    if len(block) < size + TRAILER_BYTES or size < 4:
        raise ValueError(f"a block of {size} bytes at {offset}")
    if block[size] not in (PLAIN, SNAPPY):
        raise ValueError(f"a block with the compression {block[size]}")
    block = block[:size] if block[size] == PLAIN else unpack(block[:size])
    (restarts,) = struct.unpack("<I", block[-4:])
    end = len(block) - 4 * (restarts + 1)
    if end < 0:
        raise ValueError(f"a block of {len(block)} bytes with {restarts} restarts")
    place, key = 0, b""
    while place < end:
        shared, place = varint(block, place)
        own, place = varint(block, place)
        length, place = varint(block, place)
        if shared > len(key) or place + own + length > end:
            raise ValueError("an entry that leads out of its block")
        key = key[:shared] + block[place : place + own]
        place += own + length
        yield key, block[place - length : place]


def _array(entry: bytes, data: bytes) -> Array:
    """Numbers of one entry: type, shape, shard, offset and size."""
    fields = dict(_fields(entry))
    shape = tuple(
        _integer(dict(_fields(dimension)).get(1, 0))
        for number, dimension in _fields(_content(fields.get(2, b"")))
        if number == 2 and isinstance(dimension, bytes)
    )
    offset, size = _integer(fields.get(4, 0)), _integer(fields.get(5, 0))
    if fields.get(1) != FLOAT or fields.get(3, 0) != 0:
        raise ValueError(f"a variable of the type {fields.get(1)!r} in file {fields.get(3, 0)!r}")
    if size != 4 * prod(shape) or offset + size > len(data):
        raise ValueError(f"a variable of the shape {shape} with {size} bytes at {offset}")
    return np.frombuffer(data, "<f4", prod(shape), offset).astype(np.float64).reshape(shape)


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Fields of a protocol buffer by number."""
    place = 0
    while place < len(message):
        tag, place = varint(message, place)
        kind = tag & 7
        if kind == VARINT:
            value, place = varint(message, place)
            yield tag >> 3, value
            continue
        if kind == BYTES:
            size, place = varint(message, place)
        elif kind in (FIXED32, FIXED64):
            size = 4 if kind == FIXED32 else 8
        else:
            raise ValueError(f"a field of the kind {kind}")
        if place + size > len(message):
            raise ValueError("a field that leads out of its message")
        yield tag >> 3, message[place : place + size]
        place += size


def _integer(value: int | bytes) -> int:
    if not isinstance(value, int):
        raise ValueError("bytes in place of a number")
    return value


def _content(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("a number in place of a message")
    return value


def _handle(content: bytes, place: int) -> tuple[tuple[int, int], int]:
    """Offset and size of a block, and where the next handle begins."""
    offset, place = varint(content, place)
    size, place = varint(content, place)
    return (offset, size), place
