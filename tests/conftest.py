"""What several test files share: an isolated user, the published networks, failures at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.published import converted, required_weights
from xcnet import registry, variables

# PySCF counts the memory of the whole test process against its limit of 4 GB, and beyond it turns
# to integrals on the fly, which it cannot do with unpickled objects: no test shall depend on what
# ran before it.
os.environ.setdefault("PYSCF_MAX_MEMORY", "16000")

# A shell's background jobs ignore Ctrl-C, and so would the programs that the tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


#: Fixtures that take a minute or need the authors' files.
CONVERTING = ("converted_folder", "nagai2020_weights")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if any(name in CONVERTING for name in getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


class FailuresAtOnce:
    """Prints a failure when it happens, also one of a worker, and not only after the last test."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self._terminal = terminal

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._terminal.ensure_newline()
            self._terminal.section(f"{report.nodeid} ({report.when})", "_", red=True)
            report.toterminal(self._terminal._tw)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(FailuresAtOnce(terminal))


@pytest.fixture(scope="session", autouse=True)
def user_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """User's folder of this test process: empty, whatever the person running the tests has."""
    home = tmp_path_factory.mktemp("user")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(home))
        patch.delenv("XCNET_MODEL_PATH", raising=False)
        registry.refresh()
        yield registry.user_folder()
    registry.refresh()


@pytest.fixture(scope="session")
def nagai2020_weights() -> Path:
    """Folder of the authors' files; skips the test where they are absent."""
    return required_weights("nagai2020")


@pytest.fixture(scope="session")
def converted_folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Folder that all test processes share."""
    base = tmp_path_factory.getbasetemp()
    return base if worker_id == "master" else base.parent


@pytest.fixture(scope="session")
def nagai2020_models(converted_folder: Path) -> Path:
    """Folder of the four published functionals, converted once for all test processes.

    Put it on ``XCNET_MODEL_PATH`` to find them by name.
    """
    return converted("nagai2020", converted_folder)


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Let torch compute with one thread: what is trained then has the same bits every time."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def first_derivatives() -> Iterator[None]:
    """Let what is trained have first derivatives only: the others are most of an export's work."""
    pytest.importorskip("torch")
    from xcnet.training.publish import publication

    publish = partial(publication.publish, orders=variables.ORDERS[:2])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publication, "publish", publish)
        yield


@pytest.fixture
def published(nagai2020_models: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the four published functionals known by name during one test; returns their folder."""
    monkeypatch.setenv("XCNET_MODEL_PATH", str(nagai2020_models))
    return nagai2020_models
