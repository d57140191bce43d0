"""Published functionals against their authors' programs, at points and in a molecule."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import xcnet
from tests.published import prepared, required_weights
from tests.pyscf_methods import installed
from xcnet import check, cli, engine
from xcnet.catalogue import collections
from xcnet.check import results
from xcnet.published import dm21, pcnn, skala, sources, xcdiff
from xcnet.spec import FunctionalSpec, load_spec

Array = NDArray[np.float64]
#: The coordinates of the authors' example, in angstrom.
WATER = "O 0 0 0.11779; H 0 0.75545 -0.47116; H 0 -0.75545 -0.47116"
NAMES = ("rho", "sigma", "tau")


def reference(name: str) -> dict[str, Array]:
    """What the original program gives, as the shared files have it."""
    folder = required_weights(name).parent / "reference"
    if not folder.is_dir():
        pytest.skip(f"no reference points in {folder}")
    with np.load(folder / f"{name}.npz") as file:
        return dict(file)


def tensors(points: dict[str, Array]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(points[name]) for name in NAMES}


def files(collection: str) -> dict[str, bytes]:
    folder = required_weights(collection)
    return {f.name: (folder / f.name).read_bytes() for f in collections()[collection].files}


@pytest.fixture(scope="module")
def models(converted_folder: Path) -> dict[str, FunctionalSpec]:
    """pcNN and XCDIFF, converted."""
    return {
        name: load_spec(prepared(name, converted_folder) / f"mgga_xc_{name}")
        for name in ("pcnn", "xcdiff")
    }


def test_factors_of_pcnn() -> None:
    points = reference("pcnn")
    module = pcnn.load(files("pcnn"))
    exchange = module.exchange_factors(**tensors(points))[:, 0].numpy()
    correlation = module.correlation_factor(**tensors(points)).numpy()
    np.testing.assert_allclose(exchange, points["fx_up"], rtol=1e-12)
    np.testing.assert_allclose(correlation, points["fc"], rtol=1e-12)


def test_pcnn_is_scan_times_its_factors(models: dict[str, FunctionalSpec]) -> None:
    points = reference("pcnn")
    module = pcnn.load(files("pcnn"))
    scan = [xcnet.functional(f"mgga_{kind}_scan", "polarized") for kind in "xc"]
    correlation = scan[1].compute(points)["zk"][:, 0] * points["fc"]
    exchange = np.zeros(len(correlation))
    factors = module.exchange_factors(**tensors(points)).numpy()
    np.testing.assert_allclose(factors[:, 0], points["fx_up"], rtol=1e-12)
    for spin in (0, 1):
        alone = {name: np.zeros_like(points[name]) for name in NAMES}
        for name, column in (("rho", spin), ("sigma", 2 * spin), ("tau", spin)):
            alone[name][:, column] = points[name][:, column]
        share = alone["rho"].sum(axis=1) / points["rho"].sum(axis=1)
        exchange += share * scan[0].compute(alone)["zk"][:, 0] * factors[:, spin]
    given = engine.run(models["pcnn"], 1, {name: points[name] for name in NAMES})["zk"][:, 0]
    np.testing.assert_allclose(given, exchange + correlation, rtol=1e-9)


def test_water_of_pcnn(models: dict[str, FunctionalSpec]) -> None:
    """Total energy of today's weights with the authors' program in PySCF, 6-31G, level 3."""
    from pyscf import dft, gto

    with installed(models["pcnn"].folder.parent):
        mf = dft.RKS(gto.M(atom=WATER, basis="6-31g", verbose=0), xc="pcNN")
        mf.grids.level = 3
        assert mf.kernel() == pytest.approx(-76.348472331, abs=2e-6)


def test_energies_and_derivatives_of_xcdiff(models: dict[str, FunctionalSpec]) -> None:
    points = reference("xcdiff")
    given = engine.run(models["xcdiff"], 1, {name: points[name] for name in NAMES})
    np.testing.assert_allclose(given["zk"][:, 0], points["zk"].ravel(), rtol=1e-12)
    for label in ("vrho", "vsigma", "vtau"):
        np.testing.assert_allclose(given[label], points[label], rtol=1e-10)


@pytest.mark.parametrize("name", dm21.TRAINED)
def test_energies_of_dm21(name: str) -> None:
    """The original computes in single precision."""
    points = reference("dm21")
    content = files("dm21")
    index, data = (
        content[f"{name}/variables/variables.{end}"] for end in ("index", "data-00000-of-00001")
    )
    module = dm21.load(index, data, name)
    exact = torch.from_numpy(np.hstack([points["hfx_a"], points["hfx_b"]]))
    energy = module(**tensors(points), local_exact_exchange=exact).numpy()
    np.testing.assert_allclose(energy * points["rho"].sum(axis=1), points[name], rtol=5e-6)


def test_folder_of_several_collections() -> None:
    folder = required_weights("skala-1.0")
    collection = collections()["skala-1.0"]
    assert sources.files(collection, folder.parent) == sources.files(collection, folder)


def test_records_of_dm21() -> None:
    collection = collections()["dm21"]
    family = dm21.functionals(collection, files("dm21"))
    assert tuple(member.record["aliases"][0] for member in family) == collection.functionals
    assert tuple(member.record["name"] for member in family) == collection.names
    for member in family:
        assert member.record["dispersion"]["method"] == "D3BJ"
        assert not member.record["spin_symmetric"]


def test_parts_of_skala_have_no_preferred_spin() -> None:
    points = tensors(reference("dm21"))
    before, after, mixing = skala.load(files("skala-1.0")["skala_weights.npz"], "skala")
    assert {way: array.shape for way, array in mixing.items()} == {
        "down": (4, 16, 16),
        "up": (4, 16, 16),
    }
    multipoles = torch.linspace(-1.0, 1.0, 1600, dtype=torch.float64).reshape(100, 16)
    swapped = {name: value.flip(1) for name, value in points.items()}
    closed = {name: value[:, :1] for name, value in points.items()}
    spins = {name: closed[name].expand(-1, points[name].shape[1]) for name in NAMES}
    totals = {name: closed[name] * {"rho": 2.0, "sigma": 4.0, "tau": 2.0}[name] for name in NAMES}
    for part, further in ((before, {}), (after, {"atomic_multipoles": multipoles})):
        once, again = part(**points, **further), part(**swapped, **further)
        torch.testing.assert_close(again, once, rtol=1e-13, atol=1e-15)
        own = part.closed_shell(**totals, **further)
        torch.testing.assert_close(own, part(**spins, **further), rtol=1e-13, atol=1e-15)


def test_asymmetry_is_a_figure_of_the_report(models: dict[str, FunctionalSpec]) -> None:
    assert not models["xcdiff"].spin_symmetric
    report = check.run(models["xcdiff"], points=2000)
    assert not report.failures
    (swap,) = (r for r in report.results if r.name == "spin swap, exc")
    assert swap.verdict == results.NOT_REQUIRED
    assert swap.value is not None
    assert 1e-4 < swap.value < 0.02
    assert "not symmetric in the spins" in swap.note


def test_kinks_of_scan_are_a_figure_of_the_report(models: dict[str, FunctionalSpec]) -> None:
    report = check.run(models["pcnn"], points=2000)
    assert not report.failures
    (smooth,) = (r for r in report.results if "smoothness" in r.name)
    assert smooth.verdict == results.NOT_REQUIRED


def test_a_swap_that_the_record_does_not_admit_fails(models: dict[str, FunctionalSpec]) -> None:
    from dataclasses import replace

    silent = replace(models["xcdiff"], spin_symmetric=True)
    assert "spin swap, exc" in [r.name for r in check.run(silent, points=100).failures]


def test_mixtures(models: dict[str, FunctionalSpec], monkeypatch: pytest.MonkeyPatch) -> None:
    folders = ":".join(str(spec.folder.parent) for spec in models.values())
    monkeypatch.setenv("XCNET_MODEL_PATH", folders)
    points = {name: reference("pcnn")[name] for name in NAMES}
    parts = [
        xcnet.functional(name, "polarized").compute(points, do_fxc=True)
        for name in ("pcNN", "XCDIFF")
    ]
    whole = xcnet.functional("0.25*pcNN + 0.75*XCDIFF", "polarized").compute(points, do_fxc=True)
    for label, values in whole.items():
        np.testing.assert_allclose(values, 0.25 * parts[0][label] + 0.75 * parts[1][label])


def test_licence_and_credit(
    models: dict[str, FunctionalSpec],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XCNET_MODEL_PATH", str(models["pcnn"].folder.parent))
    assert models["pcnn"].read("LICENSE") == files("pcnn")["LICENSE"]
    assert models["xcdiff"].read("LICENSE") == files("xcdiff")["LICENSE"]
    assert cli.main(["cite", "pcNN"]) == 0
    assert "10.1103/PhysRevResearch.4.013106" in capsys.readouterr().out
    assert cli.main(["info", "pcNN"]) == 0
    shown = capsys.readouterr().out
    assert "Apache-2.0" in shown
    assert "10.1103/PhysRevResearch.4.013106" in shown


def test_available(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", "available"]) == 0
    shown = capsys.readouterr().out
    for name, collection in collections().items():
        assert name in shown
        assert collection.license in shown
        assert all(functional in shown for functional in collection.functionals)


def test_weights_of_another_shape_are_refused() -> None:
    content = files("pcnn")
    content["w2.npy"] = content["w1.npy"]
    with pytest.raises(xcnet.errors.InstallError, match=r"w2\.npy has the shape"):
        pcnn.load(content)
    with pytest.raises(xcnet.errors.InstallError, match=r"data\.pkl"):
        xcdiff.load(files("skala-1.0")["skala_weights.npz"], "xc")
