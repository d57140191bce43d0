"""A second, minimal way to call libxc, to test the package's binding against.

It shares nothing with the package: argument lists are copied from libxc's header ``xc.h``, the
functions are those of single derivative orders (the package calls the generic ones), and the
widths come from the product rule of libxc's manual.
"""

from __future__ import annotations

import ctypes
import math
import re
from ctypes import c_int, c_size_t, c_void_p
from functools import cache
from math import comb

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

INPUTS = {"lda": ["rho"], "gga": ["rho", "sigma"], "mgga": ["rho", "sigma", "lapl", "tau"]}
#: Output arguments in the order of the header.
OUTPUTS = {
    ("lda", "exc"): "zk",
    ("lda", "vxc"): "vrho",
    ("lda", "fxc"): "v2rho2",
    ("lda", "kxc"): "v3rho3",
    ("gga", "exc"): "zk",
    ("gga", "vxc"): "vrho vsigma",
    ("gga", "fxc"): "v2rho2 v2rhosigma v2sigma2",
    ("gga", "kxc"): "v3rho3 v3rho2sigma v3rhosigma2 v3sigma3",
    ("mgga", "exc"): "zk",
    ("mgga", "vxc"): "vrho vsigma vlapl vtau",
    ("mgga", "fxc"): "v2rho2 v2rhosigma v2rholapl v2rhotau v2sigma2 v2sigmalapl v2sigmatau "
    "v2lapl2 v2lapltau v2tau2",
    ("mgga", "kxc"): "v3rho3 v3rho2sigma v3rho2lapl v3rho2tau v3rhosigma2 v3rhosigmalapl "
    "v3rhosigmatau v3rholapl2 v3rholapltau v3rhotau2 v3sigma3 v3sigma2lapl v3sigma2tau "
    "v3sigmalapl2 v3sigmalapltau v3sigmatau2 v3lapl3 v3lapl2tau v3lapltau2 v3tau3",
}
ORDERS = ("exc", "vxc", "fxc", "kxc")
_COMPONENTS = {"rho": 2, "sigma": 3, "lapl": 2, "tau": 2}
_NEEDS_LAPLACIAN, _NEEDS_TAU = 32768, 65536


def width(label: str, spin: int) -> int:
    """Product over the variables of C(n + k - 1, k), n components to the power k."""
    if label in _COMPONENTS:
        return 1 if spin == 1 else _COMPONENTS[label]
    if label == "zk" or spin == 1:
        return 1
    powers = re.findall(r"(rho|sigma|lapl|tau)([234]?)", re.sub(r"^v[234]?", "", label))
    return math.prod(comb(_COMPONENTS[v] + int(k or 1) - 1, int(k or 1)) for v, k in powers)


@cache
def load(path: str) -> ctypes.CDLL:
    core = ctypes.CDLL(path)
    core.xc_func_alloc.restype = c_void_p
    core.xc_func_get_info.restype = c_void_p
    core.xc_func_info_get_name.restype = ctypes.c_char_p
    return core


@cache
def major(path: str) -> int:
    numbers = [c_int() for _ in range(3)]
    load(path).xc_version(*(ctypes.byref(number) for number in numbers))
    return numbers[0].value


class Oracle:
    """One functional of libxc at ``path``; freed by :meth:`close`."""

    def __init__(self, path: str, number: int, spin: int) -> None:
        self.core, self.spin = load(path), spin
        self.handle = c_void_p(self.core.xc_func_alloc())
        if self.core.xc_func_init(self.handle, c_int(number), c_int(spin)) != 0:
            raise ValueError(number)
        info = c_void_p(self.core.xc_func_get_info(self.handle))
        self.flags = self.core.xc_func_info_get_flags(info)
        self.kind = self.core.xc_func_info_get_kind(info)
        self.name = self.core.xc_func_info_get_name(info).decode()
        self.family = self.core.xc_func_info_get_family(info)
        self.base = {1: "lda", 128: "lda", 2: "gga", 32: "gga", 4: "mgga", 64: "mgga"}[self.family]
        if self.base == "mgga" and major(path) == 5:
            self.flags |= _NEEDS_TAU  # a flag that libxc 5 does not know yet

    def close(self) -> None:
        self.core.xc_func_end(self.handle)
        self.core.xc_func_free(self.handle)

    @property
    def orders(self) -> list[str]:
        return [order for bit, order in enumerate(ORDERS) if self.flags >> bit & 1]

    def labels(self, order: str) -> list[str]:
        """Labels that the functional depends on; libxc does not write the others."""
        names = OUTPUTS[self.base, order].split()
        if not self.flags & _NEEDS_LAPLACIAN:
            names = [label for label in names if "lapl" not in label]
        return names

    def depends_on_tau(self) -> bool:
        return bool(self.flags & _NEEDS_TAU)

    def compute(self, inputs: dict[str, Array], order: str) -> dict[str, Array]:
        """One derivative order; arrays (N, width) filled with zeros where libxc leaves them."""
        points = inputs["rho"].size // width("rho", self.spin)
        given = {k: np.array(v, dtype=np.float64, order="C") for k, v in inputs.items()}
        labels = OUTPUTS[self.base, order].split()
        outputs = {label: np.zeros((points, width(label, self.spin))) for label in labels}
        arrays = [given.get(v) for v in INPUTS[self.base]] + list(outputs.values())
        pointers = [None if a is None else c_void_p(a.ctypes.data) for a in arrays]
        getattr(self.core, f"xc_{self.base}_{order}")(self.handle, c_size_t(points), *pointers)
        return {label: outputs[label] for label in self.labels(order)}


def densities(points: int, spin: int, seed: int, spread: float = 4.0) -> dict[str, Array]:
    """Random densities that electrons could have: tau above von Weizsaecker's, any sigma_ab."""
    rng = np.random.default_rng(seed)
    k = width("rho", spin)
    rho = 10.0 ** rng.uniform(-spread, 1.5, (points, k))
    gradient = rho ** (4 / 3) * 10.0 ** rng.uniform(-1.5, 1.0, (points, k))
    tau = gradient**2 / (8 * rho) * (1 + 3 * rng.random((points, k)))
    lapl = rng.normal(size=(points, k)) * rho ** (5 / 3)
    if spin == 1:
        return {"rho": rho, "sigma": gradient**2, "lapl": lapl, "tau": tau}
    cosine = rng.uniform(-1, 1, points)
    mixed = gradient[:, 0] * gradient[:, 1] * cosine
    sigma = np.stack([gradient[:, 0] ** 2, mixed, gradient[:, 1] ** 2], axis=1)
    return {"rho": rho, "sigma": sigma, "lapl": lapl, "tau": tau}
