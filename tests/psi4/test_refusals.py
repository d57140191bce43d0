"""What Psi4 cannot do with a functional is said before it is computed; nothing ends the process."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("psi4", reason="these tests need Psi4")

import psi4
from psi4.driver.procrouting.response import scf_response

from tests.folders import read_record, seal, up_to
from tests.psi4.calculations import HYDROGEN, energy, molecule, run
from tests.psi4.conftest import MODELS
from xcnet import catalogue, registry, shared_library
from xcnet.adapters.psi4 import guards, installation
from xcnet.errors import (
    EngineError,
    ExpressionError,
    ModelError,
    UnknownFunctionalError,
    UnsupportedError,
)

MIXED = {"name": "mix", "x_functionals": {"TPSS_clone": {"alpha": 0.5}}, "c_functionals": {}}


@pytest.mark.parametrize("name", ["tpss_clone", MIXED], ids=["name", "dictionary"])
def test_second_order_scf_of_a_meta_gga(name: Any) -> None:
    with pytest.raises(UnsupportedError, match=r"SOSCF needs second derivatives.*Use DIIS"):
        energy(name, molecule(HYDROGEN), options={"soscf": True})


@pytest.mark.parametrize("name", ["tpss_clone", MIXED], ids=["name", "dictionary"])
def test_response_of_a_meta_gga(name: Any) -> None:
    with pytest.raises(UnsupportedError, match=r"linear response.*perturb_h"):
        run(psi4.properties, name, molecule(HYDROGEN), properties=["dipole_polarizabilities"])
    assert psi4.core.scalar_variables().get("SCF TOTAL ENERGY", 0.0) == 0.0  # nothing was spent


def test_analytic_hessian() -> None:
    with pytest.raises(UnsupportedError, match=r"no analytic Hessian.*dertype='gradient'"):
        run(psi4.frequency, MIXED, molecule(HYDROGEN), dertype=2)


def test_excitations_of_a_meta_gga() -> None:
    mol = molecule(HYDROGEN, extra="symmetry c1")
    _, wfn = run(psi4.energy, "tpss_clone", mol, return_wfn=True, options={"save_jk": True})
    with pytest.raises(UnsupportedError, match=r"TDDFT.*PySCF"):
        scf_response.tdscf_excitations(wfn, states_per_irrep=[1])
    with pytest.raises(UnsupportedError, match="linear response"):
        scf_response.cpscf_linear_response(wfn, "DIPOLE_POLARIZABILITIES")


def test_excitations_of_a_gga_equal_libxc() -> None:
    def excitation(name: str) -> float:
        mol = molecule(HYDROGEN, extra="symmetry c1")
        _, wfn = run(psi4.energy, name, mol, return_wfn=True, options={"save_jk": True})
        return float(scf_response.tdscf_excitations(wfn, states_per_irrep=[1])[0][0])

    assert excitation("pbe_clone") == pytest.approx(excitation("pbe"), abs=1e-6)


@pytest.mark.parametrize("name", ["nn-unheard-of", "nn-r2scan-d3bj", "nn-r2scam/sto-3g"])
def test_unknown_name_is_psi4s_error(name: str) -> None:
    with pytest.raises(psi4.p4util.ValidationError, match="is not available"):
        energy(name, molecule(HYDROGEN))


def test_unknown_part_is_psi4s_error() -> None:
    definition = {"name": "bad", "x_functionals": {"GGA_X_UNHEARD": {}}, "c_functionals": {}}
    with pytest.raises(RuntimeError, match=r"(?i)libxc"):
        energy(definition, molecule(HYDROGEN))


@pytest.mark.parametrize("name", ["TPSS_clone", "NN-NRA"])
def test_correlation_counted_twice_is_refused(name: str) -> None:
    parts: dict[str, Any] = {"x_functionals": {name: {}}, "c_functionals": {"GGA_C_LYP": {}}}
    with pytest.raises(ExpressionError, match=f"'twice' counts correlation 2 times.*{name}"):
        energy({"name": "twice", **parts}, molecule(HYDROGEN))


@pytest.fixture
def without_published(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The published functionals are not installed."""
    monkeypatch.setenv(registry.MODEL_PATH_VARIABLE, str(MODELS))
    registry.refresh()
    yield
    monkeypatch.undo()
    registry.refresh()


@pytest.mark.usefixtures("without_published")
@pytest.mark.parametrize("way", ["energy", "argument", "gradient"])
def test_published_names_say_how_to_install_them(way: str) -> None:
    mol = molecule(HYDROGEN)
    with pytest.raises(UnknownFunctionalError, match="xcnet models install nagai2020"):
        _run_by(way, catalogue.functionals()[0].lower(), mol)


def _run_by(way: str, name: str, mol: Any) -> None:
    if way == "argument":
        energy("scf", mol, dft_functional=name)
    elif way == "part":
        energy({"name": "bad", "xc_functionals": {name: {}}}, mol)
    else:
        run(getattr(psi4, way), name, mol)


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A functional of its own, ``copied``, that a test may spoil."""
    spec = registry.find("TPSS_clone").spec
    assert spec is not None
    folder = tmp_path / "mgga_xc_copied"
    shutil.copytree(spec.folder, folder)
    changes = {"name": "mgga_xc_copied", "aliases": ["Copied"], "id": 190901}
    seal({**read_record(folder), **changes}, folder)
    with monkeypatch.context() as patch:
        patch.setenv(registry.MODEL_PATH_VARIABLE, str(tmp_path), prepend=":")
        registry.refresh()
        yield folder
    registry.refresh()


def _edit(folder: Path, **fields: Any) -> None:
    record = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(record | fields))


def test_altered_model(copied: Path) -> None:
    data = (copied / "vxc.onnx").read_bytes()
    (copied / "vxc.onnx").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    mol = molecule(HYDROGEN)
    for name in ("copied", {"name": "bad", "xc_functionals": {"COPIED": {}}}):
        with pytest.raises(ModelError, match=r"vxc\.onnx is altered"):
            energy(name, mol)
    assert energy("tpss_clone", mol) < -1.0  # the process goes on


def test_model_that_cannot_be_run(copied: Path) -> None:
    import hashlib

    (copied / "vxc.onnx").write_bytes(b"no graph")
    files = json.loads((copied / "model.json").read_text())["files"]
    files["vxc.onnx"] = hashlib.sha256(b"no graph").hexdigest()
    _edit(copied, files=files)
    registry.refresh()
    mol = molecule(HYDROGEN)
    with pytest.raises(ModelError, match=r"vxc\.onnx is refused"):
        energy("copied", mol)
    assert energy("tpss_clone", mol) < -1.0


def test_model_removed_while_running(copied: Path) -> None:
    mol = molecule(HYDROGEN)
    assert energy("copied", mol) < -1.0
    shutil.rmtree(copied)
    with pytest.raises(ModelError, match="is missing"):
        energy("copied", mol)


def test_broken_record_is_named(copied: Path) -> None:
    _edit(copied, format_version=99)
    registry.refresh()
    with pytest.raises(ModelError, match=r"model\.json: format version 99"):
        energy("mgga_xc_copied", molecule(HYDROGEN))


@pytest.mark.parametrize("way", ["energy", "gradient", "properties", "argument", "part"])
def test_laplacian_models(copied: Path, way: str) -> None:
    _edit(copied, inputs=["rho", "sigma", "lapl", "tau"])
    registry.refresh()
    mol = molecule(HYDROGEN)
    with pytest.raises(UnsupportedError, match="needs the Laplacian"):
        _run_by(way, "copied", mol)


def test_gga_without_second_derivatives(copied: Path, tmp_path: Path) -> None:
    spec = registry.find("PBE_clone").spec
    assert spec is not None
    folder = tmp_path / "gga_xc_short"
    shutil.copytree(spec.folder, folder)
    record = read_record(folder)
    changes = {"name": "gga_xc_short", "aliases": ["Short"], "id": 190902}
    seal({**record, **changes, **up_to(record, "vxc")}, folder)
    registry.refresh()
    mol = molecule(HYDROGEN)
    assert energy("short", mol) == pytest.approx(energy("pbe", mol), abs=1e-9)
    with pytest.raises(UnsupportedError, match="SOSCF"):
        energy("short", mol, options={"soscf": True})


def test_arrays_are_read_rightly_here() -> None:
    installation.check_arrays()


def test_error_inside_the_iterations(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library fails while Psi4's C++ is at work: the iteration ends with its message."""
    library, form_G = shared_library.load(), psi4.core.HF.form_G

    def failing(self: Any) -> None:
        form_G(self)
        library.xcnet_load_index(b"absent.txt")

    monkeypatch.setattr(psi4.core.HF, "form_G", failing)
    with pytest.raises(EngineError, match=r"absent\.txt"):
        energy("tpss_clone", molecule(HYDROGEN))


def test_excitations_by_name_are_refused_first() -> None:
    """Versions from 1.4 on have ``energy('td-pbe')``."""
    seen: list[str] = []
    guarded = guards._checked_excitations(lambda name, **_: seen.append(name))
    with pytest.raises(UnsupportedError, match=r"TDDFT.*PySCF"):
        guarded("td-tpss_clone")
    guarded("td-pbe_clone")
    guarded("td-tpss")
    assert seen == ["td-scf", "td-tpss"]  # its functional is an argument


def _without_numba(tmp_path: Path, text: str) -> str:
    """Run a script where numba is there but refuses numpy, as Debian's does; what it prints."""
    package = tmp_path / "numba"
    package.mkdir()
    (package / "__init__.py").write_text("raise ImportError('Numba needs NumPy 1.24 or less')\n")
    (tmp_path / "script.py").write_text(
        "import sys; sys.path.insert(0, '.')\nimport psi4, xcnet.adapters.psi4\n"
        "psi4.core.set_output_file('out.dat')\n"
        "psi4.set_options({'basis': 'sto-3g', 'dft_radial_points': 20})\n"
        f"psi4.geometry('H 0 0 0\\nH 0 0 0.74')\n{text}"
    )
    done = subprocess.run(
        [sys.executable, "script.py"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    return done.stdout + done.stderr


def test_numba_that_refuses_numpy_is_named_before_anything_is_computed(tmp_path: Path) -> None:
    printed = _without_numba(tmp_path, "psi4.energy('nn-nra')\n")
    assert "refuses to be used: Numba needs NumPy 1.24 or less" in printed
    assert "==> Iterations" not in (tmp_path / "out.dat").read_text()


def test_process_goes_on_after_a_failure(tmp_path: Path) -> None:
    """Energy and options afterwards are those of a process in which nothing failed."""
    text = """
before = psi4.energy('nn-metagga')
for name in ('nn-nra', 'nn-nra/cc-pvdz'):
    try:
        psi4.energy(name)
    except ImportError:
        print('refused')
print('difference', abs(psi4.energy('nn-metagga') - before) < 1e-10)
"""
    printed = _without_numba(tmp_path, text)
    assert printed.count("refused\n") == 2
    assert "difference True" in printed


@pytest.mark.parametrize("step", ["form_F", "compute_E", "form_D"])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_failure_in_an_iteration_leaves_the_process_usable(
    step: str, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    mol = molecule(HYDROGEN)
    before = energy("tpss_clone", mol)
    original, calls = getattr(psi4.core.HF, step), []

    def failing(self: Any, *args: Any) -> Any:
        calls.append(step)
        if len(calls) == 3:
            raise error("in the middle")
        return original(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(psi4.core.HF, step, failing)
        with pytest.raises(error, match="in the middle"):
            energy("tpss_clone", mol)
    assert energy("tpss_clone", mol) == pytest.approx(before, abs=1e-10)
