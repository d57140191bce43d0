"""What the PySCF adapter replaces in PySCF, and that all of it is put back."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("pyscf")

import copy
import pickle
from functools import partial

from pyscf import dft, gto
from pyscf.dft import numint

from tests.folders import MODELS
from xcnet.adapters import pyscf as adapter
from xcnet.adapters.pyscf import hooks
from xcnet.errors import UnsupportedError

Attributes = dict[tuple[int, str], Any]


def attributes() -> tuple[Attributes, list[Any]]:
    """Every attribute of all modules of PySCF and of their classes, tables by their contents.

    The owners are kept, so that no other object gets their id.
    """
    modules = [m for name, m in sys.modules.items() if name.split(".")[0] == "pyscf"]
    classes = {value for m in modules for value in vars(m).values() if isinstance(value, type)}
    owners: list[Any] = [*modules, *classes]
    values = {
        (id(owner), name): dict(value) if isinstance(value, dict) else value
        for owner in owners
        for name, value in vars(owner).items()
        if not isinstance(value, ModuleType) and name != "__warningregistry__"
    }
    return values, owners


def changed(before: Attributes, after: Attributes) -> list[str]:
    differ = [
        name
        for (owner, name), value in before.items()
        if (owner, name) not in after or not _same(value, after[owner, name])
    ]
    return differ + [name for owner, name in after.keys() - before.keys()]


def _same(first: Any, other: Any) -> bool:
    return first is other or (isinstance(first, dict) and first.keys() == other.keys())


@pytest.fixture
def before(monkeypatch: pytest.MonkeyPatch) -> Iterator[Attributes]:
    monkeypatch.setenv("XCNET_MODEL_PATH", str(MODELS))
    adapter.uninstall()
    _use(adapter.attach(_object()))  # imports all that it will
    adapter.uninstall()
    values, owners = attributes()
    assert all(vars(o)[name] is values[id(o), name] for o, name, _ in hooks.TABLE)
    yield values
    del owners
    adapter.uninstall()


def _object() -> Any:
    mf = dft.RKS(gto.M(atom="He", basis="sto-3g", verbose=0), xc="PBE_clone")
    mf.grids.level = 0
    return mf


def _use(mf: Any) -> None:
    mf.kernel()
    mf.nuc_grad_method().kernel()
    mf.newton().kernel()
    mf.TDA()


def test_uninstall_puts_everything_back(before: Attributes) -> None:
    adapter.install()
    adapter.install()
    during = attributes()[0]
    assert {name for _, name, _ in hooks.TABLE} <= {*changed(before, during)}
    _use(_object())
    adapter.uninstall()
    assert changed(before, attributes()[0]) == []


def test_attach_changes_nothing_that_outlives_the_object(before: Attributes) -> None:
    mf = adapter.attach(_object())
    other = copy.copy(mf)
    _use(mf)
    assert mf.nuc_grad_method().grid_response
    del mf
    gc.collect()
    assert other.nuc_grad_method().grid_response
    del other
    gc.collect()
    assert changed(before, attributes()[0]) == []


def test_installed_stays_when_an_attached_object_goes(before: Attributes) -> None:
    adapter.install()
    adapter.attach(_object())
    gc.collect()
    assert _object().nuc_grad_method().grid_response


def test_uninstall_ends_what_was_attached(before: Attributes) -> None:
    """Without the hooks its gradients would silently be others."""
    mf = adapter.attach(_object()).run()
    adapter.uninstall()
    assert changed(before, attributes()[0]) == []
    for use in (
        mf.kernel,
        mf.nuc_grad_method().kernel,
        partial(pickle.dumps, mf),
        mf.copy().kernel,
    ):
        with pytest.raises(UnsupportedError, match=r"attach\(mf\) again"):
            use()
    mf.xc = "PBE"
    mf.kernel()
    mf.xc = "PBE_clone"
    adapter.attach(mf).kernel()


def test_what_others_replace_meanwhile_stays(before: Attributes, tmp_path: Path) -> None:
    adapter.install()
    original = numint.NumInt.nr_rks

    def nr_rks(self: Any, *args: Any, **kwargs: Any) -> Any:
        return original(self, *args, **kwargs)

    numint.NumInt.nr_rks = nr_rks
    adapter.uninstall()
    assert numint.NumInt.nr_rks is nr_rks
    numint.NumInt.nr_rks = before[id(numint.NumInt), "nr_rks"]
    assert changed(before, attributes()[0]) == []
