"""Programs linked to libxc, compiled for tests of libxcnet, and their libxc calls from Python."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from ctypes import c_char_p, c_double, c_int, c_size_t, c_void_p
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.libxc_oracle import INPUTS, width
from xcnet import native, shared_library, variables
from xcnet.density import Array
from xcnet.errors import NativeError

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "adapters" / "libxc"
PROGRAMS = ROOT / "tests" / "native"
C_FLAGS = ("-std=c11", "-D_GNU_SOURCE", "-O1", "-g", f"-I{SOURCES}")
#: Entry points by the orders that they give.
COMBINATIONS = {
    "": ("exc", "vxc", "fxc", "kxc", "lxc"),
    "_exc": ("exc",),
    "_vxc": ("vxc",),
    "_fxc": ("fxc",),
    "_kxc": ("kxc",),
    "_exc_vxc": ("exc", "vxc"),
    "_exc_vxc_fxc": ("exc", "vxc", "fxc"),
    "_exc_vxc_fxc_kxc": ("exc", "vxc", "fxc", "kxc"),
    "_vxc_fxc": ("vxc", "fxc"),
    "_vxc_fxc_kxc": ("vxc", "fxc", "kxc"),
}
_RESULTS: Mapping[str, Any] = {
    "xc_func_alloc": c_void_p,
    "xc_func_get_info": c_void_p,
    "xc_func_info_get_name": c_char_p,
    "xc_func_info_get_references": c_void_p,
    "xc_func_info_get_ext_params_name": c_char_p,
    "xc_func_info_get_ext_params_default_value": c_double,
    "xc_func_reference_get_ref": c_char_p,
    "xc_func_reference_get_doi": c_char_p,
    "xc_func_reference_get_bibtex": c_char_p,
    "xc_func_reference_get_key": c_char_p,
    "xc_functional_get_name": c_void_p,
    "xc_hyb_exx_coef": c_double,
    "xc_version_string": c_char_p,
}


def need(reason: str) -> Any:
    """Skip a test on a user's machine, fail it where everything must be there."""
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def built_library() -> Path:
    """libxcnet.so of this installation."""
    try:
        return shared_library.path()
    except NativeError as error:
        need(str(error))
        raise


def compile_c(output: Path, *arguments: str) -> Path:
    """Compile with the system's C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        need("there is no C compiler")
    command = [str(compiler), *C_FLAGS, "-o", str(output), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return output


#: Names the file of a further libxc to test against.
FURTHER_VARIABLE = "XCNET_TEST_LIBXC"
#: libxc 5 and 7, and 0 for the further one.
HOSTS = (5, 7) + (0,) * (FURTHER_VARIABLE in os.environ)


def libxc_of(version: int) -> Path:
    """File of libxc 7, PySCF's, of libxc 5, the system's, or of the further one, 0."""
    if version == 0:
        return Path(os.environ[FURTHER_VARIABLE]).resolve()
    if version == 7:
        import pyscf

        paths = sorted(Path(pyscf.__file__).parent.glob("lib/deps/lib*/libxc.so*"))
    else:
        places = (
            "/usr/lib/x86_64-linux-gnu",
            "/usr/lib/aarch64-linux-gnu",
            "/usr/lib64",
            "/usr/lib",
        )
        paths = [path for place in places if (path := Path(place, "libxc.so.9")).is_file()]
    if not paths:
        need(f"libxc {version} is not installed" + " (apt install libxc9)" * (version == 5))
    return paths[0].resolve()


class Client:
    """A loaded object of its own, linked to one libxc, whose imports lead to xcnet.

    Parameters
    ----------
    folder : Path
        Where the object is compiled.
    libxc : Path
        The host's libxc.
    """

    def __init__(self, folder: Path, libxc: Path) -> None:
        self.libxc = libxc
        self.path = compile_c(
            folder / f"client_{folder.name}.so",
            *("-shared", "-fPIC", str(PROGRAMS / "client.c"), str(libxc)),
            *(f"-Wl,-rpath,{libxc.parent}", "-Wl,-z,lazy"),
        )
        self._object = ctypes.CDLL(str(self.path))
        self.slots = native.patch(self.path.name)

    def call(self, name: str, *arguments: Any) -> Any:
        """Call one of libxc's functions the way the program does."""
        function = getattr(self._object, f"client_{name}")
        function.restype = _RESULTS.get(name, c_int)
        return function(*arguments)

    def open(self, name: str | int, spin: int) -> Handle:
        """An initialised functional."""
        return Handle(self, name, spin)


class Handle:
    """One functional in a client; ended by `close` or at the end of a with block."""

    def __init__(self, client: Client, name: str | int, spin: int) -> None:
        self.client, self.spin = client, spin
        number = (
            name
            if isinstance(name, int)
            else client.call("xc_functional_get_number", name.encode())
        )
        self.pointer = c_void_p(client.call("xc_func_alloc"))
        self.refused = client.call("xc_func_init", self.pointer, c_int(number), c_int(spin)) != 0
        self.info = c_void_p(client.call("xc_func_get_info", self.pointer))
        if not self.info:
            client.call("xc_func_free", self.pointer)
            raise ValueError(name)
        family = client.call("xc_func_info_get_family", self.info)
        self.base = {1: "lda", 128: "lda", 2: "gga", 32: "gga", 4: "mgga", 64: "mgga"}[family]

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.client.call("xc_func_end", self.pointer)
        self.client.call("xc_func_free", self.pointer)

    def set(self, what: str, value: float) -> None:
        """Set a threshold: dens, zeta, sigma or tau."""
        self.client.call(f"xc_func_set_{what}_threshold", self.pointer, c_double(value))

    def labels(self, suffix: str) -> list[str]:
        """Output arguments of an entry point."""
        own = variables.FAMILY_VARIABLES[self.base]
        if self.base == "mgga":
            own = variables.family_variables("mgga", laplacian=True)
        orders = [variables.ORDERS.index(order) for order in COMBINATIONS[suffix]]
        return [label for order in orders for label in variables.labels(own, order)]

    def compute(
        self, inputs: Mapping[str, Array], suffix: str = "_exc_vxc", wanted: Sequence[str] = ()
    ) -> dict[str, Array]:
        """Call an entry point with arrays full of 7; ``wanted`` labels only, or all."""
        points = inputs["rho"].size // width("rho", self.spin)
        outputs = {
            label: np.full((points, variables.width(label, self.spin)), 7.0)
            for label in self.labels(suffix)
            if label in wanted or not wanted
        }
        given = [
            np.ascontiguousarray(inputs[v]) if v in inputs else None for v in INPUTS[self.base]
        ]
        arrays = given + [outputs.get(label) for label in self.labels(suffix)]
        pointers = [None if a is None else c_void_p(a.ctypes.data) for a in arrays]
        self.client.call(f"xc_{self.base}{suffix}", self.pointer, c_size_t(points), *pointers)
        return outputs
