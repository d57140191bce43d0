"""gpu4pyscf: neural functionals on the GPU, by their names in ``mf.xc``.

``install()``, after ``import gpu4pyscf``, and ``uninstall()``; needs the package onnxruntime-gpu.
The kernel of gpu4pyscf is ``NumInt.eval_xc_eff`` on cupy arrays: it takes the functionals of an
expression from ``NumInt._init_xcfuns`` and calls each one's ``compute`` with libxc's labels,
densities and values on the device. A neural functional is one of these: graphs run by ONNX
Runtime's CUDA provider on the arrays where they lie. Questions about an expression, which
gpu4pyscf asks PySCF's CPU libxc, are answered as by the PySCF adapter.

Written against gpu4pyscf 1.8 and not tested: no GPU was at hand. What is tested, on the CPU, is
the evaluation itself (`DeviceFunctional`). Nonlocal functionals are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from types import ModuleType
from typing import Any

import numpy as np
from pyscf.dft import libxc as pyscf_libxc

from xcnet import variables
from xcnet.adapters._patch import Maker, Patches
from xcnet.adapters.pyscf import expressions
from xcnet.adapters.pyscf.expressions import Plan
from xcnet.adapters.pyscf.facade import StandIn
from xcnet.errors import MissingPackageError
from xcnet.spec import FunctionalSpec
from xcnet.terms import NeuralTerm

#: Points per run of a graph: a device holds its intermediate arrays for all of them at once.
CHUNK = 1 << 17

#: Methods of gpu4pyscf's ``LibXCMixin`` and what answers them.
ANSWERS = {
    "hybrid_coeff": "hybrid_coeff",
    "nlc_coeff": "nlc_coeff",
    "rsh_coeff": "rsh_coeff",
    "_xc_type": "xc_type",
}

_patches = Patches()


class DeviceFunctional:
    """What gpu4pyscf calls an ``XCfun``, for a neural functional.

    Parameters
    ----------
    spec
        The functional.
    spin
        0 for closed shells, 1 for spin-resolved densities.
    """

    on_gpu = True

    def __init__(self, spec: FunctionalSpec, spin: int) -> None:
        self._spec = spec
        self._spin = spin + 1
        self._term = NeuralTerm(spec, self._spin)

    def compute(
        self,
        inp: Mapping[str, Any],
        output: None = None,
        do_exc: bool = True,
        do_vxc: bool = True,
        do_fxc: bool = False,
        do_kxc: bool = False,
        do_lxc: bool = False,
    ) -> dict[str, Any]:
        """Outputs (N, width) by libxc's labels, where the inputs lie.

        Meta-GGAs have those of the Laplacian too, which gpu4pyscf expects in its lists: zero.
        """
        flags = (do_exc, do_vxc, do_fxc, do_kxc)
        inputs = {
            name: inp[name].reshape(-1, variables.width(name, self._spin))
            for name in self._spec.variables
        }
        labels = list(variables.requested_labels(self._spec.variables, flags))
        points = len(inputs["rho"])
        parts = [
            self._term.evaluate({k: x[i : i + CHUNK] for k, x in inputs.items()}, labels)
            for i in range(0, points, CHUNK)
        ]
        result = {label: np.concatenate([part[label] for part in parts]) for label in labels}
        if "tau" in inputs:
            expected = variables.family_variables("mgga", laplacian=True)
            for label in variables.requested_labels(expected, flags):
                if label not in result:
                    shape = (points, variables.width(label, self._spin))
                    result[label] = np.zeros_like(inputs["rho"], shape=shape)
        return result


def functionals(
    plan: Plan, spin: int, libxc_functionals: Callable[[str, int], list[tuple[Any, float]]]
) -> list[tuple[Any, float]]:
    """Functionals of an expression with their weights; `libxc_functionals` gives those of libxc.

    Raises
    ------
    UnsupportedError
        For a nonlocal functional.
    """
    if plan.is_nonlocal:
        raise expressions.unsupported(plan, "gpu4pyscf")
    own: list[tuple[Any, float]] = [
        (DeviceFunctional(entry.spec, spin), weight)
        for weight, entry in plan.neural
        if entry.spec is not None
    ]
    return own + (libxc_functionals(plan.rest, spin) if plan.rest_kind != "HF" else [])


def install() -> None:
    """Make gpu4pyscf's Kohn-Sham objects in this process know the registry's functionals.

    Raises
    ------
    MissingPackageError
        There is no gpu4pyscf.
    """
    try:
        from gpu4pyscf.dft import numint
    except ImportError as error:
        raise MissingPackageError(
            "this adapter needs gpu4pyscf: pip install gpu4pyscf-cuda12x", package="gpu4pyscf"
        ) from error
    if not _patches:
        _put(numint, StandIn(pyscf_libxc))


def uninstall() -> None:
    """Undo `install`: gpu4pyscf is as it was before."""
    _patches.remove()


def _put(numint: ModuleType, libxc: StandIn) -> None:
    _patches.put(numint.LibXCMixin, "libxc", lambda _: libxc)
    for name, question in ANSWERS.items():
        _patches.put(numint.LibXCMixin, name, _answering(getattr(libxc, question)))

    def init_xcfuns(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def functionals_of(self: Any, xc_code: str, spin: int = 0) -> list[tuple[Any, float]]:
            plan = libxc.plan(xc_code)
            if plan is None:
                parts: list[tuple[Any, float]] = original(self, xc_code, spin)
                return parts
            return functionals(plan, spin, lambda rest, spin: original(self, rest, spin))

        return functionals_of

    _patches.put(numint.NumInt, "_init_xcfuns", init_xcfuns)


def _answering(question: Callable[..., Any]) -> Maker:
    def answer(self: Any, xc_code: object, *args: Any) -> Any:
        return question(xc_code, *args)

    return lambda _: answer
