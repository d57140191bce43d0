"""Google's Snappy: literals and copies of what was already unpacked.

Source of the format: format_description.txt of google/snappy.
"""

from __future__ import annotations

MAX_BYTES = 1 << 20


def unpack(data: bytes) -> bytes:
    """Unpacked bytes (ValueError, IndexError for what is no such block)."""
    size, place = varint(data, 0)
    if size > MAX_BYTES:
        raise ValueError(f"{size} bytes unpacked are more than {MAX_BYTES}")
    result = bytearray()
    while place < len(data) and len(result) <= size:
        tag = data[place]
        place += 1
        if tag & 3 == 0:
            length, place = _literal(data, tag >> 2, place)
            result += data[place : place + length]
            place += length
        else:
            offset, length, place = _copy(data, tag, place)
            if not 0 < offset <= len(result):
                raise ValueError("a copy of what is not there")
            for _ in range(length):  # it may reach into what it writes
                result.append(result[-offset])
    if len(result) != size or place != len(data):
        raise ValueError(f"{len(result)} bytes unpacked, not {size}")
    return bytes(result)


def _literal(data: bytes, code: int, place: int) -> tuple[int, int]:
    """Length of a literal, and where it begins."""
    if code < 60:
        return code + 1, place
    end = place + code - 59
    return int.from_bytes(data[place:end], "little") + 1, end


def _copy(data: bytes, tag: int, place: int) -> tuple[int, int, int]:
    """Offset and length of a copy, and what comes after it."""
    if tag & 3 == 1:
        return (tag >> 5 << 8) | data[place], (tag >> 2 & 7) + 4, place + 1
    end = place + (2 if tag & 3 == 2 else 4)
    return int.from_bytes(data[place:end], "little"), (tag >> 2) + 1, end


def varint(content: bytes, place: int) -> tuple[int, int]:
    """A number in groups of seven bits, and what comes after it."""
    value = 0
    for shift in range(0, 64, 7):
        byte = content[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
    raise ValueError("a number of more than ten bytes")
