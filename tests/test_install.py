"""Installing functionals: bad servers, bad folders, interruptions; all or nothing."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import http.server
import json
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.folders import read_record, seal
from xcnet import check, download, install, registry
from xcnet.catalogue import HOST, Collection, collections
from xcnet.errors import InstallError, ModelError, UnknownFunctionalError
from xcnet.published import conversion

NAGAI2020 = collections()["nagai2020"]
CONTENT = b"weights" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers by the first part of the path, in the ways that servers go wrong."""

    def do_GET(self) -> None:
        behaviour = self.path.split("/")[1]
        if behaviour == "missing":
            self.send_error(404)
            return
        if behaviour in ("moved", "astray", "circle"):
            place = {"moved": "/good/file", "astray": "ftp://127.0.0.1/file", "circle": self.path}
            self.send_response(302)
            self.send_header("Location", place[behaviour])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        if behaviour == "good":
            self.wfile.write(CONTENT)
        elif behaviour == "truncated":
            self.wfile.write(CONTENT[:100])
        elif behaviour == "lying":
            self.wfile.write(CONTENT[:-1] + b"!")
        elif behaviour == "dripping":
            with contextlib.suppress(OSError):  # nobody waits for the end
                while not self.server.release.wait(0.02):  # type: ignore[attr-defined]
                    self.wfile.write(b"x")
                    self.wfile.flush()
        elif behaviour == "silent":
            self.server.release.wait(10)  # type: ignore[attr-defined]

    def log_message(self, *args: object) -> None:
        """Stay quiet."""


@pytest.fixture
def server() -> Iterator[str]:
    """Base URL of a server on this machine."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.release = threading.Event()  # type: ignore[attr-defined]
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.release.set()  # type: ignore[attr-defined]
        running.shutdown()
        thread.join()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """User's folder of one test (not made yet)."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    registry.refresh()
    yield registry.user_folder()
    registry.refresh()


def _contents(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.name != ".lock") if folder.exists() else []


@pytest.fixture
def functional_folder(nagai2020_models: Path, tmp_path: Path) -> Path:
    """A finished functional folder that may be damaged."""
    name = NAGAI2020.names[0]
    return Path(shutil.copytree(nagai2020_models / name, tmp_path / "incoming" / name))


def test_download(server: str) -> None:
    assert download.fetch(f"{server}/good/file", SHA256, 10_000) == CONTENT


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        ("truncated", "100 bytes.*truncated"),
        ("lying", "expected " + SHA256),
        ("missing", "404"),
        ("silent", "timed out"),
        ("astray", "leads to ftp://127.0.0.1/file, which is not safe"),
        ("circle", "302"),
    ],
)
def test_bad_servers(server: str, behaviour: str, message: str) -> None:
    with pytest.raises(InstallError, match=message):
        download.fetch(f"{server}/{behaviour}/file", SHA256, 10_000, timeout=0.5)


def test_redirects_are_followed(server: str) -> None:
    assert download.fetch(f"{server}/moved/file", SHA256, 10_000) == CONTENT


def test_a_failure_is_followed_by_a_clean_attempt(server: str) -> None:
    with pytest.raises(InstallError, match="truncated"):
        download.fetch(f"{server}/truncated/file", SHA256, 10_000)
    assert download.fetch(f"{server}/good/file", SHA256, 10_000) == CONTENT


def test_a_server_that_drips_is_left(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "DEADLINE_SECONDS", 0.3)
    with pytest.raises(InstallError, match="not complete after"):
        download.fetch(f"{server}/dripping/file", SHA256, 10_000, timeout=5.0)


def test_tls_is_verified_and_not_left(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate that nobody vouches for; then, trusted, a redirect to plain HTTP."""
    if not shutil.which("openssl"):
        pytest.skip("needs openssl for a certificate")
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *names]
    subprocess.run(
        ["openssl", *words, "-keyout", key, "-out", certificate], check=True, capture_output=True
    )

    class Leaving(Handler):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", f"{server}/good/file")
            self.end_headers()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with http.server.HTTPServer(("localhost", 0), Leaving) as running:
        running.socket = context.wrap_socket(running.socket, server_side=True)
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        url = f"https://localhost:{running.server_address[1]}/file"
        try:
            with pytest.raises(InstallError, match=r"certificate.verify failed"):
                download.fetch(url, SHA256, 10_000, timeout=5.0)
            monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
            with pytest.raises(InstallError, match="leads to http://"):
                download.fetch(url, SHA256, 10_000, timeout=5.0)
        finally:
            running.shutdown()
            thread.join()


def test_too_large(server: str) -> None:
    with pytest.raises(InstallError, match="larger than 100 bytes"):
        download.fetch(f"{server}/good/file", SHA256, 100)


def test_proxy_variables_are_respected(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"{server}/")
    monkeypatch.delenv("no_proxy", raising=False)
    # The proxy gets the whole URL as the path, so its first part is empty: an empty answer.
    with pytest.raises(InstallError, match="0 bytes"):
        download.fetch("http://weights.invalid/file", SHA256, 10_000, timeout=2)


def test_unreachable_names_the_offline_way(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        base = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(InstallError, match=r"cannot be downloaded.*--from FOLDER"):
            conversion.convert(NAGAI2020, None, tmp_path, base_url=base)
    assert _contents(tmp_path) == []


def test_default_is_tls_and_pinned() -> None:
    assert HOST.startswith("https://")
    for collection in collections().values():
        for file in collection.files:
            assert re.fullmatch(r"[\w-]+/[\w-]+/[0-9a-f]{40}/[\w./-]+", file.path)
            assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)
        assert set(collection.notices) < {file.name for file in collection.files}


def test_altered_local_weights(nagai2020_weights: Path, tmp_path: Path, home: Path) -> None:
    for file in NAGAI2020.files:
        shutil.copy(nagai2020_weights / file.name, tmp_path)
    altered = tmp_path / "NNNRA"
    data = bytearray(altered.read_bytes())
    data[5000] ^= 1
    altered.chmod(0o644)
    altered.write_bytes(data)
    with pytest.raises(InstallError, match=r"NNNRA.*SHA-256"):
        install.install("nagai2020", folder=tmp_path)
    altered.unlink()
    with pytest.raises(InstallError, match="NNNRA cannot be read: No such file"):
        install.install("nagai2020", folder=tmp_path)
    assert _contents(home) == []


def test_collection_all_or_none(
    nagai2020_models: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied: list[str] = []

    def convert(_: Collection, source: Path | None, folder: Path, report: object) -> None:
        for name in NAGAI2020.names:
            copied.append(name)
            if len(copied) == 3:
                raise OSError(errno.ENOSPC, "No space left on device", str(folder / name))
            shutil.copytree(nagai2020_models / name, folder / name)

    monkeypatch.setattr(conversion, "convert", convert)
    with pytest.raises(InstallError, match=r"No space left on device\. Nothing was changed"):
        install.install("nagai2020")
    assert _contents(home) == []

    specs = install.install("nagai2020")
    assert [spec.name for spec in specs] == list(NAGAI2020.names)
    assert _contents(home) == sorted(NAGAI2020.names)
    assert registry.find("nn_metagga_nagai2020").origin == "user"
    with pytest.raises(InstallError, match="already installed"):
        install.install("nagai2020")

    # An altered one counts as not installed; all are made again.
    (home / NAGAI2020.names[1] / "exc.onnx").write_bytes(b"")
    assert len(install.install("NAGAI2020")) == 4
    assert len(install.install("nagai2020", force=True)) == 4
    assert _contents(home) == sorted(NAGAI2020.names)


def test_interrupt_between_the_moves_changes_nothing(
    nagai2020_models: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def convert(_: Collection, source: Path | None, folder: Path, report: object) -> None:
        for name in NAGAI2020.names:
            shutil.copytree(nagai2020_models / name, folder / name)

    monkeypatch.setattr(conversion, "convert", convert)
    rename = Path.rename

    def interrupted(self: Path, target: Path) -> Path:
        if self.name == NAGAI2020.names[2] and self.parent.name.startswith(".staging"):
            raise KeyboardInterrupt
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", interrupted)
        with pytest.raises(KeyboardInterrupt):
            install.install("nagai2020")
    assert _contents(home) == []


def test_ctrl_c_leaves_nothing(nagai2020_weights: Path, home: Path) -> None:
    words = ["models", "install", "nagai2020", "--from", str(nagai2020_weights)]
    with subprocess.Popen(
        [sys.executable, "-m", "xcnet.cli", *words], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert "exporting" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert process.returncode == 130
    assert rest.endswith("xcnet: interrupted\n")
    assert "Traceback" not in rest
    assert _contents(home) == []


def test_install_and_remove_a_folder(functional_folder: Path, home: Path) -> None:
    (spec,) = install.install(str(functional_folder))
    assert spec.folder == home / spec.name
    with pytest.raises(InstallError, match="already installed"):
        install.install(str(functional_folder))
    install.install(str(functional_folder), force=True)
    assert install.remove("nn-lsda-NAGAI2020") == spec.folder
    assert _contents(home) == []
    with pytest.raises(UnknownFunctionalError, match="installed: nothing"):
        install.remove("NN-LSDA-Nagai2020")


def test_remove_takes_only_from_the_users_folder(home: Path) -> None:
    with pytest.raises(UnknownFunctionalError, match="not installed in"):
        install.remove("B3LYP")


def test_a_broken_folder_can_be_removed(functional_folder: Path, home: Path) -> None:
    (spec,) = install.install(str(functional_folder))
    (spec.folder / "model.json").unlink()
    install.remove(spec.name)
    assert _contents(home) == []


def test_altered_folder_is_refused(functional_folder: Path, home: Path) -> None:
    graph = functional_folder / "vxc.onnx"
    graph.write_bytes(graph.read_bytes()[:-1])
    with pytest.raises(ModelError, match=r"vxc\.onnx is altered"):
        install.install(str(functional_folder))
    graph.unlink()
    with pytest.raises((ModelError, InstallError), match=r"vxc\.onnx"):
        install.install(str(functional_folder))
    assert _contents(home) == []


def test_what_was_verified_is_installed(
    functional_folder: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that changes while it is checked: nothing of the change is installed."""
    original = {path.name: path.read_bytes() for path in functional_folder.iterdir()}

    def require(spec: object) -> None:
        for path in functional_folder.iterdir():
            path.write_bytes(b"changed")

    monkeypatch.setattr(check, "require", require)
    (spec,) = install.install(str(functional_folder))
    assert {path.name: path.read_bytes() for path in spec.folder.iterdir()} == original


@pytest.mark.parametrize(
    ("stop", "raised"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), InstallError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_a_copy_that_stops_leaves_nothing(
    functional_folder: Path,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    stop: BaseException,
    raised: type[BaseException],
) -> None:
    write = Path.write_bytes

    def stopping(self: Path, content: bytes) -> int:
        if self.name == "reference.npz":
            write(self, content[:100])
            raise stop
        return write(self, content)

    monkeypatch.setattr(Path, "write_bytes", stopping)
    with pytest.raises(raised):
        install.install(str(functional_folder))
    assert _contents(home) == []


def test_wrong_values_are_refused(functional_folder: Path, home: Path) -> None:
    """Consistent hashes, but a reference vector that the graph does not give."""
    reference = functional_folder / "reference.npz"
    with np.load(reference) as stored:
        arrays = dict(stored)
    arrays["vrho"][3, 1] *= 1 + 1e-9
    np.savez(reference, **arrays)
    record = json.loads((functional_folder / "model.json").read_text())
    record["files"]["reference.npz"] = hashlib.sha256(reference.read_bytes()).hexdigest()
    (functional_folder / "model.json").write_text(json.dumps(record))
    with pytest.raises(ModelError, match="vrho differs from its reference") as caught:
        install.install(str(functional_folder))
    assert str(functional_folder) in str(caught.value)
    assert str(home) not in str(caught.value)  # a copy there is gone
    assert _contents(home) == []


def test_a_taken_id_is_refused(
    functional_folder: Path, home: Path, nagai2020_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XCNET_MODEL_PATH", str(nagai2020_models))
    registry.refresh()
    seal(
        {**read_record(functional_folder), "name": "lda_xc_other", "aliases": []}, functional_folder
    )
    with pytest.raises(InstallError, match=r"100101 belongs to lda_xc_nn_lsda_nagai2020"):
        install.install(str(functional_folder))
    assert _contents(home) == []


def test_a_second_process_is_told_to_wait(functional_folder: Path, home: Path) -> None:
    home.mkdir(parents=True)
    with (home / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(InstallError, match="another process"):
            install.install(str(functional_folder))
    install.install(str(functional_folder))


def test_unwritable_users_folder(functional_folder: Path, home: Path) -> None:
    home.parent.parent.mkdir(parents=True)
    home.parent.write_text("a file where the folder should be")
    with pytest.raises(InstallError, match="Nothing was changed"):
        install.install(str(functional_folder))


def test_wrong_source(home: Path, tmp_path: Path) -> None:
    with pytest.raises(InstallError, match=r"neither a collection \(nagai2020, .*\) nor a folder"):
        install.install("nagai2019")
    with pytest.raises(ModelError, match=r"model\.json is missing"):
        install.install(str(tmp_path))
    with pytest.raises(InstallError, match="--from goes with a collection"):
        install.install(str(tmp_path), folder=tmp_path)


def test_torch_missing_names_the_extra(home: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from xcnet.cli import main\n"
        "sys.exit(main(['models', 'install', 'nagai2020']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 2
    assert re.search(r"pip install .*'torch>=", done.stderr)
    assert "Traceback" not in done.stderr
