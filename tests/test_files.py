"""Geometries in files as people have them: every one is read rightly or refused with its line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ase", reason="other formats than XYZ are read by ASE")

from ase import Atoms
from ase.io import write

from xcnet.errors import InputError, SpinError
from xcnet.systems.molecules import Molecule, read

WATER = ((0.0, 0.0, 0.119), (0.0, 0.763, -0.477), (0.0, -0.763, -0.477))
BODY = "O 0 0 0.119\nH 0 0.763 -0.477\nH 0 -0.763 -0.477\n"


def _read(folder: Path, text: str | bytes, name: str = "water.xyz", **options: Any) -> Molecule:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read(str(path), **options)


@pytest.mark.parametrize(
    "text",
    [
        f"\n \n3\n\n{BODY}\n\n",
        f"3\n\n{BODY.replace('O', '8').replace('H', 'D', 1).replace('H', 't')}",
        "3\n\nO1 0.0D0 0 1.19d-01\nH2 0 7.63E-1 -0.477\nH3 0 -7.63D-01 -4.77D-01",
        f"3\n\n{BODY}".replace("\nH", " water OW 1 ?\nH"),
        f"3\nl\xe4nge in \xc5\x85\n{BODY}".encode("latin-1"),
        b"\xef\xbb\xbf" + f"3\n\n{BODY}".replace("\n", "\r\n").encode(),
        "3\nProperties=species:S:1:forces:R:3:pos:R:3\n"
        + BODY.replace(" ", " 9 9 9 ", 1).replace("\nH ", "\nH 9 9 9 "),
    ],
    ids=["blank", "isotopes", "fortran", "columns", "latin-1", "windows", "forces first"],
)
def test_water_in_many_dresses(text: str | bytes, tmp_path: Path) -> None:
    molecule = _read(tmp_path, text)
    assert molecule.symbols == ("O", "H", "H")
    for found, expected in zip(molecule.positions, WATER, strict=True):
        assert found == pytest.approx(expected)
    assert (molecule.charge, molecule.spin) == (0, 0)


FRAMES = "".join(f"1\nframe {i}\nHe 0 0 {i}.0\n\n" for i in (1, 2, 3))


@pytest.mark.parametrize(("frame", "z"), [(1, 1.0), (3, 3.0), (-1, 3.0), (-3, 1.0)])
def test_frames(frame: int, z: float, tmp_path: Path) -> None:
    assert _read(tmp_path, FRAMES, frame=frame).positions == ((0.0, 0.0, z),)


def test_frames_that_are_not_chosen_or_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"3 geometries: choose one with --frame, 1 to 3, or -1"):
        _read(tmp_path, FRAMES)
    for frame in (0, 4, -4):
        with pytest.raises(InputError, match=f"no geometry {frame}: it holds 3"):
            _read(tmp_path, FRAMES, frame=frame)


@pytest.mark.parametrize(
    ("comment", "charge", "spin"),
    [
        ("charge=1 multiplicity=2", 1, 1),
        ('charge="-1" spin=1', -1, 1),
        ("charge=0 spin=1", 0, 0),  # a multiplicity: ten electrons have no single one unpaired
        ("spin=3", 0, 2),
        ("spin=2", 0, 2),
        ("Charge=2 MULT=3", 2, 2),
        ("energy=-76.4 note='charge of none'", 0, 0),
    ],
)
def test_charge_and_spin_of_a_comment(comment: str, charge: int, spin: int, tmp_path: Path) -> None:
    molecule = _read(tmp_path, f"3\n{comment}\n{BODY}")
    assert (molecule.charge, molecule.spin) == (charge, spin)


def test_words_of_the_command_come_before_those_of_the_file(tmp_path: Path) -> None:
    text = f"3\ncharge=1 multiplicity=4\n{BODY}"
    assert _read(tmp_path, text, spin=1).spin == 1
    neutral = _read(tmp_path, text, charge=0)
    assert (neutral.charge, neutral.spin) == (0, 0)


@pytest.mark.parametrize(
    ("comment", "error", "message"),
    [
        ("charge=0.5", InputError, r"line 2: '0.5' is no whole number \(charge\)"),
        ("multiplicity=two", InputError, "line 2: 'two'"),
        ("charge=0 multiplicity=2", SpinError, "1 unpaired electrons are impossible"),
    ],
)
def test_wrong_words_of_a_comment(
    comment: str, error: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        _read(tmp_path, f"3\n{comment}\n{BODY}")


@pytest.mark.parametrize("suffix", "pdb sdf mol cif gen json extxyz vasp traj".split())
def test_formats_of_ase(suffix: str, tmp_path: Path) -> None:
    atoms = Atoms("OH2", WATER)
    periodic = suffix in ("cif", "vasp")
    if periodic:
        atoms.set_cell([8.0, 8.0, 8.0])
        atoms.center()
        atoms.pbc = True
    path = tmp_path / f"water.{suffix}"
    if suffix in ("sdf", "mol"):
        path.write_text(MOL)
    else:
        write(path, atoms)
    notes: list[str] = []
    molecule = read(str(path), note=notes.append)
    assert sorted(molecule.symbols) == ["H", "H", "O"]
    distances = Atoms(molecule.symbols, molecule.positions).get_all_distances()
    assert distances.max() == pytest.approx(2 * 0.763, abs=2e-3)
    assert [bool("periodic cell: its 3 atoms" in note) for note in notes] == [True] * periodic


MOL = """water
  made by hand

  3  2  0  0  0  0  0  0  0  0999 V2000
    0.0000    0.0000    0.1190 O   0  0
    0.0000    0.7630   -0.4770 H   0  0
    0.0000   -0.7630   -0.4770 H   0  0
  1  2  1  0
  1  3  1  0
M  END
"""


def test_formal_charges_of_a_mol_file(tmp_path: Path) -> None:
    text = MOL.replace("M  END", "M  CHG  2   1   2   2  -1\nM  END")
    molecule = _read(tmp_path, text, "ion.mol")
    assert (molecule.charge, molecule.spin) == (1, 1)


def test_moments_that_ase_reads(tmp_path: Path) -> None:
    path = tmp_path / "oxygen.json"
    write(path, Atoms("O2", [(0, 0, 0), (0, 0, 1.2)], magmoms=[1, 1]))
    assert read(str(path)).spin == 2


def test_what_ase_cannot_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"water\.pdb cannot be read by ASE|holds no atom"):
        _read(tmp_path, "nothing of that kind\n", "water.pdb")
    with pytest.raises(InputError, match=r"water\.strange cannot be read by ASE"):
        _read(tmp_path, "nothing of that kind\n", "water.strange")
    with pytest.raises(InputError, match=r"absent\.cif cannot be read: No such file"):
        read(str(tmp_path / "absent.cif"))


def test_names_that_people_say() -> None:
    assert read("benzene").name == "C6H6"
    assert read("Acetic-Acid").symbols.count("O") == 2
    assert read("water").positions == read("H2O").positions
    with pytest.raises(InputError, match=r"Near names in G2: benzene \(C6H6\)"):
        read("benzen")
