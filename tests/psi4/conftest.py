"""Tests in Psi4's own environment (`make test-psi4`), where CI=true makes its absence a failure.

Every module here begins with ``pytest.importorskip("psi4")``.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.published import CONVERTED_VARIABLE
from xcnet import registry

if importlib.util.find_spec("psi4") is None and os.environ.get("CI", "").lower() == "true":
    raise RuntimeError("psi4 cannot be imported: tests/psi4 runs in its environment")

#: Of Psi4's own making.
WARNINGS = ("ignore:unclosed file:ResourceWarning", "ignore:path is deprecated:DeprecationWarning")
MODELS = Path(__file__).resolve().parent.parent / "models"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let Psi4 leave its files to the garbage collector."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            for warning in WARNINGS:
                item.add_marker(pytest.mark.filterwarnings(warning))


@pytest.fixture(scope="session", autouse=True)
def adapter(user_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Clones and published functionals known by name, adapter loaded, output in a file."""
    psi4 = pytest.importorskip("psi4")
    converted = os.environ.get(CONVERTED_VARIABLE)
    published = sorted(Path(converted).iterdir()) if converted else []
    folders = map(str, [MODELS, *published])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(registry.MODEL_PATH_VARIABLE, os.pathsep.join(folders))
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.chdir(tmp_path_factory.mktemp("psi4"))  # it leaves timer.dat where it runs
        psi4.core.set_output_file("output.dat", False)
        import xcnet.adapters.psi4

        xcnet.adapters.psi4.install()
        yield


@pytest.fixture(scope="session")
def published_networks(adapter: None, nagai2020_models: Path) -> Iterator[None]:
    """Make the published functionals known where no variable has named their folder."""
    with pytest.MonkeyPatch.context() as patch:
        folders = os.environ[registry.MODEL_PATH_VARIABLE].split(os.pathsep)
        folders = list(dict.fromkeys([*folders, str(nagai2020_models)]))
        patch.setenv(registry.MODEL_PATH_VARIABLE, os.pathsep.join(folders))
        registry.refresh()
        yield
