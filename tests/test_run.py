"""``xcnet run``: input in all forms, real calculations, what is printed and written."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyscf", reason="xcnet run needs PySCF")

from pyscf import dft, gto

from xcnet import cli, registry
from xcnet.errors import InputError, SpinError
from xcnet.job import report
from xcnet.systems import elements, molecules

MODELS = Path(__file__).resolve().parent / "models"
QUICK = ["--basis", "sto-3g", "--grid", "1", "--quiet"]
WATER = "O 0 0 0.119262; H 0 0.763239 -0.477047; H 0 -0.763239 -0.477047"


@pytest.fixture(autouse=True)
def clones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(registry.MODEL_PATH_VARIABLE, str(MODELS))


def _xyz(folder: Path, text: str, name: str = "water.xyz") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def _run(*words: object) -> int:
    return cli.main(["run", *map(str, words), *QUICK])


def _read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text())
    return document


# -- geometry ------------------------------------------------------------------------------------


def test_three_forms_of_input_are_the_same_molecule(tmp_path: Path) -> None:
    lines = WATER.replace("; ", "\n")
    path = _xyz(
        tmp_path, f"3\nwater, with forces\n{lines.replace('0.119262', '0.119262 0.1 0.2')}\n\n"
    )
    by_file, by_name, inline = (molecules.read(s) for s in (str(path), "h2o", WATER))
    assert by_file.positions == by_name.positions == inline.positions
    assert by_file.symbols == by_name.symbols == inline.symbols == ("O", "H", "H")
    assert (by_file.name, by_name.name, inline.name) == ("water", "H2O", "OH2")
    assert by_name.experiment == pytest.approx(232.58)


def test_experimental_energies_are_those_of_ase() -> None:
    from ase.data import g2

    for name in ("H2O", "N2", "CH3Cl", "SO2"):
        expected = g2.get_atomization_energy(name)
        assert molecules.read(name).experiment == pytest.approx(expected, abs=0.01)
    assert molecules.read("H2").experiment == pytest.approx(109.6, abs=0.05)
    assert molecules.read("O").experiment is None


def test_elements_by_number_and_in_any_case() -> None:
    assert molecules.read("8 0 0 0; h 0 0 0.97").symbols == ("O", "H")


@pytest.mark.parametrize(
    ("source", "spin"),
    [("O2", 2), ("NO", 1), ("CH2_s3B1d", 2), ("N", 3), ("H 0 0 0", 1), ("Cr 0 0 0", 6), ("CO", 0)],
)
def test_spin_of_the_ground_state(source: str, spin: int) -> None:
    assert molecules.read(source).spin == spin


def test_spins_of_atoms_fit_their_electrons() -> None:
    for number, symbol in enumerate(elements.SYMBOLS[1:], 1):
        assert (number - molecules.atom(symbol).spin) % 2 == 0, symbol


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "number of atoms"),
        ("water\n\nO 0 0 0\n", 1, "number of atoms"),
        ("0\n\n", 1, "number of atoms"),
        ("2\n\nO 0 0 0\n", 3, "ends after 1 of 2"),
        ("1\n\nO 0 0 0\nH 0 0 1\n", 4, "follows the 1 atoms"),
        ("1\n\nQq 0 0 0\n", 3, "no element"),
        ("1\n\nO 0 zero 0\n", 3, "zero"),
        ("1\n\nO 0 0\n", 3, "three finite coordinates"),
        ("1\n\nO 0 0 nan\n", 3, "three finite coordinates"),
        ("1\n\n\n", 3, "no element"),
    ],
)
def test_junk_in_a_file_is_named_with_its_line(
    tmp_path: Path, text: str, line: int, message: str
) -> None:
    path = _xyz(tmp_path, text)
    with pytest.raises(InputError, match=message) as caught:
        molecules.read(str(path))
    assert f"{path}, line {line}" in str(caught.value)


def test_binary_missing_and_collapsed_files(tmp_path: Path) -> None:
    (tmp_path / "binary.xyz").write_bytes(bytes(range(256)))
    _xyz(tmp_path, "2\n\nO 0 0 0\nH 0 0 0.01\n", "collapsed.xyz")
    for name, message in (
        ("binary.xyz", "not text"),
        ("missing.xyz", "No such file"),
        ("collapsed.xyz", "atoms 1 and 2 are only 0.010"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            molecules.read(str(tmp_path / name))
        assert name in str(caught.value)


@pytest.mark.parametrize(
    ("source", "charge", "spin", "message"),
    [
        ("H2O", 0, 1, "1 unpaired electrons are impossible with 10 electrons"),
        ("H2O", 1, 0, "with 9 electrons"),
        ("H2", 0, 4, "with 2 electrons"),
        ("H2", 0, -2, "impossible"),
        ("H2", 2, None, "has 0 electrons"),
    ],
)
def test_impossible_spin(source: str, charge: int, spin: int | None, message: str) -> None:
    with pytest.raises(SpinError, match=message):
        molecules.read(source, charge, spin)


def test_unknown_molecule_shows_near_names() -> None:
    with pytest.raises(InputError, match="H2CO"):
        molecules.read("H2COO")


# -- runs ----------------------------------------------------------------------------------------


def test_run_equals_pyscf(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "out.json"
    assert _run(WATER, "OH", "--xc", "PBE_clone,PBE", "--xc", "TPSS", "--json", path) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    document = _read(path)
    assert document["complete"]
    assert document["settings"]["grid_level"] == 1
    results = {(r["molecule"], r["xc"]): r for r in document["results"]}
    mf = dft.RKS(gto.M(atom=WATER, basis="sto-3g", verbose=0), xc="TPSS")
    mf.grids.level = 1
    mf.kernel()
    water = results["OH2", "TPSS"]
    assert water["energy"] == pytest.approx(mf.e_tot, abs=1e-8)
    assert water["exc"] == pytest.approx(mf.scf_summary["exc"], abs=1e-6)
    dipole = sum(x * x for x in mf.dip_moment(verbose=0)) ** 0.5
    assert water["dipole"] == pytest.approx(dipole, abs=1e-4)
    gap = (mf.mo_energy[5] - mf.mo_energy[4]) * 27.211386
    assert water["gap"] == pytest.approx(gap, abs=1e-3)
    for name in ("OH2", "OH"):
        assert results[name, "PBE_clone"]["energy"] == pytest.approx(
            results[name, "PBE"]["energy"], abs=1e-8
        )
    assert len(printed.out.splitlines()) == 4 + 2 + 6
    assert f"{water['energy']:.6f}" in printed.out


def test_document_names_all_that_the_numbers_depend_on(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    assert _run("H2", "--xc", "0.5*PBE_clone+0.5*PBE", "--json", path, "--df") == 0
    document = _read(path)
    assert {"xcnet", "pyscf", "libxc", "numpy", "onnxruntime", "python"} <= set(
        document["versions"]
    )
    (functional,) = document["functionals"]
    (neural,) = functional["neural"]
    assert neural["name"] == "gga_xc_pbe_clone"
    assert len(neural["record_sha256"]) == len(neural["values_sha256"]) == 64
    assert document["settings"]["basis"] == "sto-3g"
    assert document["settings"]["density_fit"]
    assert document["molecules"][0]["symbols"] == ["H", "H"]


def test_atomization(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Atoms in their ground states, once for all molecules; the given atom is not done twice."""
    path = tmp_path / "out.json"
    assert _run("H2O", "OH", "O", "--xc", "PBE,PBE_clone", "--atomization", "--json", path) == 0
    document = _read(path)
    assert [m["name"] for m in document["molecules"]] == ["H2O", "OH", "O", "H"]
    results = {(r["molecule"], r["xc"]): r["energy"] for r in document["results"]}
    by_hand = results["O", "PBE"] + 2 * results["H", "PBE"] - results["H2O", "PBE"]
    rows = {(r["molecule"], r["xc"]): r for r in document["atomization"]}
    assert set(rows) == {(m, xc) for m in ("H2O", "OH") for xc in ("PBE", "PBE_clone")}
    water = rows["H2O", "PBE"]
    assert water["kcal_per_mol"] == pytest.approx(627.5095 * by_hand, abs=1e-3)
    assert rows["H2O", "PBE_clone"]["kcal_per_mol"] == pytest.approx(
        water["kcal_per_mol"], abs=1e-4
    )
    printed = capsys.readouterr().out
    assert f"{water['kcal_per_mol']:.1f}" in printed
    assert "experiment" in printed
    assert "232.6" in printed


def test_default_grid_is_the_finest_that_a_functional_needs(
    published: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["run", "H2", "--xc", "NN-metaGGA-Nagai2020,PBE", "--basis", "sto-3g"]) == 0
    assert "grid level 4 for all functionals" in capsys.readouterr().out
    assert _run("H2", "--xc", "NN-metaGGA-Nagai2020") == 0
    printed = capsys.readouterr().out
    assert "grid level 1" in printed
    assert "note: mgga_xc_nn_metagga_nagai2020 should have grid level 4" in printed


def test_exit_code_and_mark_of_what_does_not_converge(
    capsys: pytest.CaptureFixture[str],
) -> None:
    # Not a diatomic molecule: with so few orbitals the gradient can vanish to the last bit.
    assert _run("NH3", "--xc", "PBE", "--tolerance", "1e-30") == 1
    printed = capsys.readouterr()
    assert "NOT CONVERGED" in printed.out
    assert "NH3 with PBE did not converge" in printed.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("H2O", "--xc", "PBE", "--spin", "1"), "impossible"),
        (("H2O", "--xc", "PBQ"), "Did you mean"),
        (("H2O", "--xc", "0.5*nn-metaGgaa + 0.5*HF"), "functional 'nn-metaGgaa'. Did you mean"),
        (("H2O", "--xc", "NN-NRA-Nagai2020"), "models install nagai2020"),
        (("H2O", "--xc", "0.5*0.5*PBE"), "cannot read"),
        (("H2O", "--xc", "0.5*0.5*PBE_clone"), "cannot read"),
        (("H2O", "--xc", "MGGA_X_SCANL"), "Laplacian"),
        (("H2O", "--xc", " , "), "no functional"),
        (("H2O", "--xc", "PBE", "--basis", "def2-swp"), "def2svp"),
        (("Au 0 0 0", "--xc", "PBE", "--basis", "6-31g"), "lacks Au"),
        (("H2O", "N2", "--xc", "PBE", "--charge", "1"), "single molecule"),
        (("H2O", "--xc", "PBE", "--charge", "1", "--atomization"), "neutral"),
        (("H2O", "--xc", "PBE", "--json", "/nowhere/out.json"), "/nowhere/out.json"),
    ],
)
def test_bad_input_stops_before_the_first_calculation(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    # QUICK comes first: the case's own basis counts.
    assert cli.main(["run", *QUICK, *words]) == cli.EXIT_ERROR
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.out == ""


def test_interrupted_run_keeps_what_is_done(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    code = "import sys; from xcnet import cli; sys.exit(cli.main())"
    words = ["run", "H2", "C6H6", "--xc", "PBE,TPSS", "--basis", "def2-tzvp", "--json", str(path)]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if path.exists() and len(_read(path)["results"]) == 2:
            break
        time.sleep(0.05)
    time.sleep(0.5)  # the table's row comes after the file
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert process.returncode == cli.EXIT_INTERRUPTED, err
    document = _read(path)
    assert [r["molecule"] for r in document["results"]] == ["H2", "H2"]
    assert not document["complete"]
    assert "interrupted" in err
    assert out.count("H2 ") == 2
    assert [p.name for p in tmp_path.iterdir()] == ["out.json"]


def test_same_name_twice_stays_apart(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    assert _run("H 0 0 0; H 0 0 0.7", "H 0 0 0; H 0 0 0.8", "--xc", "PBE", "--json", path) == 0
    assert [r["molecule"] for r in _read(path)["results"]] == ["H2", "H2#2"]


def test_numbers_that_are_not_finite_become_null(tmp_path: Path) -> None:
    file = report.JsonFile(tmp_path / "out.json", {"gap": float("nan"), "list": [float("inf"), 1]})
    assert file.path is not None
    assert _read(file.path) == {"gap": None, "list": [None, 1]}


def test_missing_package_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['pyscf'] = None\n"
        "from xcnet import cli; sys.exit(cli.main(['run', 'H 0 0 0', '--xc', 'PBE']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == cli.EXIT_ERROR
    assert "pip install 'pyscf>=" in done.stderr


def test_a_molecule_with_an_element_s_name_is_not_the_atom(tmp_path: Path) -> None:
    path = _xyz(tmp_path, f"3\n\n{WATER.replace('; ', chr(10))}\n", "O.xyz")
    assert _run(path, "--xc", "PBE", "--atomization", "--json", tmp_path / "out.json") == 0
    document = _read(tmp_path / "out.json")
    assert [m["name"] for m in document["molecules"]] == ["O#1", "O", "H"]
    (row,) = document["atomization"]
    assert 150.0 < row["kcal_per_mol"] < 300.0


def test_a_file_without_suffix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _xyz(tmp_path, "1\n\nHe 0 0 0\n", "helium")
    monkeypatch.chdir(tmp_path)
    assert molecules.read("helium").symbols == ("He",)


@pytest.mark.parametrize("value", ["-1", "0", "nan", "inf", "small"])
def test_tolerance_must_be_positive(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        _run("H2", "--xc", "PBE", f"--tolerance={value}")
    assert caught.value.code == 2
    assert "--tolerance" in capsys.readouterr().err


def test_kinetic_functionals_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("H2", "--xc", "lda_k_tf") == 2
    assert "kinetic energy" in capsys.readouterr().err
