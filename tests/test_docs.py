"""The documentation: its examples run, what is generated is complete, its reports are current."""

from __future__ import annotations

import ast
import builtins
import hashlib
import importlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("jinja2", reason="the documentation's examples need the check extra")
pytest.importorskip("pyscf", reason="the documentation's examples need the pyscf extra")
pytest.importorskip("torch", reason="the documentation's examples need the train extra")

import xcnet
from docs import generate
from docs.generate import commands as reference
from docs.generate import messages, paper, reports, sources
from tests.docs_pages import NOT_RUN, ROOT, agrees, blocks, commands, pages
from tests.hosts import need, need_libxc_headers
from xcnet import cli, errors, paths

LANGUAGES = {"python", "text", "console", "psi4"}
DIRECTIVES = {"{toctree}", "{include}", "{literalinclude}", "{eval-rst}"}
TEXTS = {str(page.relative_to(ROOT / "docs")): page.read_text("utf-8") for page in pages()}
RUN = [
    name
    for name in TEXTS
    if any(block.language in ("python", "console") for block in blocks(ROOT / "docs" / name))
]


# -- examples ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RUN)
def test_examples(name: str, tmp_path: Path) -> None:
    """In a process, a folder and a home of their own, with the command that is installed."""
    if "$ gcc" in TEXTS[name]:
        need_libxc_headers()
        need("gfortran is not installed", shutil.which("gfortran") is not None)
    home = tmp_path / "home"
    work = tmp_path / "work"
    for folder in (home, work):
        folder.mkdir()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.docs_pages", ROOT / "docs" / name, work],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=ROOT,
        env={**os.environ, "HOME": str(home), "XDG_DATA_HOME": str(home), "PATH": path},
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", TEXTS)
def test_every_block_is_of_a_kind_that_is_run(name: str) -> None:
    languages = {block.language for block in blocks(ROOT / "docs" / name)}
    assert languages <= LANGUAGES | DIRECTIVES
    assert TEXTS[name].count("```") == 2 * len(blocks(ROOT / "docs" / name))


def test_there_is_something_to_run() -> None:
    assert len(RUN) >= 10
    lines = [c for n in RUN for b in blocks(ROOT / "docs" / n) for c, _ in commands(b)]
    assert sum(not NOT_RUN.match(command) for command in lines) >= 12


NEVER_RUN = [
    command
    for name in RUN
    for block in blocks(ROOT / "docs" / name)
    if block.language == "console"
    for command, _ in commands(block)
    if NOT_RUN.match(command)
]


@pytest.mark.parametrize("command", sorted(set(NEVER_RUN)))
def test_other_commands_exist(command: str) -> None:
    program, *words = shlex.split(command)
    if program == "xcnet" and words[0] != "exec":
        words, chosen = cli._join_pair(words, words[0])
        cli._parser(chosen).parse_args(words)
    elif program == "pip":
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        extras = {e for word in words for e in re.findall(r"\w+(?=[\w,]*\])", word)}
        assert words[0] == "install"
        assert extras <= set(project["optional-dependencies"])
    elif program == "make":
        assert re.search(rf"^{words[0]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_makefile_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for text in TEXTS.values():
        for target in re.findall(r"`make ([\w-]+)`", text):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize("name", TEXTS)
def test_files_and_modules_exist(name: str) -> None:
    text = re.sub(r"^```.*?^```$", "", TEXTS[name], flags=re.DOTALL | re.MULTILINE)
    for path in re.findall(
        r"`((?:models|benchmarks|docs|examples|tests|xcnet|adapters)/[\w./-]+)`", text
    ):
        assert (ROOT / path).exists(), path
    for words in set(re.findall(r"`(xcnet(?:\.\w+)+)", text)) - NO_MODULES:
        _resolve(words)


def test_links_of_the_readme() -> None:
    """Sphinx holds those of the pages."""
    links = re.findall(r"\]\((docs/[^)#]+\.md)(#[^)]*)?\)", (ROOT / "README.md").read_text("utf-8"))
    assert len(links) >= 8
    for path, anchor in links:
        titles = re.findall(r"^#+ (.*)$", (ROOT / path).read_text("utf-8"), re.MULTILINE)
        slugs = {"#" + re.sub(r"[^\w-]", "", title.lower().replace(" ", "-")) for title in titles}
        assert anchor in slugs | {""}, (path, anchor)


#: A group of entry points, keys of a graph's metadata, and a place that is to be filled.
NO_MODULES = {
    *("xcnet.models", "xcnet.adapters.NAME"),
    *("xcnet.thresholds.density", "xcnet.order", "xcnet.spin"),
}


def _resolve(dotted: str) -> None:
    """Import a dotted name; the last words may be attributes."""
    parts = dotted.split(".")
    for count in range(len(parts), 0, -1):
        try:
            target: Any = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[count:]:
            target = getattr(target, attribute)
        return


@pytest.mark.parametrize(
    ("expected", "given", "same"),
    [
        ("a 1.234 b\n...\nend", "a 1.235 b\n junk\nmore\nend\n", True),
        ("a 1.234", "a 1.239", False),
        ("a", "a b", False),
        ("a ... b", "a b", True),
        ("-1.15... x", "-1.1523 x", True),
        ("-1.15... x", "-1.2523 x", False),
        ("-1.15... ...\n-3.1", "-1.1523 2.2\n-3.1", True),
        ("-1.15... ...\n-3.1", "-1.1523 2.2\n-3.5", False),
    ],
)
def test_outputs_are_compared(expected: str, given: str, same: bool) -> None:
    assert agrees(expected, given) is same


# -- generated parts -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", TEXTS)
def test_generated_parts_are_filled(name: str) -> None:
    assert "<!-- generated" not in generate.fill(TEXTS[name])


def test_every_generator_is_used() -> None:
    used = set(re.findall(r"<!-- generated: ([\w-]+)", " ".join(TEXTS.values())))
    assert used == set(generate.GENERATORS)


def test_the_papers_errors_stand_beside_the_measured_ones() -> None:
    """The same mean errors as in the table of all functionals, and fewer molecules without F."""
    head, _, *lines = paper.beside().splitlines()
    assert head.count("without 18 with F") == 2
    for line in lines:
        name, _, known, experiment = (cell.strip(" `") for cell in line.split("|")[1:5])
        assert f"| {name} | {known} | {experiment} |" in TEXTS["accuracy.md"]


def test_every_error_class_has_its_section() -> None:
    sections = re.findall(
        r"^### (\w+)\n\n.*?<!-- generated: errors (\w+) -->",
        TEXTS["errors.md"],
        re.DOTALL | re.MULTILINE,
    )
    assert all(title == argument for title, argument in sections)
    assert {title for title, _ in sections} == set(sources.CLASSES)
    for title, _ in sections:
        bases = [b.__name__ for b in getattr(errors, title).__mro__ if b.__module__ == "builtins"]
        if title != "XCNetError":
            assert f"### {title}\n\n(`{bases[0]}`)" in TEXTS["errors.md"]


def test_every_error_is_in_the_index() -> None:
    """Whatever is raised is an error of xcnet, made where the index has looked, or stays inside."""
    page = generate.fill(TEXTS["errors.md"])
    sites = sources.sites(*sources.CLASSES)
    assert len(sites) > 250
    for site in sites:
        assert site.messages, site
        for message in site.messages:
            if re.sub("⟨.*?⟩", "", message):
                assert f"- {messages.shown(message)} <span" in page, site


def test_every_message_of_the_c_library_is_in_the_index() -> None:
    page = generate.fill(TEXTS["errors.md"])
    c_messages = sources.of_library()
    assert all(f"- {messages.shown(message)}" in page for message in c_messages)
    for path in (ROOT / "adapters" / "libxc").glob("*.c"):
        for text in re.findall(r'\bfail\(\s*"([^"]*)', path.read_text()):
            start = re.split("%(?:zu|d|s)", text.removeprefix("%s"))[0]
            assert text == "%s" or any(start in message for message in c_messages), text


def test_every_raise_is_known() -> None:
    """It makes an error of xcnet, calls a function that does, or stays inside the package."""
    nodes = [(module.name, node) for module in sources.modules() for node in ast.walk(module.tree)]
    makers = {n.name for _, n in nodes if isinstance(n, ast.FunctionDef) and _makes_errors(n)}
    for module, node in nodes:
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            name = sources.called(node.exc)
            # "": argparse's own; the other is what ASE's programs catch.
            others = ("", "_Stalled", "PropertyNotImplementedError")
            inside = hasattr(builtins, name) or name in others
            assert name in sources.CLASSES or name in makers or inside, (module, node.lineno)


def _makes_errors(function: ast.FunctionDef) -> bool:
    calls = (node for node in ast.walk(function) if isinstance(node, ast.Call))
    return any(sources.called(call) in sources.CLASSES for call in calls)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: xcnet.functional("NN-r2SCANN"),
        lambda: xcnet.functional("PBE", 3),
        lambda: xcnet.functional("PBE").compute({"rho": [1.0]}),
        lambda: xcnet.functional("PBE").compute({"rho": [np.nan], "sigma": [1.0]}),
        lambda: xcnet.functional("NN-r2SCAN").compute([1.0], [1.0], [1.0], do_lxc=True),
        lambda: xcnet.functional("PBE + "),
        lambda: xcnet.functional("PBE").get_hyb_exx_coef(),
        lambda: xcnet.functional(1.5),  # type: ignore[arg-type]
    ],
)
def test_what_is_said_is_in_the_index(wrong: Callable[[], object]) -> None:
    with pytest.raises(errors.XCNetError) as caught:
        wrong()
    said = str(caught.value)
    templates = {m for s in sources.sites(type(caught.value).__name__) for m in s.messages}
    patterns = [".*".join(map(re.escape, re.split("'?⟨.*?⟩'?", text))) for text in templates]
    assert any(re.fullmatch(p, said, re.DOTALL) for p in patterns if p.strip(".*")), said


def test_every_argument_is_in_the_reference() -> None:
    text = generate.fill(TEXTS["commands.md"])
    for name in cli.COMMANDS:
        assert f"## xcnet {name}\n" in text
        for action in reference.parser(name)._actions:
            for option in set(action.option_strings) - {"-h", "--help"}:
                assert re.search(rf"`[^`\n]*{re.escape(option)}\b", text), (name, option)


def test_environment_variables_are_those_of_the_sources() -> None:
    listed = set(re.findall(r"^\| `(XCNET_\w+)`", TEXTS["commands.md"], re.MULTILINE))
    used = {
        node.value
        for module in sources.modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Constant) and re.fullmatch(r"XCNET_\w+", str(node.value))
    }
    for path in (ROOT / "adapters/libxc").glob("*.c"):
        used |= set(re.findall(r'"(XCNET_\w+)"', path.read_text(encoding="utf-8")))
    assert listed == used


def test_fields_of_the_record_are_those_of_the_schema() -> None:
    table = generate.fill("<!-- generated: record -->")
    schema = json.loads((paths.models_folder() / "schema.json").read_text())
    for name in schema["properties"]:
        assert f"| `{name}`" in table


# -- reports -------------------------------------------------------------------------------------


def test_every_shipped_functional_has_its_report() -> None:
    """`make docs-reports` makes them."""
    shipped = sorted(path.parent for path in paths.models_folder().glob("*/model.json"))
    hashes = (reports.FOLDER / "SHA256SUMS").read_text().split()
    listing = reports.listing()
    assert len(shipped) == len(list(reports.FOLDER.glob("*.html"))) >= 1
    for folder in shipped:
        report = reports.read(reports.FOLDER / f"{folder.name}.json")
        assert report["version"] == xcnet.__version__
        assert len(report["results"]) > 40
        assert [row["name"] for row in report["results"] if row["verdict"] == "fail"] == []
        # Of the values, not of the record, whose prose may change.
        given = hashlib.sha256((folder / "reference.npz").read_bytes()).hexdigest()
        assert hashes[hashes.index(f"models/{folder.name}/reference.npz") - 1] == given
        assert f"reports/{folder.name}.html" in listing
        page = (reports.FOLDER / f"{folder.name}.html").read_text()
        assert folder.name in page
