"""Public sets of reactions: their files, their formats, and that no test set is trained on."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

from tests.training_sets import public_folder
from xcnet import cli
from xcnet.errors import InputError, InstallError
from xcnet.systems import gscdb, overlap, public_data, public_sets, training_sets
from xcnet.systems.molecules import Molecule, atom, read
from xcnet.systems.reactions import Reaction

NAMES = public_sets.names()
WATER = read("H2O")
#: Largest interaction, barrier or other energy of any set, Hartree; atoms' total energies aside.
LARGEST = 4.0


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """User's cache of one test, empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def _tests() -> list[Reaction]:
    for name in ("diet30", "diet100"):
        public_data.install(name, public_folder(name))
    return [r for name in ("diet30", "diet100") for r in training_sets.load(name).reactions]


@pytest.mark.parametrize("name", NAMES)
def test_each_says_what_it_is(name: str) -> None:
    public = public_sets.load(name)
    assert public.part in public_sets.PARTS
    assert len(public.sha256) == 64
    assert len(public.commit) == 40
    assert public.title
    assert public.citation
    assert public.licence


def test_every_set_loads_and_holds_no_row_of_a_test_set(cache: Path) -> None:
    tests = _tests()
    for name in NAMES:
        public = public_sets.load(name)
        if public.part == "test":
            continue
        public_data.install(name, public_folder(name))
        chosen = training_sets.load(name)
        overlap.refuse_reactions(chosen.reactions, tests)
        assert training_sets.gather([chosen])
        for reaction in chosen.reactions:
            charges = sum(n * system.charge for n, system in reaction.terms)
            if "ion" not in public.kind and public.kind not in ("atoms", "electron affinity"):
                assert charges == 0
            if public.kind != "atoms":
                nuclei = sum(n * (s.electrons + s.charge) for n, s in reaction.terms)
                assert nuclei == 0
                assert abs(reaction.reference) < LARGEST


def test_weights_are_those_of_wtmad_2(cache: Path) -> None:
    """56.84 over the mean absolute energy of the set: 0.19 for W4-11, 10.40 for S66."""
    for test in _tests():
        name = test.name.rpartition("-")[0]
        if name == "W4-11":
            assert test.weight == 0.19
        if name == "S66":
            assert test.weight == 10.40


def test_overlap_knows_reactions_by_what_they_are() -> None:
    def barrier(name: str, coefficient: int = 1) -> Reaction:
        return Reaction(name, ((coefficient, WATER), (-coefficient, read("H2"))), 0.0)

    other = Reaction("other", ((1, WATER), (-1, read("CH4"))), 0.0)
    known = overlap.known_reactions([barrier("a"), other], [barrier("test", -2)])
    assert known == {"a": "test"}
    methane = Reaction("m", ((-1, read("CH4")), (1, atom("C")), (4, atom("H"))), 0.0)
    with pytest.raises(InputError, match="m is CH4 of a test set"):
        overlap.refuse_reactions([methane])
    ionized = Reaction("i", ((-1, read("CH4")), (1, read("CH4", 1, 1))), 0.0)
    overlap.refuse_reactions([ionized])  # not an atomization energy


def test_altered_data_are_refused(cache: Path, tmp_path: Path) -> None:
    text = (public_folder("ae18") / "AE18.json").read_text()
    given = tmp_path / "given.json"
    given.write_text(text.replace("-313.754737", "-313.754736"))
    with pytest.raises(InputError, match="not the data of ae18"):
        public_data.install("ae18", given)
    given.write_text('{"molecules": [1]}')
    with pytest.raises(InputError, match="no reactions of this form"):
        public_data.install("ae18", given)


def test_several_sets_by_one_command(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(public_folder("ae18"))
    assert cli.main(["train", "data", "ae18", "dbh22", "--from", folder]) == 0
    assert len(capsys.readouterr().out.split()) == 2
    assert len(training_sets.load("dbh22").reactions) == 21  # one is in diet100


def test_diets_are_taken_from_files_only(cache: Path) -> None:
    with pytest.raises(InstallError, match="diet30 are not downloaded"):
        public_data.install("diet30")


def test_fields_of_q_chem_turn_their_sign(cache: Path) -> None:
    """HF's dipole moment points from F to H: the energy falls along it."""
    public_data.install("dip146", public_folder("dip146"))
    (fluoride,) = [r for r in training_sets.load("dip146").reactions if r.terms[0][1].name ==
                   "Dip146_AlF2+"]  # fmt: skip
    plus, minus = (public.field for _, public in fluoride.terms)
    assert plus == (-0.0, -0.0, -1e-4)
    assert minus == (-0.0, -0.0, 1e-4)
    # Al at the origin, F above: mu_z < 0, and -field . mu is lower for the field along it.
    assert fluoride.reference < 0.0


def _book(rows: list[list[str]]) -> bytes:
    """Table with shared strings, as a spreadsheet program writes it."""
    words = sorted({word for row in rows for word in row})
    main = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    strings = "".join(f"<si><t>{escape(word)}</t></si>" for word in words)
    cells = "".join(
        "<row>"
        + "".join(
            f'<c r="{letter}{i}" t="s"><v>{words.index(word)}</v></c>'
            for letter, word in zip("ABCD", row, strict=True)
        )
        + "</row>"
        for i, row in enumerate(rows, 1)
    )
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as book:
        book.writestr("xl/sharedStrings.xml", f"<sst {main}>{strings}</sst>")
        book.writestr("xl/worksheets/sheet1.xml", f"<worksheet {main}>{cells}</worksheet>")
    return stream.getvalue()


def _repository(files: dict[str, bytes]) -> Callable[[str], bytes]:
    return lambda path: files[path]


XYZ = (
    b"2\ncharge=-1, multiplicity=2, basis=x, multipole_field={'z': 0.01}, more=1\n"
    b"H 0 0 1e-8\nO 0 0 0.97\n"
)
TABLE = [["Reaction", "Dataset", "Reference", "Stoichiometry"], ["r", "S", "0.5", "1,a,-1,a"]]


def test_gscdb_is_read() -> None:
    files = {gscdb.TABLE: _book(TABLE), "xyz_files/a.xyz": XYZ}
    records = gscdb.convert("S", 1, _repository(files))
    assert records["reactions"] == [
        {
            "id": "r",
            "species": ["a", "a"],
            "coefficients": [1, -1],
            "reference_kcal_per_mol": 313.754737,
        }
    ]
    (system,) = records["molecules"]
    assert system["positions_angstrom"] == [[0.0, 0.0, 0.0], [0.0, 0.0, 0.97]]
    assert system["multipole_field"] == [0.0, 0.0, 0.01]
    assert (system["charge"], system["multiplicity"]) == (-1, 2)
    with pytest.raises(InputError, match="no reactions of S"):
        gscdb.convert("S", 0, _repository(files))  # oxygen is one too many


@pytest.mark.parametrize(
    "wrong",
    [
        {"xyz_files/a.xyz": XYZ.replace(b"charge=-1, ", b"")},
        {"xyz_files/a.xyz": XYZ.replace(b"0.97", b"up")},
        {"xyz_files/a.xyz": XYZ.replace(b"O ", b"Oh ")},
        {"xyz_files/a.xyz": XYZ.replace(b"'z': 0.01", b"'q': 0.01")},
        {gscdb.TABLE: b"junk"},
        {gscdb.TABLE: _book([*TABLE[:1], ["r", "S", "0.5", "1,a,-1"]])},
        {gscdb.TABLE: _book([*TABLE[:1], ["r", "S", "half", "1,a"]])},
    ],
)
def test_other_files_are_refused(wrong: dict[str, bytes]) -> None:
    files = {gscdb.TABLE: _book(TABLE), "xyz_files/a.xyz": XYZ} | wrong
    with pytest.raises(InputError, match="is not such"):
        gscdb.convert("S", 1, _repository(files))


def test_molecules_of_sets_are_complete() -> None:
    record = {"name": "a", "charge": 0, "multiplicity": 1, "symbols": ["He"],
              "positions_angstrom": [[0, 0, 0]], "multipole_field": None}  # fmt: skip
    row = {"id": "r", "species": ["a"], "coefficients": [1], "reference_kcal_per_mol": 1.0}
    data = {"molecules": [record], "reactions": [row]}
    (system,), (reaction,) = public_sets.load("ae18").contents(data)
    assert system == Molecule("a", ("He",), ((0.0, 0.0, 0.0),))
    assert reaction.terms == ((1, system),)
