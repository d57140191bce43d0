"""Small files from the network or a folder, whose SHA-256 is known beforehand."""

from __future__ import annotations

import hashlib
import http.client
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from xcnet.errors import InstallError

TIMEOUT_SECONDS = 30.0  # without an answer
DEADLINE_SECONDS = 300.0  # for a whole file, however slowly it drips
_BLOCK = 1 << 16


def fetch(url: str, sha256: str, max_bytes: int, timeout: float = TIMEOUT_SECONDS) -> bytes:
    """Download a file; the environment's proxy variables are respected.

    Raises
    ------
    InstallError
        The server cannot be reached, refuses, stops half-way, sends more than ``max_bytes``, or
        sends other bytes than those with this SHA-256.
    """
    data = get(url, max_bytes, timeout)
    check(data, sha256, url)
    return data


def get(url: str, max_bytes: int, timeout: float = TIMEOUT_SECONDS) -> bytes:
    """Download what the caller checks afterwards; see `fetch`.

    Raises
    ------
    InstallError
        The server cannot be reached, refuses, stops half-way, or sends more than ``max_bytes``.
    """
    try:
        return _get(url, max_bytes, timeout)
    except urllib.error.HTTPError as error:
        error.close()
        raise InstallError(
            f"{url}: the server answers {error.code} {error.reason}", url=url, status=error.code
        ) from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error or type(error).__name__
        raise InstallError(f"{url} cannot be downloaded: {reason}", url=url) from error


def read(path: Path, sha256: str, max_bytes: int) -> bytes:
    """Read a local copy of such a file, with the same checks.

    Raises
    ------
    InstallError
        The file is missing, larger than ``max_bytes``, or not the one with this SHA-256.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(max_bytes + 1)
    except OSError as error:
        raise InstallError(f"{path} cannot be read: {error.strerror}", file=str(path)) from error
    if len(data) > max_bytes:
        raise InstallError(f"{path} is larger than {max_bytes} bytes: refused", file=str(path))
    check(data, sha256, str(path))
    return data


def check(data: bytes, sha256: str, source: str) -> None:
    """Compare the bytes with their SHA-256; ``source`` says in the error where they came from."""
    actual = hashlib.sha256(data).hexdigest()
    if actual != sha256:
        raise InstallError(
            f"{source}: {len(data)} bytes with the SHA-256 {actual}, expected {sha256}. "
            "The file is truncated, altered, or not the one that was published.",
            source=source,
            expected=sha256,
            given=actual,
        )


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a few redirects, none of them out of TLS or of HTTP."""

    max_redirections = 5
    max_repeats = 2

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        allowed = ("https",) if req.type == "https" else ("http", "https")
        if newurl.partition(":")[0].lower() not in allowed:
            raise InstallError(
                f"{req.full_url} leads to {newurl}, which is not safe: refused", url=req.full_url
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _get(url: str, max_bytes: int, timeout: float) -> bytes:
    end = time.monotonic() + DEADLINE_SECONDS
    data = bytearray()
    # An opener of its own: the shared one keeps the proxies of its first use.
    with urllib.request.build_opener(_Redirects).open(url, timeout=timeout) as response:
        # What has arrived: waiting for a whole block, a server that drips would never end.
        while block := response.read1(_BLOCK):
            data += block
            if len(data) > max_bytes:
                raise InstallError(
                    f"{url} is larger than {max_bytes} bytes: refused", url=url, limit=max_bytes
                )
            if time.monotonic() > end:
                raise InstallError(f"{url}: not complete after {DEADLINE_SECONDS:.0f} s", url=url)
    return bytes(data)
