"""Where radar files lie: paths, patterns, folders, zip and tar archives, and anything that fsspec opens."""

import bz2
import glob
import gzip
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ssldm.errors import NoDataError, ObservationError

Source = str | Path | Sequence[str | Path]

ZARR_MARKS = ("zarr.json", ".zgroup", ".zmetadata")
# Coordinates, catalogues, masks and notes, which the readers find for themselves.
_COMPANIONS = ("radar_coords_*.npz", "CATALOG.csv", "*.mask", "README*", "*.md")
_CONTAINERS = {".zip": "zip", ".tar": "tar", ".tgz": "tar", ".tar.gz": "tar"}
_GZIP, _BZIP = b"\x1f\x8b", b"BZh"
_MAX_UNPACKED = 1 << 29
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Item:
    """One file (or Zarr store) of a source; ``url`` is a path or what fsspec takes."""

    url: str

    @property
    def name(self) -> str:
        """The file's own name; several products keep their time in it."""
        inner = self.url.split("::", maxsplit=1)[0]
        return Path(inner.split("?", maxsplit=1)[0] if inner.startswith("http") else inner).name

    @property
    def remote(self) -> bool:
        """Whether fsspec has to fetch it."""
        return "://" in self.url

    @contextmanager
    def local(self) -> Iterator[Path]:
        """The item as an unpacked local file under its own name; a copy is removed afterwards.

        Raises:
            ObservationError: a file that cannot be fetched, or unpacks to more than 512 MiB.
        """
        if not self.remote:
            path = Path(self.url)
            if path.is_dir() or not _packed(path):
                yield path
                return
        with tempfile.TemporaryDirectory(prefix="ssldm-") as folder:
            copy = Path(folder) / self.name
            if self.remote:
                _fetch(self.url, copy)
            yield _unpack(copy if self.remote else Path(self.url), Path(folder))


def resolve(source: Source) -> list[Item]:
    """The items that a source names, sorted within each pattern, folder or container.

    Raises:
        ObservationError: a part of the source that names no file.
    """
    parts: Iterable[str | Path] = [source] if isinstance(source, str | Path) else source
    items: list[Item] = []
    for part in parts:
        found = _remote(str(part)) if "://" in str(part) else _local(Path(part))
        if not found:
            raise NoDataError(f"expected radar files, found nothing at {part}")
        items += found
    if not items:
        raise ObservationError("expected radar files, found an empty list")
    return items


def _local(path: Path) -> list[Item]:
    if not path.exists():
        found = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207
        return list(dict.fromkeys(item for name in found for item in _local(Path(name))))
    if path.is_dir() and not _is_store(path):
        return [Item(str(p)) for p in sorted(_walk(path))]
    return _contents(path)


def _walk(folder: Path) -> Iterator[Path]:
    """Files and stores below a folder, less what is hidden and what belongs to other files."""
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if path.is_dir() and not _is_store(path):
            yield from () if path.suffix == ".partial" else _walk(path)
        elif not _is_companion(path.name):
            yield path


def _is_companion(name: str) -> bool:
    return any(Path(name).match(pattern) for pattern in _COMPANIONS)


def _contents(path: Path) -> list[Item]:
    """The members of a zip or tar archive, or the file itself."""
    suffix = next((s for s in _CONTAINERS if path.name.lower().endswith(s)), None)
    if suffix is None or path.is_dir():
        return [Item(str(path))]
    return _remote(f"{_CONTAINERS[suffix]}://**::{path}")


def _is_store(path: Path) -> bool:
    return path.is_dir() and any((path / mark).exists() for mark in ZARR_MARKS)


def _remote(url: str) -> list[Item]:
    """What fsspec finds; a chain like ``zip://*.h5::https://…`` is kept whole."""
    import fsspec

    inner, separator, outer = url.partition("::")
    try:
        filesystem, path = fsspec.core.url_to_fs(url)
        # A question mark in a web address begins its query.
        wild = any(c in path for c in ("*[" if inner.startswith("http") else "*?["))
        if not wild and any(filesystem.exists(f"{path.rstrip('/')}/{mark}") for mark in ZARR_MARKS):
            return [Item(url)]
        if wild:
            paths = [p for p in filesystem.glob(path) if filesystem.isfile(p)]
        elif inner.startswith("http"):
            paths = [path] if filesystem.exists(path) else []
        else:
            paths = filesystem.find(path)
        files = sorted(p for p in paths if not _is_companion(Path(p).name))
    except Exception as error:
        raise ObservationError(f"{url}: cannot be reached ({type(error).__name__}: {error})") from error
    protocol = inner.split("://", maxsplit=1)[0]
    names = [p if "://" in p else f"{protocol}://{p.lstrip('/') if separator else p}" for p in files]
    return [Item(f"{name}{separator}{outer}") for name in names]


def _fetch(url: str, target: Path) -> None:
    import fsspec

    try:
        with fsspec.open(url, "rb") as remote, target.open("wb") as file:
            _copy(remote, file, url)
    except ObservationError:
        raise
    except Exception as error:
        raise ObservationError(f"{url}: cannot be fetched ({type(error).__name__}: {error})") from error


def _packed(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(3).startswith((_GZIP, _BZIP))


def _unpack(path: Path, folder: Path) -> Path:
    """A gzip or bzip2 file unpacked into ``folder``; other files as they are."""
    if not _packed(path):
        return path
    with path.open("rb") as file:
        opener = gzip.open if file.read(2) == _GZIP else bz2.open
    unpacked = folder / (path.stem if path.suffix in {".gz", ".bz2"} else f"{path.name}.unpacked")
    try:
        with opener(path, "rb") as packed, unpacked.open("wb") as file:
            _copy(packed, file, str(path))
    except ObservationError:
        raise
    except Exception as error:  # OSError, EOFError, zlib.error, and what bz2 raises
        raise ObservationError(f"{path}: damaged or cut short ({error})") from error
    return unpacked


def _copy(source: IO[bytes] | gzip.GzipFile | bz2.BZ2File, target: IO[bytes], name: str) -> None:
    written = 0
    while block := source.read(_CHUNK):
        written += len(block)
        if written > _MAX_UNPACKED:
            raise ObservationError(
                f"{name}: expected at most {_MAX_UNPACKED >> 20} MiB a file when fetched or unpacked"
            )
        target.write(block)
