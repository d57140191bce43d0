"""`xcnet check`: shipped functionals pass, known ones measure as known, broken ones fail."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.folders import MODELS, copy_folder, read_record, seal
from xcnet import check, cli, domain, libxc, paths, registry, variables
from xcnet.check import laws, physics, results, robustness
from xcnet.density import Array
from xcnet.errors import ModelError, UnsupportedError
from xcnet.install import install
from xcnet.operators.near_region import NearRegion
from xcnet.spec import RECORD, load_spec

SHIPPED = sorted(p for p in paths.models_folder().iterdir() if (p / RECORD).is_file())
LEAST = 8_000  # densities: one chunk of each kind


def measured(report: check.Report) -> dict[str, check.Result]:
    return {result.name: result for result in report.results}


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda p: p.name)
def test_every_shipped_functional_passes(folder: Path) -> None:
    report = check.run(load_spec(folder))
    assert not report.failures, results.text(report.failures)
    assert {r.section for r in report.results} == {*results.SECTIONS} - {"domain"}


@pytest.mark.parametrize("folder", sorted(MODELS.iterdir()), ids=lambda p: p.name)
def test_every_clone_passes(folder: Path) -> None:
    report = check.run(load_spec(folder), LEAST)
    assert not report.failures, results.text(report.failures)


def test_published_functionals_pass(published: Path) -> None:
    for folder in sorted(published.iterdir()):
        report = check.run(load_spec(folder), LEAST)
        assert not report.failures, results.text(report.failures)


# -- known functionals measure as known ------------------------------------------------------------


def constraints(name: str) -> dict[str, check.Result]:
    return {r.name: r for r in physics.check(check.Subject(name))}


def test_scan_satisfies_what_it_was_made_for() -> None:
    by_name = constraints("SCAN")
    assert {r.verdict for r in by_name.values()} == {results.PASS}


def test_pbe_has_its_known_correlation_in_hydrogen() -> None:
    result = constraints("PBE")["one-electron self-correlation"]
    # -6.0 mHa: J. P. Perdew et al., Phys. Rev. Lett. 82, 2544 (1999), table I.
    assert result.value == pytest.approx(0.0060, abs=1e-4)
    assert "E = -0.3119" in result.note


@pytest.mark.parametrize(
    ("functional", "constraint"),
    [
        ("M06-L", "Lieb-Oxford bound"),
        ("M06-L", "smoothness of the enhancement factor"),
        ("gga_c_lyp", "uniform-gas limit"),
        ("gga_x_b88", "Lieb-Oxford bound"),
        ("gga_c_lyp", "correlation <= 0"),
    ],
)
def test_what_is_known_to_be_violated(functional: str, constraint: str) -> None:
    assert constraints(functional)[constraint].verdict == results.NOT_REQUIRED


def test_what_makes_no_sense_is_said() -> None:
    correlation, hybrid = constraints("gga_c_lyp"), constraints("B3LYP")
    assert correlation["spin scaling of exchange"].verdict == results.NOT_APPLICABLE
    assert "exact" in hybrid["uniform-gas limit"].note


def test_near_region_of_hydrogen() -> None:
    """The descriptor by shells against its integral at the nucleus and far away, in closed form."""
    sigma = 0.2
    radii = np.array([1e-4, 8.0])
    region = NearRegion("continuum", sigma).hydrogen(radii)[:, 0]
    # Nucleus: 4 int r^2 exp(-(2 + 1/sigma) r) = 8/(2 + 1/sigma)^3. Far: 8 pi sigma^3 n(r) times
    # the mean of exp(-2 r) over the kernel, whose leading term is 1/(1 - 4 sigma^2)^2.
    assert region[0] == pytest.approx(8.0 / (2.0 + 1.0 / sigma) ** 3, rel=1e-6)
    n = np.exp(-16.0) / np.pi
    assert region[1] == pytest.approx(8 * np.pi * sigma**3 * n / (1 - 4 * sigma**2) ** 2, rel=0.05)


def test_a_declared_constraint_is_required(tmp_path: Path) -> None:
    folder = copy_folder(tmp_path, "gga_x_strict", constraints=["one_electron", "spin_scaling"])
    failures = check.run(load_spec(folder), LEAST).failures
    assert [f.name for f in failures] == ["one-electron self-correlation"]
    with pytest.raises(ModelError, match=r"fails 1 of xcnet's checks: one-electron"):
        check.require(load_spec(folder))


def test_unknown_constraints_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="constraints"):
        load_spec(copy_folder(tmp_path, constraints=["beauty"]))


def test_closed_shell_graphs_of_another_functional(tmp_path: Path) -> None:
    """Of any order but the highest, whose graph alone would show all."""
    for order in ("exc", "vxc", "fxc"):
        folder = copy_folder(tmp_path, f"gga_xc_{order}", "gga_xc_pbe_clone")
        record = read_record(folder)
        filename = record["closed_shell"][order]
        shutil.copy(MODELS / "gga_x_pbe_clone" / filename, folder / filename)
        seal(record, folder)
        failures = {f.name for f in check.run(load_spec(folder), LEAST).failures}
        assert "closed shell as either spin, exc" in failures, order


# -- broken functionals fail -----------------------------------------------------------------------


class Broken(check.Subject):
    """PBE's exchange with its outputs changed by a function."""

    def __init__(self, change: Callable[[dict[str, Array], dict[str, Array]], None]) -> None:
        super().__init__("gga_x_pbe")
        self._change = change

    def compute(  # type: ignore[override]
        self, points: dict[str, Array], order: int, spin: int = variables.POLARIZED
    ) -> dict[str, Array]:
        results = super().compute(points, order, spin)
        self._change(points, results)
        return results


def _asymmetric(points: dict[str, Array], results: dict[str, Array]) -> None:
    if points["rho"].shape[1] == 2:
        results["zk"] *= 1.0 + 1e-9 * points["rho"][:, :1] / points["rho"].sum(1, keepdims=True)


def _wrong_potential(points: dict[str, Array], results: dict[str, Array]) -> None:
    if "vrho" in results:
        results["vrho"] *= 1.0 + 1e-6


def _wrong_second(points: dict[str, Array], results: dict[str, Array]) -> None:
    if "v2rhosigma" in results:
        results["v2rhosigma"][:, 0] *= 1.0 + 1e-4


def _neighbours(points: dict[str, Array], results: dict[str, Array]) -> None:
    results["zk"] *= 1.0 + 1e-11 * len(points["rho"])


def _step(points: dict[str, Array], results: dict[str, Array]) -> None:
    if points["rho"].shape[1] == 2:
        results["zk"][points["rho"][:, 1] < 1e-12] *= 1.0 + 1e-6


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (_asymmetric, "spin swap, exc"),
        (_asymmetric, "closed shell as either spin, exc"),
        (_wrong_potential, "vxc is the derivative of exc"),
        (_wrong_second, "fxc is the derivative of vxc"),
        (_neighbours, "other order and chunks, exc"),
        (_step, "jump at the spin density threshold"),
    ],
)
def test_a_broken_law_is_found(
    change: Callable[[dict[str, Array], dict[str, Array]], None], name: str
) -> None:
    by_name = {r.name: r for r in laws.check(Broken(change))}
    assert by_name[name].verdict == results.FAIL


def test_infinite_outputs_are_found() -> None:
    """libxc 7's r2SCAN gives NaN in its second derivatives at huge gradients."""
    report = robustness.check(check.Subject("mgga_c_r2scan"))
    problems = [r for r in report if r.verdict == results.FAIL]
    assert problems
    assert "'rho'" in problems[0].note


def test_an_unbounded_energy_is_found() -> None:
    def huge(points: dict[str, Array], results: dict[str, Array]) -> None:
        results["zk"] *= 1e3

    rows = list(robustness.check(Broken(huge), LEAST))
    assert rows[-1].verdict == results.FAIL


def test_what_cannot_be_evaluated_fails(tmp_path: Path) -> None:
    """Weights that are NaN: the report says so instead of stopping."""
    folder = copy_folder(tmp_path)
    for path in folder.glob("*.onnx"):
        model = onnx.load(path)
        for constant in model.graph.initializer:
            if constant.data_type == onnx.TensorProto.DOUBLE:
                constant.raw_data = np.full(len(constant.raw_data) // 8, np.nan).tobytes()
        path.write_bytes(model.SerializeToString())
    seal(read_record(folder), folder)
    failures = check.run(load_spec(folder), LEAST).failures
    assert {f.section for f in failures} == {"integrity"}  # the reference vector stops it
    subject = check.Subject(load_spec(folder))
    rows = list(check._until_an_error("laws", laws.check(subject)))
    assert rows[-1].verdict == results.FAIL
    assert "not finite" in rows[-1].note
    assert {r.verdict for r in physics.check(subject)} <= {
        results.NOT_REQUIRED,
        results.NOT_APPLICABLE,
    }
    assert all(
        r.verdict == results.FAIL for r in robustness.check(subject, LEAST) if "finite" in r.name
    )


def test_wrong_reference_vector(tmp_path: Path) -> None:
    folder = copy_folder(tmp_path)
    with np.load(folder / "reference.npz") as stored:
        arrays = dict(stored)
    arrays["vrho"][3, 1] *= 1.0 + 1e-9
    np.savez(folder / "reference.npz", **arrays)
    seal(read_record(folder), folder)
    failures = check.run(load_spec(folder)).failures
    assert [f.name for f in failures] == ["reference vector"]
    assert "vrho differs" in failures[0].note


# -- densities of hypothesis -----------------------------------------------------------------------

_VALUES = st.sampled_from(robustness.EDGES) | st.floats(1e-20, 1e6)
_NEURAL = [*SHIPPED, MODELS / "mgga_xc_tpss_clone", MODELS / "gga_c_pbe_clone"]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.sampled_from(_NEURAL), st.lists(_VALUES, min_size=10, max_size=10), st.booleans())
def test_any_density_gives_finite_outputs(folder: Path, x: list[float], opposite: bool) -> None:
    subject = _subject(folder)
    sab = 0.5 * (x[2] + x[4]) * (-1.0 if opposite else 1.0)
    values = {
        "rho": [x[0], x[1]],
        "sigma": [x[2], sab, x[4]],
        "lapl": [x[5], -x[6]],
        "tau": [x[7], x[8]],
    }
    values |= {label: [x[9]] for label in subject.descriptors}
    points = {name: np.array([values[name]]) for name in subject.inputs}
    for label, value in subject.compute(points, 2).items():
        assert np.isfinite(value).all(), label


_subjects: dict[Path, check.Subject] = {}


def _subject(folder: Path) -> check.Subject:
    if folder not in _subjects:
        _subjects[folder] = check.Subject(load_spec(folder))
    return _subjects[folder]


def test_opposite_gradients_leave_no_negative_square() -> None:
    """saa + 2 sab + sbb rounded below zero, and its root was NaN: found by `xcnet check`."""
    subject = _subject(SHIPPED[0])
    points = {
        "rho": np.array([[1e-20, 2e-12], [0.3, 0.1]]),
        "sigma": np.array([[1.0, -1e6, 1e6], [0.1, -1.0, 0.3]]),
        "tau": np.array([[1e-12, 1e6], [1.0, 1.0]]),
    }
    for label, value in subject.compute(points, subject.highest_order).items():
        assert np.isfinite(value).all(), label


# -- domain ----------------------------------------------------------------------------------------


def test_domain_by_density_and_by_element() -> None:
    spec = load_spec(paths.models_folder() / "mgga_xc_nn_r2scan")
    n = np.array([1e-12, 0.1, 1e4, 0.1])
    coords = np.array([[0.0, 0, 9], [0, 0, 0.1], [0, 0, 0], [0, 0, 2.9]])
    weights = np.array([0.0, 1.0, 1e-5, 1.0])
    atoms = np.array([[0.0, 0, 0], [0, 0, 3]])
    outside = domain.outside(spec, n, weights, coords, ("H", "Cl"), atoms)
    assert outside.elements == ("Cl",)
    assert outside.density == pytest.approx(0.1 / 0.3)
    assert outside.nearest == pytest.approx(0.1 / 0.3)
    assert outside.share == pytest.approx(0.2 / 0.3)
    assert outside.is_large
    assert not domain.outside(spec, n[1:2], weights[1:2], coords[1:2], ("H",), atoms[:1]).is_large


@pytest.mark.slow
def test_domain_of_molecules() -> None:
    pytest.importorskip("pyscf")
    from xcnet.check import molecules

    by_name = {r.name: r for r in molecules.check_domain(check.Subject("NN-r2SCAN"))}
    assert by_name["electrons of H2O outside"].verdict == results.PASS
    chlorine = by_name["electrons of HCl outside"]
    assert chlorine.value is not None
    assert chlorine.value > 0.8
    assert "(Cl)" in chlorine.note


@pytest.mark.slow
def test_noise_says_what_it_is_at(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyscf")
    from xcnet.check import molecules

    monkeypatch.setattr(molecules, "NOISE", ("H2",))
    stages: list[str] = []
    [found] = molecules.check_noise(check.Subject("NN-metaGGA"), stages.append)
    assert found.value is not None
    for level in (molecules.COARSE, molecules.FINE):
        assert f"SCF of H2, grid level {level}, cycle 1" in stages


@pytest.mark.slow
def test_run_warns_outside_the_domain(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pytest.importorskip("pyscf")
    report = tmp_path / "run.json"
    words = ["run", "HCl", "H2", "--xc", "NN-r2SCAN,PBE", "--basis", "sto-3g", "--grid", "1"]
    assert cli.main([*words, "--json", str(report)]) == 0
    errors = capsys.readouterr().err
    assert "electrons of HCl are where mgga_xc_nn_r2scan was not trained" in errors
    assert "lack Cl" in errors
    assert "H2 are" not in errors
    rows = json.loads(report.read_text())["results"]
    assert [len(row["outside"]) for row in rows] == [1, 0, 1, 0]


# -- command, page, installation -------------------------------------------------------------------


@pytest.mark.slow
def test_command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    page, rows = tmp_path / "report.html", tmp_path / "report.json"
    words = ["check", str(SHIPPED[0]), "--points", str(LEAST), "--html", str(page)]
    assert cli.main([*words, "--json", str(rows), "--quiet"]) == 0
    printed = capsys.readouterr().out
    assert all(f"\n{section}\n" in printed for section in results.SECTIONS)
    _, _, end = printed.partition(" passed, 0 failed\n")
    breached = [r for r in json.loads(rows.read_text())["results"] if r["verdict"] != "pass"]
    assert breached
    assert end.splitlines()[0] == f"{len(breached)} breached, which the record does not require:"
    assert [line.split(":")[0].strip() for line in end.splitlines()[1:]] == [
        row["name"] for row in breached
    ]
    text = page.read_text()
    assert text.count("data:image/png;base64,") == 2  # light and dark
    assert "http" not in text.replace("https://doi.org", "")  # self-contained
    document = json.loads(rows.read_text())
    assert document["name"] == SHIPPED[0].name
    assert {row["verdict"] for row in document["results"]} <= {"pass", "not required"}


def test_command_says_what_failed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = copy_folder(tmp_path)
    (folder / "vxc.onnx").write_bytes(b"")
    assert cli.main(["check", str(folder), "--html", str(tmp_path / "page.html")]) == 1
    printed = capsys.readouterr().out
    assert "vxc.onnx is altered" in printed
    assert "laws" not in printed  # nothing of such a folder is evaluated
    assert "altered" in (tmp_path / "page.html").read_text()


def test_command_says_what_is_no_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = copy_folder(tmp_path)
    (folder / "vxc.onnx").unlink()
    os.mkfifo(folder / "vxc.onnx")
    assert cli.main(["check", str(folder)]) == 1
    printed = capsys.readouterr().out
    assert "vxc.onnx is not a regular file" in printed
    assert "missing" not in printed


def test_a_functional_that_breaks_laws_is_not_installed(tmp_path: Path, user_folder: Path) -> None:
    folder = copy_folder(tmp_path, "gga_x_declared", constraints=["lieb_oxford", "one_electron"])
    with pytest.raises(ModelError, match="one-electron") as caught:
        install(str(folder))
    assert str(folder) in str(caught.value)
    assert not (user_folder / "gga_x_declared").exists()


@pytest.mark.parametrize("name", ["lda_k_tf", "B3LYP", "gga_x_b88"])
def test_energies_of_known_functionals_are_bounded(name: str) -> None:
    report = list(robustness.check(check.Subject(name), LEAST))
    assert report[-1].verdict == results.PASS, report[-1]


def test_potentials_without_energies_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="no energy"):
        check.run("gga_x_lb")


def test_libxc_is_checked_too() -> None:
    report = check.run("PBE", LEAST)
    assert not [f for f in report.failures if f.section == "laws"]
    assert registry.find("PBE").spec is None
    assert libxc.library()
