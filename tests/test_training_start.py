"""What `xcnet train` refuses before any work, and what it keeps when it is interrupted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.test_nra_training import REFINEMENT, SET
from tests.test_training import RECIPE
from tests.training_sets import added
from xcnet import cli
from xcnet.errors import InputError
from xcnet.scf import densities
from xcnet.systems import training_sets
from xcnet.training import levenberg, preparation, recipe, threads, workflow
from xcnet.training.publish import publication

pytest.importorskip("pyscf", reason="PySCF makes the densities")

NAME = "mgga_xc_nn_start"
TINY = RECIPE.replace("mgga_xc_nn_tiny", NAME).replace("NN-tiny", "NN-start")
TINY = TINY.replace("190901", "190904").replace("atoms_h_ne", "boron_hydride")
REFINED = TINY + REFINEMENT
METHANE = SET.replace("BH", "CH").replace('"B"', '"C"').replace("B = 1", "C = 1")
METHANE = METHANE.replace("multiplicity = 1", "multiplicity = 2").replace("1.232", "1.12")


@pytest.fixture(autouse=True)
def sets(tmp_path: Path) -> Iterator[None]:
    """A set of three small systems."""
    with added(tmp_path / "sets", SET, "boron_hydride"):
        yield


@pytest.fixture
def solved(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the systems whose densities are made, one after the other."""
    names: list[str] = []
    solve = densities.solve

    def noted(system: training_sets.Molecule, *more: Any) -> densities.GridDensity:
        names.append(system.name)
        return solve(system, *more)

    monkeypatch.setattr(densities, "solve", noted)
    return names


def train(folder: Path, text: str, *more: str) -> int:
    (folder / "tiny.toml").write_text(text)
    words = ["train", str(folder / "tiny.toml"), "--data", str(folder / "data")]
    return cli.main([*words, "--output", str(folder / "models"), *more])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "basis = ",
            'basis = "sto-33"#',
            "densities.basis: basis set 'sto-33' is unknown to PySCF",
        ),
        ('xc = "pbe"', 'xc = "pbbe"', "densities.xc: PySCF's libxc has no functional 'pbbe'"),
        ("mgga_x_r2scan", "mgga_x_scam", "exchange.target: .*mgga_x_scam"),
        ("mgga_c_r2scan", "mgga_x_br89", "correlation.target: mgga_x_br89 needs the Laplacian"),
        (NAME, "mgga_xc_nn_r2scan", "record: .*'mgga_xc_nn_r2scan' belongs to mgga_xc_nn_r2scan"),
        ("NN-start", "NN-GGA", "record: .* 'NN-GGA' belongs to gga_xc_nn_gga"),
        ("190904", "100210", "record: .* 100210 belongs to mgga_xc_nn_metagga"),
        ('sets = ["boron', 'sets = ["borom', "sets: unknown training set 'borom_hydride'"),
        ('sets = ["boron_hydride"]\npart', 'sets = ["w4-17"]\npart', "refinement.sets: .*w4-17"),
        ('sets = ["boron_hydride"]\npart', 'sets = ["methane"]\npart', "CH is CH of a test set"),
        ('part = "train"', 'part = "half"', "refinement.sets: .* has no part 'half', but train"),
        ('start = "PBE"', 'start = "PBBE"', "refinement.start: .*'?PBBE"),
        ('density_fit = ""', 'density_fit = "no"', "ground_states.density_fit: basis set 'no' is"),
        ('"sto-3g"\ngrid_level = 0\ndens', '"s"\ngrid_level = 0\ndens', "ground_states.basis: bas"),
    ],
)
def test_refused_before_any_work(
    old: str,
    new: str,
    message: str,
    tmp_path: Path,
    solved: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert old in REFINED
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # without the data of W4-17
    with added(tmp_path / "more", METHANE, "methane"):
        assert train(tmp_path, REFINED.replace(old, new, 1)) == cli.EXIT_ERROR
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(message, line)
    assert line.startswith(f"xcnet: {tmp_path / 'tiny.toml'}: ")
    assert not solved
    assert not (tmp_path / "data").exists()


def test_shipped_functionals_can_be_made_again(tmp_path: Path) -> None:
    """Under their own names, which another recipe may not take."""
    path = recipe.find("nn_r2scan")
    shipped = recipe.load(path)
    preparation.Training(shipped, path, tmp_path / shipped.record.name).check()
    other = preparation.Training(replace(shipped, seed=2), path, tmp_path / shipped.record.name)
    with pytest.raises(InputError, match=r"nn_r2scan.toml: record: .* belongs to"):
        other.check()


def test_interrupted_densities_are_kept(
    tmp_path: Path, solved: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(densities, "on_grid", _interrupt_after(1, densities.on_grid))
        assert train(tmp_path, TINY) == cli.EXIT_INTERRUPTED
    assert solved == ["BH", "B"]
    assert "--resume continues" in capsys.readouterr().err
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(levenberg, "step", _interrupt_after(0, levenberg.step))
        # Although there is no checkpoint yet.
        assert train(tmp_path, TINY, "--resume") == cli.EXIT_INTERRUPTED
    assert solved == ["BH", "B", "B", "H"]
    assert [path.name for path in (tmp_path / "data").glob("densities-*/*")] == []


def test_densities_in_pieces_are_those_made_at_once(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(TINY)
    settings = recipe.load(tmp_path / "tiny.toml").densities
    systems = training_sets.load("boron_hydride").systems
    digests = []
    for stop in (1, 9):
        folder = tmp_path / str(stop)
        with pytest.MonkeyPatch.context() as patch, threads.limited(1):
            patch.setattr(densities, "on_grid", _interrupt_after(stop, densities.on_grid))
            if stop == 1:
                with pytest.raises(KeyboardInterrupt):
                    densities.of_systems(systems, settings, folder)
                patch.undo()
            digests.append(densities.of_systems(systems, settings, folder)[1])
    assert digests[0] == digests[1]


def test_progress_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(levenberg, "step", _interrupt_after(3, levenberg.step))
        assert train(tmp_path, TINY) == cli.EXIT_INTERRUPTED
    checkpoint = tmp_path / "data" / NAME / "checkpoint.npz"
    before = checkpoint.read_bytes()
    capsys.readouterr()
    assert train(tmp_path, TINY) == cli.EXIT_ERROR
    assert f"{checkpoint} holds the progress" in capsys.readouterr().err
    assert train(tmp_path, TINY.replace("seed = 3", "seed = 4"), "--resume") == cli.EXIT_ERROR
    assert "recipe changed" in capsys.readouterr().err
    assert checkpoint.read_bytes() == before
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publication, "publish", lambda *_: None)  # takes long, is tested elsewhere
        assert train(tmp_path, TINY, "--resume") == 0
    assert checkpoint.read_bytes() != before


def _interrupt_after(count: int, function: Any) -> Any:
    """Function that is interrupted (Ctrl-C) when it is called once more than so many times."""
    left = iter(range(count))

    def wrapped(*args: Any, **more: Any) -> Any:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return function(*args, **more)

    return wrapped


def test_a_training_has_one_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the environment says, unless it is told otherwise; others get theirs back."""
    from pyscf import lib

    seen: list[tuple[int, int]] = []

    def noted(*_: Any) -> None:
        seen.append((lib.num_threads(), torch.get_num_threads()))
        raise KeyboardInterrupt

    monkeypatch.setattr(densities, "solve", noted)
    with threads.limited(2):
        assert train(tmp_path, TINY) == cli.EXIT_INTERRUPTED
        assert train(tmp_path, TINY, "--threads", "3") == cli.EXIT_INTERRUPTED
        assert (lib.num_threads(), torch.get_num_threads()) == (2, 2)
    assert seen == [(1, 1), (3, 3)]
    assert train(tmp_path, TINY, "--threads", "0") == cli.EXIT_ERROR


def test_densities_of_one_thread_have_the_same_bits(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(TINY.replace("sto-3g", "def2-svp"))
    settings = recipe.load(tmp_path / "tiny.toml").densities
    (water,) = (
        molecule
        for molecule in training_sets.load("water_ammonia_nitric_oxide").systems
        if molecule.symbols.count("H") == 2
    )
    with threads.limited(2), threads.limited(1):
        molecule, two = (densities.solve(water, settings).arrays() for _ in range(2))
    for name, array in molecule.items():
        np.testing.assert_array_equal(array, two[name])


def test_the_fit_runs_on_a_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    devices: list[str] = []
    monkeypatch.setattr(torch, "zeros", lambda *_, device, **__: devices.append(device))
    for there, device in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert workflow._device("auto") == device
    assert workflow._device("cuda:1") == "cuda:1"
    assert devices == ["cuda", "cpu", "cuda:1"]


def test_it_says_what_runs_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(densities, "solve", _interrupt_after(0, densities.solve))
    assert train(tmp_path, TINY) == cli.EXIT_INTERRUPTED
    line = capsys.readouterr().err.splitlines()[0]
    assert line == "fit: cpu; densities, refinement and export: cpu; threads: 1"
