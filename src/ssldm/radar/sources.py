"""Where radar files lie: paths, patterns, folders, zip and tar archives, and anything that fsspec opens."""

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssldm.errors import ConfigurationError, NoDataError, ObservationError
from ssldm.radar.fetching import fault, fetch, prepare_fsspec
from ssldm.radar.folders import (
    ZARR_MARKS,
    exists,
    files_below,
    is_folder,
    is_left_out,
    matching,
    partial_name,
)
from ssldm.radar.unpacking import check_content, is_packed, refuse_unknown_packing, unpack

Place = str | os.PathLike[str]
Source = Place | Sequence[Place]

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
            ObservationError: a file that cannot be fetched, is empty, a web page or a container, or unpacks
                to more than 512 MiB.
        """
        path = Path(self.url)
        if not self.remote and path.is_dir():
            yield path
            return
        if _container(self.name) is not None:
            raise ObservationError(
                f"{self.url}: expected a file, found a container in a folder or in a container: "
                "name it by itself, or unpack it first"
            )
        if not self.remote:
            if not path.is_file():
                raise ObservationError(f"{path}: expected a file or a folder, found neither")
            check_content(path, self.url)
            if not is_packed(path):
                yield path
                return
        with tempfile.TemporaryDirectory(prefix="ssldm-") as folder:
            copy = Path(folder) / self.name
            if self.remote:
                fetch(self.url, copy)
            yield unpack(copy if self.remote else path, Path(folder))


def resolve(source: Source) -> list[Item]:
    """The items that a source names, sorted within each pattern, folder or container.

    Files with a `partial_name` are left out, unless the source names the very file.

    Raises:
        ObservationError: a part of the source that names no file, or lies where nothing can be reached.
        ConfigurationError: something that is no path, pattern or URL.
    """
    items: list[Item] = []
    for part in _parts(source):
        found = _remote(part) if "://" in part else _local(Path(part))
        if not found:
            raise NoDataError(f"expected radar files, found nothing at {part}")
        items += found
    if not items:
        raise ObservationError("expected radar files, found an empty list")
    return items


def _parts(source: Any) -> list[str]:
    """Every path, pattern and URL of a source."""
    alone = isinstance(source, str | os.PathLike)
    listed = isinstance(source, Iterable) and not isinstance(source, bytes | bytearray | Mapping)
    parts = [source] if alone or not listed else list(source)
    for part in parts:
        name = os.fspath(part) if isinstance(part, str | os.PathLike) else None
        if not isinstance(name, str) or not name.strip():
            found = "an empty name" if isinstance(name, str) else repr(part)
            raise ConfigurationError(f"expected a path, a pattern, a URL or a list of these, found {found}")
    return [os.fspath(part) for part in parts]


def _local(path: Path) -> list[Item]:
    if not exists(path):
        found = [match for match in matching(str(path)) if is_folder(match) or not partial_name(match.name)]
        return list(dict.fromkeys(item for match in found for item in _local(match)))
    if is_folder(path):
        return [Item(str(p)) for p in files_below(path)]
    return _contents(path)


def _contents(path: Path) -> list[Item]:
    """The members of a zip or tar archive, or the file itself."""
    kind = _container(path.name) if path.is_file() else None
    if kind is None:
        return [Item(str(path))]
    check_content(path, str(path))
    return _members(kind, str(path))


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
        raise ObservationError(f"{container}: {fault(error, container)}") from error
    marked = {name.rpartition("/")[0] for name in names if name.rpartition("/")[2] in ZARR_MARKS}
    root = min(marked, key=len, default=None)
    within = f"{root}/" if root else ""
    return root if root is not None and all(name.startswith(within) for name in names) else None


def _remote(url: str) -> list[Item]:
    """What fsspec finds; a chain like ``zip://*.h5::https://…`` is kept whole."""
    import fsspec

    prepare_fsspec(url)
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
        # On the web a store is told by its name: a silent server is waited for at every question.
        folder = not wild and (not web or Item(url).name.endswith(".zarr"))
        if folder and any(filesystem.exists(f"{path.rstrip('/')}/{mark}") for mark in ZARR_MARKS):
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
        raise ObservationError(f"{url}: {fault(error, url)}") from error
    named = len(paths) == 1 and not wild and Path(paths[0]).name == Path(path).name
    files = sorted(p for p in paths if named or not is_left_out(Path(p).name))
    protocol = inner.split("://", maxsplit=1)[0]
    names = [p if "://" in p else f"{protocol}://{p.lstrip('/') if separator else p}" for p in files]
    return [Item(f"{name}{separator}{outer}") for name in names]
