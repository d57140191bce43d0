"""pytest plugin: PySCF with ONNX clones under libxc's names, for PySCF's own tests.

``pytest -p tests.pyscf_provider`` installs the adapter and lets it answer LDA_X, B88, PBE and TPSS,
alone or inside expressions such as B3LYP and PBE0, by the committed clones. See
`tests.pyscf_suite`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from pyscf.dft import numint
from pyscf.grad import rks as grad_rks
from pyscf.grad import uks as grad_uks

from tests.folders import MODELS
from xcnet import registry
from xcnet.adapters import pyscf as adapter
from xcnet.adapters.pyscf import expressions
from xcnet.adapters.pyscf.expressions import Plan
from xcnet.adapters.pyscf.facade import StandIn

#: libxc's id -> the clone's.
CLONES = {1: 190001, 101: 190002, 130: 190003, 106: 190008, 202: 190005, 231: 190006}
#: File that gets the numbers of evaluations by the clones, by spin and derivative order.
COUNTS = "XCNET_PYSCF_SUITE_COUNTS"


class Provider(StandIn):
    """The adapter's stand-in, which takes clones for libxc's functionals where there are any."""

    counts: dict[str, int] = {}  # noqa: RUF012

    def __reduce__(self) -> tuple[Any, ...]:
        return Provider, (numint.LibXCMixin.libxc.previous,)

    def plan(self, xc_code: object) -> Plan | None:
        """Plan of the expression with clones in it."""
        return super().plan(self._with_clones(xc_code))

    def parse_xc(self, description: object) -> Any:
        """PySCF's own answer: its tests compare libxc's ids."""
        return self.previous.parse_xc(description)

    def eval_xc1(
        self,
        xc_code: object,
        rho: Any,
        spin: int = 0,
        deriv: int = 1,
        omega: float | None = None,
    ) -> Any:
        """Count what the clones evaluate."""
        if self.plan(xc_code) is not None:
            key = f"spin {spin}, order {deriv}"
            self.counts[key] = self.counts.get(key, 0) + 1
        return super().eval_xc1(xc_code, rho, spin, deriv, omega)

    def _with_clones(self, xc_code: object) -> object:
        try:
            hyb, terms = self.previous.parse_xc(xc_code)
        except Exception:  # whatever is wrong with it, PySCF shall say it
            return xc_code
        if not any(number in CLONES for number, _ in terms):
            return xc_code
        return expressions._rest(hyb, [(CLONES.get(i, i), factor) for i, factor in terms])


def pytest_configure() -> None:
    """Put the provider in libxc's place."""
    os.environ[registry.MODEL_PATH_VARIABLE] = str(MODELS)
    adapter.install()
    numint.LibXCMixin.libxc = Provider(numint.LibXCMixin.libxc.previous)
    # PySCF's stored gradients are without it; for our functionals it is on.
    grad_rks.Gradients.grid_response = grad_uks.Gradients.grid_response = False


def pytest_unconfigure() -> None:
    """Write the counts."""
    if path := os.environ.get(COUNTS):
        Path(path).write_text(json.dumps(Provider.counts), encoding="utf-8")
