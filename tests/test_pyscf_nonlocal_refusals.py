"""What PySCF cannot do with nonlocal functionals is refused, and installation is reversible."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyscf", reason="the PySCF adapter's tests need PySCF")
pytest.importorskip("numba", reason="nonlocal descriptors need numba")

from pyscf import dft, gto

from xcnet.adapters import pyscf as adapter
from xcnet.errors import UnsupportedError

NRA = "NN-NRA-Nagai2020"


@pytest.fixture(autouse=True)
def installed(published: Path) -> Iterator[None]:
    adapter.install()
    yield
    adapter.uninstall()


def _molecule(spin: int = 0) -> Any:
    atom = "H 0 0 0" if spin else "H 0 0 0; H 0 0 0.74"
    return gto.M(atom=atom, spin=spin, basis="6-31g", verbose=0)


def _object(method: str = "RKS", xc: str = NRA) -> Any:
    mf = getattr(dft, method)(_molecule(int(method == "UKS")), xc=xc)
    mf.grids.level = 1
    return mf


def _crystal() -> Any:
    from pyscf.pbc import gto as pbc

    cell = pbc.M(a=np.eye(3) * 4, atom="H 0 0 0; H 0 0 0.74", basis="sto-3g", verbose=0)
    cell.mesh = [15] * 3
    return cell


def _crystals(method: str) -> Any:
    from pyscf.pbc import dft as pbc

    return getattr(pbc, method)(_crystal(), xc=NRA).run()


def _without_response() -> Any:
    gradients = _object().run().nuc_grad_method()
    gradients.grid_response = False
    return gradients.kernel()


def _pointwise(method: str) -> Any:
    libxc = _object()._numint.libxc
    return getattr(libxc, method)(NRA, np.ones((5, 4)), 0, deriv=1)


#: What is asked for, and a word of the way out.
REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "TDDFT": (lambda: _object().run().TDDFT(), "semilocal"),
    "TDA": (lambda: _object().run().TDA(), "semilocal"),
    "TDDFT, open shell": (lambda: _object("UKS").run().TDDFT(), "semilocal"),
    "response": (lambda: _object().run().gen_response(singlet=True), "semilocal"),
    "external stability": (lambda: _object().run().stability(external=True), "semilocal"),
    "gradient": (_without_response, "grid_response = True"),
    "GKS": (lambda: _object("GKS").run(), "semilocal"),
    "GKS, noncollinear": (lambda: _object("GKS").set(collinear="ncol").run(), "semilocal"),
    "DKS": (lambda: _object("DKS").run(), "semilocal"),
    "PBC": (lambda: _crystals("RKS"), "semilocal"),
    "PBC, k-points": (lambda: _crystals("KRKS"), "semilocal"),
    "PBC, open shell": (lambda: _crystals("UKS"), "semilocal"),
    "eval_xc1": (lambda: _pointwise("eval_xc1"), "semilocal"),
    "eval_xc": (lambda: _pointwise("eval_xc"), "semilocal"),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("request_", REFUSED)
def test_refused(request_: str) -> None:
    call, way_out = REFUSED[request_]
    with pytest.raises(NotImplementedError, match="NN-NRA-Nagai2020 is nonlocal") as caught:
        call()
    assert isinstance(caught.value, UnsupportedError)
    assert way_out in str(caught.value)


def test_local_functionals_keep_all_methods() -> None:
    """The hooks hand on what is not nonlocal."""
    mf = _object(xc="PBE").run()
    assert not mf.nuc_grad_method().grid_response
    assert np.isfinite(mf.nuc_grad_method().kernel()).all()
    assert np.isfinite(mf.TDA().set(nstates=1).kernel()[0]).all()
    assert _object("GKS", "PBE").run().e_tot == pytest.approx(mf.e_tot, abs=1e-7)


def test_internal_stability() -> None:
    assert _object().run().stability()[0].shape == (4, 4)


def test_external_stability_of_an_open_shell() -> None:
    """The answers of TPSS."""
    answers = [
        _object("UKS", xc).run().stability(external=True, return_status=True)[2:]
        for xc in (NRA, "TPSS")
    ]
    assert answers[0] == answers[1]


def test_attached_object_stays_nonlocal() -> None:
    """Also pickled, and when made into others."""
    expected = _object().kernel()
    adapter.uninstall()
    mf = adapter.attach(_object())
    assert mf.kernel() == pytest.approx(expected, abs=1e-9)
    for other in (pickle.loads(pickle.dumps(mf)), mf.to_uks(), mf.copy().newton()):
        assert other.kernel() == pytest.approx(expected, abs=1e-9)
    assert mf.nuc_grad_method().grid_response
    with pytest.raises(KeyError):
        _object().run()
