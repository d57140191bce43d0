"""The package's shape: who imports whom, where the heavy packages live, how light an import is."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import xcnet

ROOT = Path(__file__).resolve().parent.parent

#: From the bottom up: a package, or a module beside them, imports only from lower rows. Each
#: adapter is a package of its own.
LAYERS: tuple[frozenset[str], ...] = tuple(
    frozenset(row.split())
    for row in (
        "errors citation elf files",
        "extras rooms threads",
        "operators",
        "rows variables",
        "_libxc_signatures arguments catalogue download page paths sample shared_library",
        "_libxc_library spec systems",
        "libxc density graphs",
        "domain enhancement registry seal tape",
        "engine",
        "dispersion expression terms",
        "stages",
        "facts grid native",
        "functionals preparation",
        "adapters adapters/_patch",
        "adapters/pyscf adapters/psi4",
        "adapters/gpu4pyscf adapters/pyscf_conf scf",
        "adapters/ase job plot references",
        "check",
        "export install",
        "training",
        "published",
        "bench",
        "commands compat cli",
    )
)
#: A heavy package, and the only modules (or packages) that may import it.
HOMES = {
    "ase": {"adapters/ase", "systems"},
    "ctypes": {
        "libxc",
        "_libxc_signatures",
        "_libxc_library",
        "native",
        "shared_library",
        "tape",
        "adapters/pyscf/dispersion",
    },
    "distributed": {"scf"},
    "fastjsonschema": {"spec", "training/recipe"},
    "gpu4pyscf": {"adapters/gpu4pyscf"},
    "jinja2": {"page"},
    "matplotlib": {"page", "training/publish"},
    "numba": {"operators"},
    "onnx": {"export"},
    "onnxruntime": {"engine"},
    "platformdirs": {"paths", "registry"},
    "psi4": {"adapters/psi4"},
    "pyscf": {
        "adapters/ase",
        "adapters/gpu4pyscf",
        "adapters/pyscf",
        "bench",
        "references",
        "scf",
        "training",
    },
    "torch": {"bench/speed", "export", "published", "training"},
    "tqdm": {"bench", "check", "job", "references", "scf", "training"},
}
FORBIDDEN = {"pylibxc", "pickle", "dill", "cloudpickle"}


def _sources() -> Iterator[tuple[str, Path]]:
    """Each module as its path within the package (``adapters/pyscf/facade``) and its file."""
    for folder, prefix in ((ROOT / "xcnet", ""), (ROOT / "adapters", "adapters/")):
        for path in sorted(folder.rglob("*.py")):
            name = prefix + path.relative_to(folder).with_suffix("").as_posix()
            yield name.removesuffix("/__init__"), path


def _imports(path: Path) -> Iterator[str]:
    """Dotted names that a file imports anywhere, except for type checking only."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = path.relative_to(ROOT).parts[:-1][: 1 - node.level or None]
            source = ".".join([*(package if node.level else ()), *filter(None, [node.module])])
            yield from (f"{source}.{alias.name}" for alias in node.names)


MODULES = dict(_sources())
IMPORTS = {name: sorted(set(_imports(path))) for name, path in MODULES.items()}


def _part(words: list[str]) -> str:
    """What has a place in `LAYERS`: a package, a module beside them, or an adapter."""
    return "/".join(words[:2] if words[0] == "adapters" else words[:1])


def _module(imported: str) -> str:
    """Module that a dotted name of ours belongs to; empty for all others."""
    words = imported.split(".")[1:] if imported.startswith("xcnet.") else []
    parts = ("/".join(words[:n]) for n in range(len(words), 0, -1))
    return next((part for part in parts if part in MODULES), "")


def _layer(part: str) -> int | None:
    return next((i for i, row in enumerate(LAYERS) if part in row), None)


def test_imports_point_downwards() -> None:
    wrong = []
    for name in MODULES.keys() - {"__init__"}:  # the package itself only forwards, lazily
        part = _part(name.split("/"))
        own = _layer(part)
        if own is None:
            wrong.append(f"xcnet/{name}: give it a place in LAYERS")
            continue
        for imported in IMPORTS[name]:
            words = imported.split(".")
            target = _part(words[1:]) if words[0] == "xcnet" and len(words) > 1 else part
            layer = _layer(target)
            if target != part and layer is not None and layer >= own:
                wrong.append(f"{name} imports {imported}")
    assert not wrong
    graph = {name: {_module(i) for i in IMPORTS[name]} - {name, ""} for name in MODULES}
    TopologicalSorter(graph).prepare()  # refuses circles


def test_heavy_packages_stay_at_home() -> None:
    """Also: a new dependency is declared, and given a home."""
    anywhere = {"numpy", "xcnet", *sys.stdlib_module_names} - FORBIDDEN - HOMES.keys()
    wrong = []
    for name, imports in IMPORTS.items():
        for package in {imported.split(".")[0] for imported in imports} - anywhere:
            homes = HOMES.get(package, set())
            if not any(name == home or name.startswith(f"{home}/") for home in homes):
                wrong.append(f"{name} imports {package}, which belongs to {sorted(homes)}")
    assert not wrong


def _run(code: str) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout


def test_import_brings_numpy_only() -> None:
    code = (
        "import sys; before = set(sys.modules); import xcnet;"
        "print(*{m.split('.')[0] for m in set(sys.modules) - before})"
    )
    brought = set(_run(code).split()) - set(sys.stdlib_module_names)
    # Extension modules of numpy register helpers of their compiler.
    assert {m for m in brought if "cython" not in m} <= {"xcnet", "numpy"}


def test_functional_without_torch_or_hosts() -> None:
    code = (
        "import sys, xcnet; xcnet.functional('PBE').compute({'rho': [1.0], 'sigma': [0.1]});"
        "print(*{m.split('.')[0] for m in sys.modules})"
    )
    assert not {"torch", "onnx", "pyscf", "ase", "matplotlib"} & set(_run(code).split())


def test_scripts_in_a_checkout_find_the_adapters() -> None:
    """Where another xcnet is installed, Python still takes the one in the script's folder."""
    code = (
        "import sys; sys.meta_path = [f for f in sys.meta_path if 'editable' not in repr(f)];"
        f"sys.path.insert(0, {str(ROOT)!r}); import xcnet.adapters.ase as a; print(a.__file__)"
    )
    assert _run(code).strip() == str(ROOT / "adapters" / "ase.py")


def test_public_names_are_listed() -> None:
    names = "LibXCFunctional XCNetError __version__ functional set_num_threads"
    assert _run("import xcnet; print(*dir(xcnet))").split() == names.split()
    code = "from xcnet import *; print(functional('PBE'), LibXCFunctional, XCNetError)"
    assert _run(code).startswith("<xcnet.LibXCFunctional (PBE,")


def test_class_names_have_one_meaning() -> None:
    homes = defaultdict(list)
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                homes[node.name].append(module)
    assert not {name: modules for name, modules in homes.items() if len(modules) > 1}


def test_there_is_no_second_copy() -> None:
    code = "import xcnet\ntry: import xcnet.xcnet\nexcept ImportError: print('none')"
    assert _run(code) == "none\n"


def test_one_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = (ROOT / "CITATION.cff").read_text()
    assert xcnet.__version__ == project["version"]
    assert re.search(rf"^version: {re.escape(xcnet.__version__)}$", citation, re.MULTILINE)


def test_models_are_data() -> None:
    suffixes = {path.suffix for path in (ROOT / "models").rglob("*") if path.is_file()}
    assert suffixes <= {".json", ".onnx", ".npz", ".md"}


def test_installed_as_a_wheel(tmp_path: Path) -> None:
    """adapters/ and models/ become xcnet.adapters and xcnet/models, and are found there."""
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", str(tmp_path)]
    subprocess.run([*build, str(ROOT)], check=True, capture_output=True, timeout=600)
    (wheel,) = tmp_path.glob("xcnet-*.whl")
    code = (
        f"import sys; sys.meta_path = [f for f in sys.meta_path if 'editable' not in repr(f)];"
        f"sys.path.insert(0, {str(tmp_path / 'unpacked')!r});"
        "import xcnet.adapters; from xcnet import paths, registry;"
        "print(xcnet.__file__, xcnet.adapters.__file__, paths.models_folder());"
        "print(*[e.name for e in registry.entries('package')])"
    )
    import zipfile

    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "unpacked")
        names = archive.namelist()
    places, models = _run(code).splitlines()
    unpacked = tmp_path / "unpacked" / "xcnet"
    assert places.split() == [
        str(unpacked / "__init__.py"),
        str(unpacked / "adapters" / "__init__.py"),
        str(unpacked / "models"),
    ]
    assert set(models.split()) == {p.parent.name for p in (ROOT / "models").glob("*/model.json")}
    assert "xcnet/py.typed" in names
    assert "xcnet/adapters.py" not in names
    if sys.platform == "linux" and shutil.which("cc"):
        assert {f"xcnet/adapters/libxc/{n}" for n in ("libxcnet.so", "xcnet.h")} == {
            n for n in names if n.startswith("xcnet/adapters/libxc/")
        }
    assert not [n for n in names if "tests" in n or n.endswith(".pyc")]
