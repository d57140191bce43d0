"""Protocol buffers' wire format, as far as graphs need it: fields of a message, in order.

Nothing is copied or allocated by what a message claims: every length is checked against the
bytes that are there.
Source: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_FIXED = {FIXED64: 8, FIXED32: 4}
_MAX_SHIFT = 63


def fields(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Fields of the message ``data[start:end]``.

    Yields
    ------
    number, kind, start, end
        Number and wire type of the field, and where its content lies; the content of a VARINT is
        the number itself, in place of ``start``.

    Raises
    ------
    ValueError
        The bytes are no message.
    """
    at = start
    while at < end:
        key, at = varint(data, at, end)
        number, kind = key >> 3, key & 7
        if kind == VARINT:
            value, at = varint(data, at, end)
            yield number, kind, value, at
            continue
        if kind == BYTES:
            length, at = varint(data, at, end)
        elif kind in _FIXED:
            length = _FIXED[kind]
        else:
            raise ValueError(f"unknown wire type {kind} at byte {at}")
        if length > end - at:
            raise ValueError(f"a field of {length} bytes at byte {at}, where {end - at} are left")
        yield number, kind, at, at + length
        at += length


def varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Unsigned number at a position, and the position after it."""
    value = shift = 0
    while at < end:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
        shift += 7
        if shift > _MAX_SHIFT:
            raise ValueError(f"a number without end at byte {at}")
    raise ValueError(f"the message is truncated at byte {at}")


def signed(value: int) -> int:
    """Number of a field of type int64."""
    return value - (1 << 64) if value >> 63 else value
