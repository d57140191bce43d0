"""The PySCF adapter's self-test: what it finds when PySCF has changed."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from pyscf import __version__ as pyscf_version
from pyscf.dft import numint
from pyscf.grad import rks as grad_rks

import xcnet
from xcnet.adapters import pyscf as adapter
from xcnet.adapters.pyscf import startup
from xcnet.errors import UnsupportedError


@pytest.fixture(autouse=True)
def anew() -> Iterator[None]:
    """The test's result is kept: forget it before and after."""
    startup.check.cache_clear()
    yield
    startup.check.cache_clear()


def test_passes_here() -> None:
    startup.check()
    assert startup.check.cache_info().misses == 1
    adapter.install()
    adapter.uninstall()
    assert startup.check.cache_info() == (1, 1, None, 1)


def _own_libxc(original: Callable[..., Any]) -> Callable[..., Any]:
    def eval_xc_eff(self: Any, *args: Any, **kwargs: Any) -> Any:
        own = numint.NumInt()
        own.libxc = numint.LibXCMixin.libxc
        return original(own, *args, **kwargs)

    return eval_xc_eff


def _gone(original: Callable[..., Any]) -> Callable[..., Any]:
    def eval_xc_eff(self: Any, xc: object, rho: Any, *, order: int) -> Any:
        raise AssertionError

    return eval_xc_eff


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (_own_libxc, "nr_rks does not ask NumInt.libxc"),
        (_gone, "TypeError: .*eval_xc_eff"),
    ],
)
def test_finds_other_paths(
    change: Callable[..., Any], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numint.NumInt, "eval_xc_eff", change(numint.NumInt.eval_xc_eff))
    before = numint.LibXCMixin.libxc
    with pytest.raises(UnsupportedError, match=problem) as caught:
        adapter.install()
    assert numint.LibXCMixin.libxc is before
    assert xcnet.__version__ in str(caught.value)
    assert f"PySCF {pyscf_version}" in str(caught.value)


def test_finds_another_order_of_derivatives(monkeypatch: pytest.MonkeyPatch) -> None:
    original = startup.Probe.eval_xc1

    def other(self: startup.Probe, *args: Any, **kwargs: Any) -> Any:
        return np.asarray(original(self, *args, **kwargs))[[0, 2, 1, *range(3, 8)][:3]]

    monkeypatch.setattr(startup.Probe, "eval_xc1", other)
    with pytest.raises(UnsupportedError, match="the potential of PBE"):
        startup.check()


def test_finds_another_home_of_libxc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numint.NumInt, "libxc", object(), raising=False)
    with pytest.raises(UnsupportedError, match=r"NumInt does not .* LibXCMixin\.libxc"):
        startup.check()


def test_finds_a_method_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(grad_rks, "get_vxc_full_response")
    with pytest.raises(UnsupportedError, match="has no get_vxc_full_response"):
        startup.check()


ANOTHER_COPY = """
import sys
import xcnet.adapters.pyscf
xcnet.adapters.pyscf.install()
for name in [name for name in sys.modules if name.split(".")[0] == "xcnet"]:
    del sys.modules[name]
import xcnet.adapters.pyscf
xcnet.adapters.pyscf.install()
"""
OLD_PYSCF = """
import pyscf
pyscf.__version__ = "2.7.0"
import xcnet.adapters.pyscf
"""
OTHER_PYSCF = """
from pyscf.hessian import rhf
del rhf.HessianBase
import xcnet.adapters.pyscf
"""


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (ANOTHER_COPY, "is installed in this process already, and this is another copy"),
        (OLD_PYSCF, r"needs PySCF 2\.8 or newer.*PySCF 2\.7\.0 as it is installed"),
        (OTHER_PYSCF, "HessianBase.* is not made for PySCF"),
    ],
    ids=["another copy", "old PySCF", "other PySCF"],
)
def test_what_does_not_go_together_is_told(script: str, message: str) -> None:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    last = done.stderr.strip().splitlines()[-1]
    assert re.search(f"UnsupportedError: .*{message}", last)
