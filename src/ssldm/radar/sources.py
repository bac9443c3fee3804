"""Where radar files lie: paths, patterns, folders, zip and tar archives, and anything that fsspec opens."""

import glob
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssldm.errors import NoDataError, ObservationError
from ssldm.radar.unpacking import copy_limited, is_packed, refuse_unknown_packing, unpack

Source = str | Path | Sequence[str | Path]

ZARR_MARKS = ("zarr.json", ".zgroup", ".zmetadata")
# Coordinates, catalogues, masks and notes, which the readers find for themselves.
_COMPANIONS = ("radar_coords_*.npz", "CATALOG.csv", "*.mask", "README*", "*.md")
# What programs call a file while they write it.
_PARTIAL = (".part", ".partial", ".filepart", ".tmp", ".temp", ".crdownload", "~")
_CONTAINERS = {
    ".zip": "zip",
    ".tar": "tar",
    ".tar.gz": "tar",
    ".tgz": "tar",
    ".tar.bz2": "tar",
    ".tbz2": "tar",
    ".tbz": "tar",
    ".tar.xz": "tar",
    ".txz": "tar",
}
# Which fsspec would take for tar archives that are not compressed.
_COMPRESSED = {"tgz": "gzip", "tbz2": "bz2", "tbz": "bz2", "txz": "xz"}


@dataclass(frozen=True)
class Item:
    """One file (or Zarr store) of a source; ``url`` is a path or what fsspec takes."""

    url: str

    @property
    def name(self) -> str:
        """The file's own name; several products keep their time in it."""
        inner, chained, outer = self.url.partition("::")
        if chained and inner.endswith("://"):  # the root of a container, which then is a store
            inner = outer
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
            if not (path.is_file() or path.is_dir()):
                raise ObservationError(f"{path}: expected a file or a folder, found neither")
            if path.is_dir() or not is_packed(path):
                yield path
                return
        with tempfile.TemporaryDirectory(prefix="ssldm-") as folder:
            copy = Path(folder) / self.name
            if self.remote:
                _fetch(self.url, copy)
            yield unpack(copy if self.remote else Path(self.url), Path(folder))


def resolve(source: Source) -> list[Item]:
    """The items that a source names, sorted within each pattern, folder or container.

    Files with a `partial_name` are left out, unless the source names the very file.

    Raises:
        ObservationError: a part of the source that names no file, or lies where nothing can be reached.
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


def partial_name(name: str) -> bool:
    """Whether a file of this name is hidden or still being written."""
    return name.startswith(".") or name.lower().endswith(_PARTIAL)


def _is_left_out(name: str) -> bool:
    return partial_name(name) or any(Path(name).match(pattern) for pattern in _COMPANIONS)


def _local(path: Path) -> list[Item]:
    if not path.exists():
        matches = [Path(name) for name in sorted(glob.glob(str(path), recursive=True))]  # noqa: PTH207
        found = [match for match in matches if _is_folder(match) or not partial_name(match.name)]
        return list(dict.fromkeys(item for match in found for item in _local(match)))
    if _is_folder(path):
        return [Item(str(p)) for p in sorted(_walk(path))]
    return _contents(path)


def _walk(folder: Path) -> Iterator[Path]:
    """Files and stores below a folder, less what is hidden, partial or belongs to other files."""
    for path in folder.iterdir():
        if _is_folder(path):
            yield from () if path.name.startswith(".") or path.suffix == ".partial" else _walk(path)
        elif not _is_left_out(path.name) and (path.is_file() or path.is_dir()):
            yield path


def _is_folder(path: Path) -> bool:
    """Whether a path is a folder of files, not a store."""
    return path.is_dir() and not any((path / mark).exists() for mark in ZARR_MARKS)


def _contents(path: Path) -> list[Item]:
    """The members of a zip or tar archive, or the file itself."""
    kind = None if path.is_dir() else _container(path.name)
    return [Item(str(path))] if kind is None else _members(kind, str(path))


def _container(name: str) -> str | None:
    """How fsspec opens a container of this name, None for other files.

    Raises:
        ObservationError: a container that is not read.
    """
    refuse_unknown_packing(name)
    return next((kind for suffix, kind in _CONTAINERS.items() if name.lower().endswith(suffix)), None)


def _members(kind: str, container: str) -> list[Item]:
    """What a container holds: a Zarr store, or files."""
    if kind == "zip" and (store := _store_in(container)) is not None:
        return [Item(f"zip://{store}::{container}")]
    return _remote(f"{kind}://**::{container}")


def _store_in(container: str) -> str | None:
    """The place of the Zarr store in a zip archive that holds one and nothing else, else None."""
    import fsspec

    try:
        filesystem, _ = fsspec.core.url_to_fs(f"zip://::{container}")
        names = filesystem.find("")
    except Exception as error:
        raise ObservationError(f"{container}: {_fault(error, container)}") from error
    marked = {name.rpartition("/")[0] for name in names if name.rpartition("/")[2] in ZARR_MARKS}
    root = min(marked, key=len, default=None)
    within = f"{root}/" if root else ""
    return root if root is not None and all(name.startswith(within) for name in names) else None


def _remote(url: str) -> list[Item]:
    """What fsspec finds; a chain like ``zip://*.h5::https://…`` is kept whole."""
    import fsspec

    _know_compressed_containers()
    inner, separator, outer = url.partition("::")
    if not separator and (kind := _container(Item(url).name)) is not None:
        if kind == "tar" and not Item(url).name.lower().endswith(".tar"):
            raise ObservationError(
                f"{url}: expected zip or tar, found a compressed tar archive: fetch it first"
            )
        return _members(kind, f"simplecache::{url}")
    web = inner.startswith("http")
    try:
        filesystem, path = fsspec.core.url_to_fs(url)
        # A question mark in a web address begins its query.
        wild = any(c in path for c in ("*[" if web else "*?["))
        if not wild and any(filesystem.exists(f"{path.rstrip('/')}/{mark}") for mark in ZARR_MARKS):
            return [Item(url)]
        if wild:
            paths = [p for p in filesystem.glob(path) if filesystem.isfile(p)]
            if web and not paths:
                filesystem.info(
                    path[: min(path.index(c) for c in "*[" if c in path)].rpartition("/")[0] + "/"
                )
        elif web:
            filesystem.info(path)
            return [Item(url)]
        else:
            paths = filesystem.find(path)
    except Exception as error:
        raise ObservationError(f"{url}: {_fault(error, url)}") from error
    named = len(paths) == 1 and not wild and Path(paths[0]).name == Path(path).name
    files = sorted(p for p in paths if named or not _is_left_out(Path(p).name))
    protocol = inner.split("://", maxsplit=1)[0]
    names = [p if "://" in p else f"{protocol}://{p.lstrip('/') if separator else p}" for p in files]
    return [Item(f"{name}{separator}{outer}") for name in names]


def _know_compressed_containers() -> None:
    from fsspec.utils import compressions

    for suffix, compression in _COMPRESSED.items():
        compressions.setdefault(suffix, compression)


def _fetch(url: str, target: Path) -> None:
    import fsspec

    _know_compressed_containers()
    try:
        with fsspec.open(url, "rb") as remote, target.open("wb") as file:
            copy_limited(remote, file, url)
    except ObservationError:
        raise
    except Exception as error:
        raise ObservationError(f"{url}: {_fault(error, url)}") from error


def _fault(error: BaseException, url: str) -> str:
    """What kept a file from being reached: what the server answered, or that there was no answer."""
    container = url.rpartition("::")[2]
    if isinstance(error, FileNotFoundError) and "::" in url and container.startswith("http"):
        error = _web_error(container) or error
    causes: list[Any] = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None and cause not in causes:
        causes.append(cause)
    for cause in causes:
        status = getattr(cause, "status", None)
        if isinstance(status, int) and status:
            return f"the server answered {status} ({getattr(cause, 'message', '') or 'no reason given'})"
    for cause in causes:
        if isinstance(cause, ConnectionError | TimeoutError) or hasattr(cause, "host"):
            return f"the server cannot be reached ({cause})"
    return f"cannot be reached ({type(error).__name__}: {error})"


def _web_error(url: str) -> Exception | None:
    """What a web server says when asked for a file; containers do not pass it on."""
    import fsspec

    try:
        filesystem, path = fsspec.core.url_to_fs(url)
        filesystem.info(path)
    except Exception as error:  # noqa: BLE001
        return error
    return None
