"""Numpy's files: ``.npy`` and ``.npz``, without pickled objects."""

from __future__ import annotations

import io
import zipfile
import zlib
from math import prod
from tokenize import TokenError

import numpy as np
from numpy.typing import NDArray

from xcnet.errors import InstallError

Array = NDArray[np.float64]
#: Of all arrays of an archive together.
MAX_BYTES = 1 << 26
#: What damaged archives raise in zipfile.
DAMAGED = (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError,
           ValueError, OverflowError)  # fmt: skip


def npy(data: bytes, source: str) -> Array:
    """Array of a ``.npy`` file of float32 or float64 numbers, as float64."""
    stream = io.BytesIO(data)
    try:
        if np.lib.format.read_magic(stream) != (1, 0):
            raise ValueError("an unknown version of the format")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    except (ValueError, TokenError) as error:
        raise InstallError(f"{source} is no array of numpy: {error}", source=source) from error
    rest = data[stream.tell() :]
    if dtype not in (np.dtype("<f4"), np.dtype("<f8")):
        raise InstallError(f"{source} holds {dtype}, not numbers of 4 or 8 bytes", source=source)
    if prod(shape) * dtype.itemsize != len(rest):
        raise InstallError(
            f"{source} claims the shape {shape} of {dtype} and has {len(rest)} bytes of it",
            source=source,
        )
    array = np.frombuffer(rest, dtype).reshape(shape, order="F" if fortran else "C")
    return finite(array.astype(np.float64, order="C"), source)


def npz(data: bytes, source: str) -> dict[str, Array]:
    """Arrays of a ``.npz`` file by name, as float64."""
    files = unzipped(data, source)
    return {
        name.removesuffix(".npy"): npy(content, f"{name} in {source}")
        for name, content in files.items()
    }


def unzipped(data: bytes, source: str) -> dict[str, bytes]:
    """Files of a zip archive by name; their sizes are looked at before any is unpacked."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = sum(info.file_size for info in archive.infolist())
            if size > MAX_BYTES:
                raise ValueError(f"{size} bytes unpacked are more than {MAX_BYTES}")
            return {info.filename: archive.read(info) for info in archive.infolist()}
    except DAMAGED as error:
        raise InstallError(f"{source} is no archive to be read: {error}", source=source) from error


def finite(array: Array, source: str) -> Array:
    """The array, if all of it are numbers (InstallError)."""
    if not np.isfinite(array).all():
        raise InstallError(f"{source} holds values that are not finite", source=source)
    return array
