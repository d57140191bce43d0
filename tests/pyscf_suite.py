"""PySCF's own tests with ONNX clones in libxc's place: ``python -m tests.pyscf_suite``.

Runs each file twice, as it is and with `tests.pyscf_provider`, and compares the outcomes test by
test. The tests belong to the release of the PySCF that is installed. They are not in its packages
and not in this repository: they come from ``--source``, a checkout or archive of PySCF, or from
its repository on the network. Results are written to ``--output`` after each file;
files that are not run again keep their lines there.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pyscf

from tests.pyscf_provider import COUNTS

ROOT = Path(__file__).resolve().parent.parent
ARCHIVE = "https://github.com/pyscf/pyscf/archive/refs/tags/v{version}.tar.gz"
FILES = """
    dft/test/test_h2o dft/test/test_he dft/test/test_numint dft/test/test_numint2c
    dft/test/test_libxc grad/test/test_rks grad/test/test_uks tdscf/test/test_tdrks
    tdscf/test/test_tduks hessian/test/test_rks pbc/dft/test/test_krks pbc/dft/test/test_numint
    pbc/dft/test/test_gamma_vs_ks
""".split()
#: What PySCF's own configuration leaves out.
SELECTION = "not _high_cost and not _skip"

EITHER_WAY = "failed with and without the clones"
#: Why, by what is found in the message.
REASONS = {
    "'collinear_threshold'": "PySCF 2.14 needs a newer mcfun than any that is released (0.2.7)",
}

Outcomes = dict[str, tuple[str, str]]  # test -> (passed, failed or skipped; last line of message)


def tests_of(source: Path | None, version: str, folder: Path) -> Path:
    """Folder ``pyscf`` of a source tree of this version.

    Raises
    ------
    SystemExit
        It cannot be had, or is of another version; the message says what to do.
    """
    if source is None:
        source = _download(version, folder)
    if source.is_file():
        with tarfile.open(source) as archive:
            archive.extractall(folder, filter="data")
        source = folder
    package = next(iter(sorted(source.glob("**/pyscf/__init__.py"))), None)
    if package is None:
        raise SystemExit(f"{source} holds no source tree of PySCF")
    given = re.search(r"__version__ = '(.+)'", package.read_text(encoding="utf-8"))
    if given is None or given[1] != version:
        raise SystemExit(
            f"{package.parent} is PySCF {given[1] if given else '?'}, installed is {version}: "
            "tests and package must be of one release"
        )
    return package.parent


def _download(version: str, folder: Path) -> Path:
    url, path = ARCHIVE.format(version=version), folder / "pyscf.tar.gz"
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            path.write_bytes(answer.read())
    except OSError as error:
        raise SystemExit(
            f"PySCF's tests cannot be fetched from {url}: {error}. Get the source of PySCF "
            f"{version} some other way and name it: --source FOLDER-OR-ARCHIVE"
        ) from error
    return path


def _alone(test: Path, folder: Path) -> Path:
    """Copy of a test and its data outside of the package, so that the installed one is tested."""
    apart = folder / "_".join(test.parts[-4:-1])
    if not apart.is_dir():
        shutil.copytree(test.parent, apart)
    return apart / test.name


def run(
    test: Path, with_clones: bool, limit: float, folder: Path, selection: str = SELECTION
) -> tuple[Outcomes, Counter[str]]:
    """Outcome of each test of a file, and the evaluations by clones.

    A file with nothing but tests that PySCF leaves out is run whole.
    """
    report, counts = folder / "report.xml", folder / "counts.json"
    for path in (report, counts):
        path.unlink(missing_ok=True)
    plugin = ["-p", "tests.pyscf_provider"] if with_clones else []
    command = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, f"--rootdir={folder}"]
    command += ["--import-mode=importlib", "-k", selection, f"--junitxml={report}", *plugin]
    env = {**os.environ, "PYTHONPATH": str(ROOT), COUNTS: str(counts), "PYTHONHASHSEED": "0"}
    try:
        subprocess.run(
            [*command, "-p", "no:cacheprovider", str(test)],
            cwd=folder,
            env=env,
            timeout=limit,
            capture_output=True,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"(file)": ("failed", f"not done after {limit:.0f} s")}, Counter()
    if not report.is_file():
        return {"(file)": ("failed", "pytest did not start")}, Counter()
    used = Counter(json.loads(counts.read_text())) if counts.is_file() else Counter[str]()
    outcomes = dict(_outcomes(report))
    if not outcomes and selection:
        return run(test, with_clones, limit, folder, "")
    return outcomes, used


def _outcomes(report: Path) -> Iterator[tuple[str, tuple[str, str]]]:
    for case in ElementTree.parse(report).iter("testcase"):
        bad = next((child for child in case if child.tag in ("failure", "error")), None)
        if bad is not None:
            yield case.attrib["name"], ("failed", bad.attrib.get("message", "").strip())
        else:
            skipped = case.find("skipped") is not None
            yield case.attrib["name"], ("skipped" if skipped else "passed", "")


def row(name: str, plain: Outcomes, ours: Outcomes, used: Counter[str], seconds: float) -> str:
    """One line of the table."""
    cells = [
        f"{sum(outcome == 'passed' for outcome, _ in outcomes.values())}"
        f" + {sum(outcome == 'failed' for outcome, _ in outcomes.values())}"
        for outcomes in (plain, ours)
    ]
    return f"| {name} | {cells[0]} | {cells[1]} | {used.total()} | {seconds:.0f} |"


def findings(name: str, plain: Outcomes, ours: Outcomes) -> list[str]:
    """A line for each test that fails, or has another outcome with the clones."""
    lines = []
    for test in sorted(plain.keys() | ours.keys()):
        before, after = (outcomes.get(test, ("absent", "")) for outcomes in (plain, ours))
        if before[0] != after[0]:
            what = f"{before[0]} as it is, {after[0]} with the clones"
        elif after[0] == "failed":
            what = EITHER_WAY
        else:
            continue
        message = " ".join(after[1].split())[:300]
        why = [f" ({reason})" for part, reason in REASONS.items() if part in message]
        lines.append(f"- `{name}::{test}`: {what}: {message}{''.join(why)}")
    return lines


def _place(name: str) -> tuple[int, str]:
    return FILES.index(name) if name in FILES else len(FILES), name


def earlier(path: Path) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Lines of files that an output holds already, of the same PySCF."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    if f"# PySCF {pyscf.__version__}'s" not in text:
        return {}, {}
    rows = {match[1]: match[0] for match in re.finditer(r"^\| (\w+/\S+) \|.*$", text, re.MULTILINE)}
    lines = re.findall(r"^- `.*$", text, re.MULTILINE)
    return rows, {name: [x for x in lines if x.startswith(f"- `{name}::")] for name in rows}


def write(path: Path, rows: Mapping[str, str], changed: Mapping[str, list[str]]) -> None:
    """Result so far."""
    lines = [
        f"# PySCF {pyscf.__version__}'s own tests with ONNX clones in libxc's place",
        "",
        "| file | as it is: passed + failed | with the clones | evaluations by clones | time/s |",
        "| --- | ---: | ---: | ---: | ---: |",
        *(rows[name] for name in sorted(rows, key=_place)),
        "",
        "LDA_X, B88, PBE and TPSS are answered by the clones, alone and inside expressions such as "
        "B3LYP. `grid_response` of gradients, which is on by default for neural functionals, has "
        "PySCF's default here.",
        "",
        "## Failures and differences",
        "",
        *([line for lines_of_file in changed.values() for line in lines_of_file] or ["None."]),
        "",
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines), encoding="utf-8")


def main() -> int:
    """Run the files; 1 if any test has another outcome with the clones."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--source", type=Path, help="source tree or archive of this PySCF")
    parser.add_argument("--files", nargs="+", default=FILES, help="such as dft/test/test_he")
    parser.add_argument("--limit", type=float, default=1800.0, help="seconds for one file")
    parser.add_argument(
        "--output", type=Path, default=ROOT / "benchmarks" / "results" / "pyscf_suite.md"
    )
    arguments = parser.parse_args()
    rows, changed = earlier(arguments.output)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = tests_of(arguments.source, pyscf.__version__, folder)
        for file in arguments.files:
            start = time.perf_counter()
            test = _alone(source / f"{file}.py", folder)
            plain, _ = run(test, False, arguments.limit, folder)
            ours, used = run(test, True, arguments.limit, folder)
            changed[file] = findings(file, plain, ours)
            rows[file] = row(file, plain, ours, used, time.perf_counter() - start)
            print(rows[file], *changed[file], sep="\n", flush=True)
            write(arguments.output, rows, changed)
    lines = [line for findings_of_file in changed.values() for line in findings_of_file]
    return int(any(EITHER_WAY not in line for line in lines))


if __name__ == "__main__":
    sys.exit(main())
