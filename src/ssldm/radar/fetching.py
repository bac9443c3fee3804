"""Fetching what fsspec opens, and what to say where that fails: no answer, a refusal, a damaged container."""

import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ssldm.errors import ObservationError
from ssldm.radar.unpacking import HEAD_BYTES, check_content, content_fault, copy_limited

# How long a web server may take to accept a connection, and to send the next bytes.
_PATIENCE_SECONDS = 30.0
# Which fsspec would take for tar archives that are not compressed.
_COMPRESSED = {"tgz": "gzip", "tbz2": "bz2", "tbz": "bz2", "txz": "xz"}
_DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    UnicodeDecodeError,
)


def prepare_fsspec(url: str) -> None:
    """Teach fsspec the names of compressed tar archives and, unless its user has, patience with servers."""
    from fsspec.config import conf
    from fsspec.utils import compressions

    for suffix, compression in _COMPRESSED.items():
        compressions.setdefault(suffix, compression)
    if "http" in url:
        import aiohttp

        patience = {"sock_connect": _PATIENCE_SECONDS, "sock_read": _PATIENCE_SECONDS}
        for protocol in ("http", "https"):
            options = conf.setdefault(protocol, {}).setdefault("client_kwargs", {})
            options.setdefault("timeout", aiohttp.ClientTimeout(total=None, **patience))


def fetch(url: str, target: Path) -> None:
    """Write what lies at a URL to a file.

    Raises:
        ObservationError: it cannot be fetched, is empty, a web page, or more than 512 MiB.
    """
    import fsspec

    prepare_fsspec(url)
    try:
        with fsspec.open(url, "rb") as remote, target.open("wb") as file:
            copy_limited(remote, file, url)
    except ObservationError:
        raise
    except Exception as error:
        raise ObservationError(f"{url}: {fault(error, url)}") from error
    check_content(target, url)


def fault(error: BaseException, url: str) -> str:
    """Why something at a URL, or in the container at its end, was not reached or read."""
    container = url.rpartition("::")[2]
    web = container.startswith("http")
    causes = list(_causes(error))
    if isinstance(error, FileNotFoundError) and "::" in url and web and _answer(causes) is None:
        causes = list(_causes(_web_error(container) or error))
    if (answer := _answer(causes)) is not None:
        return answer
    if any("encrypted" in str(cause) and isinstance(cause, RuntimeError) for cause in causes):
        return "encrypted: unpack it first"
    # bz2 and gzip say so by errors of the system without a number.
    if any(isinstance(cause, _DAMAGED) or _is_of_content(cause, url) for cause in causes):
        if web and (content := content_fault(_head(container))):
            return content
        return f"damaged, cut short, or not what its name says ({error or type(error).__name__})"
    return f"cannot be reached ({type(error).__name__}: {error})"


def _causes(error: BaseException) -> Iterator[Any]:
    """An error and what it came from."""
    seen: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in seen:
        seen.append(cause)
        yield cause
        cause = cause.__cause__ or cause.__context__


def _answer(causes: list[Any]) -> str | None:
    """What a server said, or that it said nothing; None where no server is to blame."""
    for cause in causes:
        status = getattr(cause, "status", None)
        if isinstance(status, int) and status:
            return f"the server answered {status} ({getattr(cause, 'message', '') or 'no reason given'})"
    for cause in causes:
        if hasattr(cause, "host"):
            return f"the server cannot be reached ({cause})"
        if isinstance(cause, TimeoutError):
            return f"the server did not answer for {_PATIENCE_SECONDS:g} s ({cause or 'timeout'})"
        if isinstance(cause, ConnectionError):
            return f"the server cannot be reached ({cause})"
    return None


def _is_of_content(cause: Any, url: str) -> bool:
    return "::" in url and isinstance(cause, OSError) and cause.errno is None and cause.filename is None


def _web_error(url: str) -> Exception | None:
    """What a web server says when asked for a file; containers do not pass it on."""
    import fsspec

    try:
        filesystem, path = fsspec.core.url_to_fs(url)
        filesystem.info(path)
    except Exception as error:  # noqa: BLE001
        return error
    return None


def _head(url: str) -> bytes:
    """The first bytes at a URL; those of no radar file where it cannot be reached again."""
    import fsspec

    try:
        with fsspec.open(f"simplecache::{url}", "rb") as file:
            return bytes(file.read(HEAD_BYTES))
    except Exception:  # noqa: BLE001
        return b"?"
