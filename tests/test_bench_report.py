"""The report page, its figures, and README tables that are those of the committed results."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ase", reason="xcnet bench report needs the bench extra")
pytest.importorskip("jinja2", reason="xcnet bench report needs the bench extra")
pytest.importorskip("matplotlib", reason="xcnet bench report needs the bench extra")

from tests.bench_records import atomization_records, speed_records
from xcnet import cli
from xcnet.bench import report
from xcnet.bench.report import page as report_page
from xcnet.bench.report import readme
from xcnet.errors import BenchmarkError, InputError
from xcnet.systems import sets

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
AE6 = sets.load("ae147").quick["only"]
ERRORS = {
    "PBE": dict(
        zip(sets.load("ae147").quick["only"], (1.0, -2.0, 3.0, 4.0, 5.0, 6.0), strict=True)
    ),
    "r2SCAN": {"SiH4": -1.5, "S2": 2.5, "SiO": 0.5, "COF2": 9.0},
}


class _Page(HTMLParser):
    """Collects what a page refers to, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [v or "" for key, v in attrs if key in ("src", "srcset", "href")]
        if tag not in ("meta", "img", "source"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data.strip())


def _write(path: Path, records: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with results of known errors, one calculation without a result, and of speed."""
    folder = tmp_path_factory.mktemp("results")
    records = [r for xc, errors in ERRORS.items() for r in atomization_records(errors, xc)]
    failed = {**records[0], "system": "N2", "status": "failed", "error": "more than 6 GB"}
    _write(folder / "ae147.jsonl", [*records, failed])
    _write(folder / "speed.jsonl", speed_records())
    return folder


@pytest.fixture(scope="module")
def page(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    files = [str(results / "ae147.jsonl"), str(results / "speed.jsonl")]
    assert cli.main(["bench", "report", *files, "--output", str(folder)]) == 0
    return folder


def test_page_is_one_file_with_everything_in_it(page: Path) -> None:
    parsed = _Page((page / "index.html").read_text())
    assert not parsed.open
    assert len(parsed.sources) == 10
    assert all(source.startswith("data:image/png;base64,") for source in parsed.sources)
    made = {path.name for path in page.glob("*.png")}
    names = ("ae147-errors", "ae147-scatter", "ae147-cycles", "speed-time", "speed-memory")
    assert made == {f"{name}{theme}.png" for name in names for theme in ("", "-dark")}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in page.glob("*.png"))


def test_page_says_what_was_found(page: Path) -> None:
    words = _Page((page / "index.html").read_text()).words
    text = html.unescape(" ".join(words))
    assert "6-311++G(3df,3pd), grid level 3" in text  # the protocol
    assert "without COF2" in text
    for cell in ("6/147", "3.50", "+2.83", "+6.00", "cyclobutane"):  # PBE
        assert cell in words
    for cell in ("3/147", "1.50", "+0.50", "4/148", "3.38"):  # r2SCAN, without and with COF2
        assert cell in words
    assert "more than 6 GB" in words  # nothing is dropped
    assert words.index("COF2") < words.index("SiH4", words.index("Worst cases, kcal/mol"))


def test_light_and_dark(page: Path) -> None:
    text = (page / "index.html").read_text()
    assert text.count("prefers-color-scheme: dark") == 1 + 5  # style sheet and figures
    from matplotlib import image

    for theme, low, high in (("", 0.95, 1.0), ("-dark", 0.0, 0.1)):
        corner = image.imread(page / f"ae147-errors{theme}.png")[2, 2, :3]
        assert low <= corner.mean() <= high


def test_chosen_functionals_only(results: Path, tmp_path: Path) -> None:
    file = str(results / "ae147.jsonl")
    words = ["bench", "report", file, "--xc", "r2SCAN", "--output", str(tmp_path)]
    assert cli.main(words) == 0
    assert "PBE" not in _Page((tmp_path / "index.html").read_text()).words


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--xc", "SVWN"], "no results of SVWN"),
        (["--scatter", "PBE,SVWN"], "--scatter needs two of: PBE, PBE-D4, r2SCAN, r2SCAN-D4"),
        (["--output", "/dev/null/page"], "cannot write the report"),
        (["--readme", "/dev/null/README.md"], "cannot read"),
        (["no.jsonl"], "cannot read no.jsonl"),
    ],
)
def test_wrong_requests(
    words: list[str],
    message: str,
    results: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    line = ["bench", "report", str(results / "ae147.jsonl"), *words]
    assert cli.main(line) == cli.EXIT_ERROR
    assert message in capsys.readouterr().err


def test_no_results_at_all(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no results file \(a24\.jsonl"):
        report.default_files(tmp_path)


# -- README --------------------------------------------------------------------------------------


def test_readme_is_updated_between_its_marks(results: Path, tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    begin, end = readme.MARKS["bench"]
    path.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    content = report.read([results / "ae147.jsonl", results / "speed.jsonl"])
    assert readme.update(path, *content)
    assert not readme.update(path, *content)
    text = path.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    row = re.escape("| PBE | 6 of 147 | 3.50 | 3.50 | +2.83 | +6.00 (cyclobutane) |")
    assert re.search(row, text)
    assert "AE147 leaves out COF2" in text
    assert "| whole SCF: xcnet NN-metaGGA-Nagai2020 / xcnet M06-L | 1.25 | 1.3 | yes |" in text


def test_readme_without_marks_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text("no marks")
    with pytest.raises(InputError, match="lacks the marks"):
        readme.update(path, [], [])
    assert path.read_text() == "no marks"


@pytest.mark.parametrize(
    ("path", "kind", "render"),
    [
        ("README.md", "bench summary", readme.summary),
        ("docs/accuracy.md", "bench", readme.render),
    ],
)
def test_tables_agree_with_the_committed_results(path: str, kind: str, render: Any) -> None:
    """`make bench-report` brings them up to date."""
    begin, end = readme.MARKS[kind]
    made = render(*report.read(report.default_files(RESULTS)))
    assert f"{begin}\n{made}{end}" in (ROOT / path).read_text()


def test_summary_is_short() -> None:
    made = readme.summary(*report.read(report.default_files(RESULTS)))
    assert len(re.findall(r"^\|", made, re.MULTILINE)) <= 2 + len(readme.SUMMARY)
    assert set(readme.SUMMARY) == set(re.findall(r"^\| (\w[\w-]+) \|", made, re.MULTILINE))


def test_pictures_of_readme_and_pages(tmp_path: Path) -> None:
    content = report.read(report.default_files(RESULTS))
    for path in report_page.pictures(*content, tmp_path):
        assert path.read_bytes().startswith(b"\x89PNG")
        assert (ROOT / "docs/static" / path.name).is_file()
    with pytest.raises(BenchmarkError, match="cannot write"):
        report_page.pictures(*content, tmp_path / "none")


def test_committed_results_follow_the_protocol() -> None:
    for section in report.read(report.default_files(RESULTS))[0]:
        assert replace(section.protocol, density="") == section.set.protocol
