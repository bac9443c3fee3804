"""Files that are packed one by one: gzip, bzip2 and xz are unpacked, other ways are refused by name."""

import bz2
import gzip
import lzma
from pathlib import Path
from typing import IO, Any

from ssldm.errors import ObservationError

_GZIP, _BZIP, _XZ, _ZSTANDARD = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"
_OPENERS: dict[bytes, Any] = {_GZIP: gzip.open, _BZIP: bz2.open, _XZ: lzma.open}
_SUFFIXES = {".gz", ".bz2", ".xz"}
# By the end of the name: a file of these holds others, or is packed as Python cannot unpack.
_UNKNOWN = (".tar.zst", ".tzst", ".zst", ".tar.lz4", ".tar.z", ".7z", ".rar", ".zarr.tar", ".zarr.tar.gz")
HEAD_BYTES = 512
_MAX_UNPACKED = 1 << 29
_CHUNK = 1 << 20


def refuse_unknown_packing(name: str) -> None:
    """Nothing, for names that do not say that a file is packed in a way that is not read.

    Raises:
        ObservationError: it is.
    """
    suffix = next((end for end in _UNKNOWN if name.lower().endswith(end)), None)
    if suffix is not None:
        raise ObservationError(
            f"{name}: expected files, or zip, tar, gzip, bzip2 or xz, found {suffix}: unpack it first"
        )


def content_fault(head: bytes) -> str | None:
    """Why no file that begins with these bytes is a radar file, None where it may be one."""
    if not head:
        return "empty, not a byte in it"
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith((b"<!doctype html", b"<html")):
        return "expected a radar file, found a web page"
    return None


def check_content(path: Path, name: str) -> None:
    """Nothing, for a file that may be a radar file.

    Args:
        path: of the file.
        name: how the error calls it.

    Raises:
        ObservationError: it is empty or a web page.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if fault := content_fault(head):
        raise ObservationError(f"{name}: {fault}")


def is_packed(path: Path) -> bool:
    """Whether a file is packed, whatever its name.

    Raises:
        ObservationError: it is, in a way that is not read.
    """
    with path.open("rb") as file:
        head = file.read(6)
    if head.startswith(_ZSTANDARD):
        raise ObservationError(f"{path}: expected gzip, bzip2 or xz, found Zstandard: unpack it first")
    return head.startswith(tuple(_OPENERS))


def unpack(path: Path, folder: Path) -> Path:
    """A packed file unpacked into ``folder``; other files as they are.

    Raises:
        ObservationError: it is damaged, empty, or too large.
    """
    if not is_packed(path):
        return path
    with path.open("rb") as file:
        head = file.read(6)
    opener = next(opener for magic, opener in _OPENERS.items() if head.startswith(magic))
    unpacked = folder / (path.stem if path.suffix in _SUFFIXES else f"{path.name}.unpacked")
    try:
        with opener(path, "rb") as packed, unpacked.open("wb") as file:
            copy_limited(packed, file, str(path))
    except ObservationError:
        raise
    except Exception as error:  # OSError, EOFError, zlib.error, LZMAError, and what bz2 raises
        raise ObservationError(f"{path}: damaged or cut short ({error})") from error
    check_content(unpacked, str(path))
    return unpacked


def copy_limited(source: Any, target: IO[bytes], name: str) -> None:
    """Copy all of a file that may be packed or remote.

    Raises:
        ObservationError: more than 512 MiB.
    """
    written = 0
    while block := source.read(_CHUNK):
        written += len(block)
        if written > _MAX_UNPACKED:
            raise ObservationError(
                f"{name}: expected at most {_MAX_UNPACKED >> 20} MiB a file when fetched or unpacked"
            )
        target.write(block)
