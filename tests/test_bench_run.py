"""``xcnet bench SET``: real calculations, interrupted, killed, over their limits, and on Dask."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyscf", reason="xcnet bench needs the bench extra")
pytest.importorskip("ase", reason="xcnet bench needs the bench extra")

from xcnet import cli, registry
from xcnet.bench import plan, store
from xcnet.systems import sets

SMALL = ["--basis", "sto-3g", "--grid", "0", "--quiet"]
MAIN = "import sys; from xcnet import cli; sys.exit(cli.main(sys.argv[1:]))"
XCNET = [sys.executable, "-c", MAIN]


def _words(path: Path, *words: str) -> list[str]:
    return ["bench", "ae147", "--output", str(path), *SMALL, *words]


def _bench(path: Path, *words: str) -> int:
    return cli.main(_words(path, *words))


def _energies(path: Path) -> dict[tuple[str, str], float]:
    records = store.read(path)
    energies = {(r["system"], r["xc"]): r["energy"] for r in records}
    assert len(energies) == len(records), "a calculation was done twice"
    return energies


def _until(condition: Callable[[], object], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _after(code: str, words: list[str]) -> subprocess.CompletedProcess[str]:
    """The command in a process that ran some code before."""
    command = [sys.executable, "-c", f"{code}\n{MAIN}", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of two functionals on two molecules and their atoms."""
    path = tmp_path_factory.mktemp("serial") / "ae147.jsonl"
    assert _bench(path, "--xc", "PBE,NN-r2SCAN", "--only", "LiH,H2", "--jobs", "1") == 0
    return path


def test_records_say_what_was_calculated(serial: Path) -> None:
    records = store.read(serial)
    assert len(records) == 8
    assert [r["xc"] for r in records] == ["PBE"] * 4 + ["NN-r2SCAN"] * 4
    for record in records:
        assert record["status"] == "converged"
        assert record["cycles"] >= 1
        assert record["seconds"] > 0
        assert record["peak_mb"] > 30
        assert {"xcnet", "pyscf", "libxc", "numpy"} <= set(record["versions"])
        assert set(record["machine"]) == {"cpu", "cores", "system", "threads"}
        assert len(record["model"]) == (64 if record["xc"] == "NN-r2SCAN" else 0)
    assert {r["grid_level"] for r in records} == {0}
    # PySCF by hand: UKS of H, PBE/sto-3g, level 0, density fitting.
    assert _energies(serial)["H", "PBE"] == pytest.approx(-0.4645396, abs=1e-6)


def test_a_functional_gets_the_grid_that_it_asks_for() -> None:
    protocol = sets.load("ae147").protocol
    spec = registry.find("NN-r2SCAN").spec
    assert spec is not None
    coarse = sets.changed(protocol, grid_level=spec.grid_level - 1)
    assert plan.grid_level("NN-r2SCAN", coarse) == spec.grid_level
    assert plan.grid_level("PBE", coarse) == spec.grid_level - 1
    fixed = sets.changed(coarse, finer_grids=False)
    assert plan.grid_level("NN-r2SCAN", fixed) == spec.grid_level - 1


def test_records_do_not_identify_a_workplace(serial: Path) -> None:
    text = serial.read_text()
    assert os.uname().nodename not in text
    assert str(Path.home()) not in text
    assert str(serial.parent) not in text


def test_everything_is_there_already(serial: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = serial.read_bytes()
    assert _bench(serial, "--xc", "PBE", "--only", "H2") == 0
    printed = capsys.readouterr().out
    assert "2 of 2 results are in" in printed
    assert "sto-3g, grid level 0" in printed
    assert "AE147   2/147" in printed
    assert serial.read_bytes() == before


def test_a_cut_line_is_calculated_again(serial: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.jsonl"
    whole = serial.read_bytes()
    path.write_bytes(whole[: whole.rstrip().rfind(b"\n") + 40])
    assert _bench(path, "--xc", "PBE,NN-r2SCAN", "--only", "LiH,H2") == 0
    assert _energies(path) == pytest.approx(_energies(serial), abs=1e-12)


def _children(process: int) -> list[int]:
    # Threads start processes: each lists its own.
    tasks = Path(f"/proc/{process}/task").iterdir()
    return [int(n) for task in tasks for n in (task / "children").read_text().split()]


def _gone(process: int) -> bool:
    try:
        return " Z " in Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks at processes in /proc")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_killed_run_goes_on_where_it_stopped(
    how: signal.Signals, serial: Path, tmp_path: Path
) -> None:
    path = tmp_path / "ae147.jsonl"
    words = _words(path, "--xc", "PBE,NN-r2SCAN", "--only", "LiH,H2", "--jobs", "2")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    with subprocess.Popen([*XCNET, *words], text=True, **quiet) as process:  # type: ignore[call-overload]
        _until(lambda: _lines(path) >= 2)
        started = _children(process.pid)
        process.send_signal(how)
        _, err = process.communicate(timeout=120)
    if how == signal.SIGINT:
        assert process.returncode == cli.EXIT_INTERRUPTED, err
        assert "interrupted" in err
    _until(lambda: all(map(_gone, started)))  # no calculation outlives its run
    kept = path.read_bytes()
    assert 2 <= _lines(path) < 8
    assert _bench(path, "--xc", "PBE,NN-r2SCAN", "--only", "LiH,H2", "--jobs", "1") == 0
    assert path.read_bytes().startswith(kept)
    assert _energies(path) == pytest.approx(_energies(serial), abs=1e-12)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--memory", "0.5"], "more than 0.5 GB of memory"),
        (["--time", "0.3"], r"more than 0\.3 s"),
    ],
)
def test_limits_are_kept_and_failures_recorded(
    words: list[str], error: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "ae147.jsonl"
    only = ["--xc", "PBE", "--only", "H2"]
    assert _bench(path, *only, *words) == 1
    records = store.read(path)
    assert [r["status"] for r in records] == ["failed"] * 2
    printed = capsys.readouterr()
    assert "FAILED" in printed.out
    assert "H2 with PBE has no result" in printed.err
    if "--time" in words:
        assert {r["error"] for r in records} == {"more than 0.3 s"}
    assert _bench(path, *only) == 1  # not again by itself
    assert len(store.read(path)) == 2
    assert _bench(path, *only, "--retry") == 0
    assert [r["status"] for r in store.read(path)][2:] == ["converged"] * 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--xc", "PBE,PEB"], "PEB"),
        (["--xc", "PBE", "--basis", "6-31x"], "basis set '6-31x' is unknown"),
        (["--xc", "PBE", "--only", "water"], "ae147 has no water"),
        (["--xc", ","], "--xc names nothing"),
        (["--xc", "PBE", "--output", "/dev/null/x"], "cannot write"),
    ],
)
def test_wrong_input_is_found_before_the_first_calculation(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "ae147.jsonl"
    assert _bench(path, *words) == cli.EXIT_ERROR
    assert message in capsys.readouterr().err
    assert not path.exists()


def test_full_disk_says_so_and_keeps_what_is_done(serial: Path, tmp_path: Path) -> None:
    path = tmp_path / "ae147.jsonl"
    first = serial.read_bytes().splitlines(keepends=True)[0]
    path.write_bytes(first)
    size = len(first) + 50
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))"
    done = _after(limit, _words(path, "--xc", "PBE", "--only", "LiH", "--jobs", "1"))
    assert done.returncode == cli.EXIT_ERROR
    assert "1 results are safe" in done.stderr
    assert '"system": "Li"' in done.stderr
    assert path.read_bytes() == first


# -- Dask ----------------------------------------------------------------------------------------


@contextmanager
def _cluster(folder: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """Address of a scheduler; its process and those of its two workers."""
    pytest.importorskip("distributed", reason="--dask needs the bench extra")
    file = folder / "scheduler.json"
    options = ["--scheduler-file", str(file), "--no-dashboard"]
    start = [sys.executable, "-m", "dask"]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    commands = [["scheduler", "--port", "0", "--host", "127.0.0.1", *options]]
    commands += [["worker", *options, "--nthreads", "1", "--no-nanny"]] * 2
    with ExitStack() as stack:
        processes = []
        for command in commands:
            process = subprocess.Popen([*start, *command], cwd=folder, **quiet)
            stack.callback(process.wait)
            stack.callback(process.kill)
            processes.append(process)
        _until(lambda: file.exists() and file.read_text().endswith("}"))
        yield json.loads(file.read_text())["address"], processes


def test_a_dask_worker_dies_and_nothing_is_lost(serial: Path, tmp_path: Path) -> None:
    path = tmp_path / "ae147.jsonl"
    with _cluster(tmp_path) as (address, (_, worker, _)):
        words = _words(path, "--xc", "PBE,NN-r2SCAN", "--only", "LiH,H2", "--dask", address)
        with subprocess.Popen([*XCNET, *words], stdout=subprocess.DEVNULL) as process:
            _until(lambda: _lines(path) >= 2)
            worker.kill()
            assert process.wait(240) == 0
    assert _energies(path) == pytest.approx(_energies(serial), abs=1e-12)


def test_a_dask_scheduler_dies_and_the_run_goes_on_later(serial: Path, tmp_path: Path) -> None:
    path = tmp_path / "ae147.jsonl"
    words = _words(path, "--xc", "PBE,NN-r2SCAN", "--only", "LiH,H2")
    with _cluster(tmp_path) as (address, (scheduler, _, _)):
        command = [*XCNET, *words, "--dask", address]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        with subprocess.Popen(command, text=True, **quiet) as process:  # type: ignore[call-overload]
            _until(lambda: _lines(path) >= 2)
            scheduler.kill()
            _, err = process.communicate(timeout=240)
    assert process.returncode == cli.EXIT_ERROR
    assert "the cluster is gone" in err
    kept = path.read_bytes()
    assert cli.main(words) == 0
    assert path.read_bytes().startswith(kept)
    assert _energies(path) == pytest.approx(_energies(serial), abs=1e-12)


def test_local_dask_cluster(serial: Path, tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="--dask needs the bench extra")
    path = tmp_path / "ae147.jsonl"
    words = _words(path, "--xc", "PBE", "--only", "LiH,H2", "--dask", "--jobs", "2")
    done = _after("", words)
    assert done.returncode == 0, done.stderr
    expected = {key: e for key, e in _energies(serial).items() if key[1] == "PBE"}
    assert _energies(path) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nowhere"])
def test_scheduler_out_of_reach(
    address: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("distributed", reason="--dask needs the bench extra")
    monkeypatch.setattr("xcnet.scf.executors.CONNECT_SECONDS", 1)
    path = tmp_path / "ae147.jsonl"
    assert _bench(path, "--xc", "PBE", "--only", "H2", "--dask", address) == cli.EXIT_ERROR
    assert f"no Dask scheduler answers at {address}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("package", "words"),
    [("distributed", ["--dask"]), ("ase", []), ("tqdm", []), ("pyscf", [])],
)
def test_missing_packages_name_the_extra(package: str, words: list[str], tmp_path: Path) -> None:
    line = _words(tmp_path / "r.jsonl", "--xc", "PBE", "--only", "H2", *words)
    done = _after(f"import sys; sys.modules[{package!r}] = None", line)
    assert done.returncode == cli.EXIT_ERROR, done.stderr
    assert "pip install '" in done.stderr
