"""Where an archive is made: a folder, or a URL of an object store that fsspec writes to.

A new folder takes its name when it is complete. What has no folders to rename becomes an archive with its
last object: frames are put first, then what is as long as the series, then what describes them, and the
root's `.zgroup`, without which nothing opens it, last.

An archive that grows gets the new frames, then fuller chunks of its times and counts, then the
descriptions, and `.zmetadata`, by which readers know its length, last. Whenever that ends, readers find the
old archive or the new one. Each file is replaced as a whole; that an object is put as a whole is what
object stores promise.
"""

import hashlib
import os
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Protocol, TypeVar

from ssldm.atomic import replacing
from ssldm.errors import ObservationError, OutputError
from ssldm.radar.archive_store import VARIABLE
from ssldm.radar.fetching import fault
from ssldm.radar.folders import ZARR_MARKS
from ssldm.radar.patience import patiently
from ssldm.radar.store_urls import local_path

_AT_ONCE, _BATCH = 16, 256
METADATA = (".zarray", ".zattrs", ".zgroup", ".zmetadata")

T = TypeVar("T")


class Target(Protocol):
    """A place for an archive.

    Attributes:
        place: of it, as the user named it.
        aside: local folder that it is made in.
    """

    place: str
    aside: Path

    def exists(self) -> bool:
        """Whether anything is there."""
        ...

    def publish(self, store: Path) -> None:
        """Make a complete local store the archive."""
        ...

    def add(self, store: Path) -> None:
        """Put files of a local store over the archive's: more frames, and what describes all of them."""
        ...


def target_of(out: Path | str) -> Target:
    """The target at a path or URL.

    Raises:
        OutputError: a name of another kind of file, or a place that nothing can be written to.
    """
    path = local_path(out)
    name = str(out).rstrip("/").rpartition("/")[2] if path is None else path.name
    _check_name(str(out), name)
    if path is not None:
        return _Folder(path)
    if str(out).startswith("http") or "::" in str(out):
        raise OutputError(
            f"{out}: expected a folder or an object store to write to, found what can only be read"
        )
    return _Objects(str(out).rstrip("/"), name)


def check_new(target: Target) -> None:
    """Refuse to write over what is there.

    Raises:
        ObservationError: something is at the target.
    """
    if target.exists():
        raise ObservationError(f"expected a new archive, found one at {target.place}")


def _check_name(place: str, name: str) -> None:
    """Refuse names that say of a folder that it is a file; one that ends in a number says nothing."""
    suffix = Path(name).suffix.removeprefix(".").lower()
    if suffix != "zarr" and any(letter.isalpha() for letter in suffix):
        raise OutputError(f"{place}: expected a name ending in .zarr, or in nothing, for an archive")


class _Folder:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.place = str(path)
        self.aside = path.with_name(f"{path.name}.partial")

    def exists(self) -> bool:
        return os.path.lexists(self.path)

    def publish(self, store: Path) -> None:
        check_new(self)
        store.rename(self.path)

    def add(self, store: Path) -> None:
        for stage in _stages(store):
            for name in stage:
                with replacing(self.path / name) as aside:
                    aside.write_bytes((store / name).read_bytes())


class _Objects:
    def __init__(self, url: str, name: str) -> None:
        import fsspec

        self.place = url
        # In the current folder: there is none beside an object.
        self.aside = Path(f"{name}-{hashlib.sha256(url.encode()).hexdigest()[:8]}.partial")
        try:
            self.files, self.root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise OutputError(f"{url}: expected a folder or URL to write to ({error})") from error

    def exists(self) -> bool:
        self.files.invalidate_cache()
        return self._reached(
            lambda: any(
                self.files.exists(f"{self.root}/{mark}") for mark in ZARR_MARKS if mark != ".zmetadata"
            )
        )

    def publish(self, store: Path) -> None:
        check_new(self)
        self.add(store)

    def add(self, store: Path) -> None:
        log = _Log(self.aside / "put", self._names())
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            for stage in _stages(store):
                for first in range(0, len(stage), _BATCH):  # or an error would be heard after all the others
                    some = stage[first : first + _BATCH]
                    list(threads.map(lambda name: self._put(store, name, log), some))

    def _put(self, store: Path, name: str, log: "_Log") -> None:
        """Put one object, unless an earlier build that was cut short has."""
        content = (store / name).read_bytes()
        entry = f"{hashlib.sha256(content).hexdigest()} {name}"
        if entry not in log.entries:
            self._reached(lambda: self.files.pipe_file(f"{self.root}/{name}", content))
            log.add(entry)

    def _names(self) -> set[str]:
        """What is there, whole archive or not."""
        self.files.invalidate_cache()
        found = self._reached(lambda: self.files.find(self.root))
        return {path.removeprefix(f"{self.root}/") for path in found}

    def _reached(self, action: Callable[[], T]) -> T:
        try:
            return patiently(action)
        except Exception as error:
            raise OutputError(f"{self.place}: {fault(error, self.place)}") from error


class _Log:
    """What has been put, so that a build that was cut short need not put it again."""

    def __init__(self, path: Path, there: Collection[str]) -> None:
        self.path = path
        self._lock = Lock()
        lines = path.read_text().splitlines() if path.exists() else []
        # Names do not tell contents, and what was put may have been taken away.
        self.entries = {line for line in lines if line.partition(" ")[2] in there}

    def add(self, entry: str) -> None:
        with self._lock, self.path.open("a") as file:
            file.write(f"{entry}\n")


def _stages(store: Path) -> list[list[str]]:
    """The files of a store in the order of writing: each list only when those before it are there."""
    names = sorted(path.relative_to(store).as_posix() for path in store.rglob("*") if path.is_file())
    last = [".zmetadata", ".zgroup"]
    metadata = [name for name in names if Path(name).name in METADATA and name not in last]
    data = [name for name in names if Path(name).name not in METADATA]
    frames = [name for name in data if f"/{VARIABLE}/" in f"/{name}"]
    return [frames, sorted(set(data) - set(frames)), metadata, *([name] for name in last)]
