"""Zarr stores that end in one error, and nothing half-written, when the disk is full."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from zarr.storage import LocalStore

from ssldm.atomic import raising_kept, replacing_folder


@contextmanager
def replacing_zarr(path: Path, replaceable: Callable[[Path], bool]) -> Iterator[LocalStore]:
    """What `ssldm.atomic.replacing_folder` does, as a store for zarr or xarray to write to.

    Raises:
        OutputError: what is at ``path`` is not to be replaced.
        OSError: the first failure to write, such as a full disk.
    """
    with replacing_folder(path, replaceable) as aside:
        store = _Remembering(aside)
        with raising_kept(store, path):
            yield store


class _Remembering(LocalStore):  # type: ignore[misc]  # zarr is not typed here
    """A store that keeps its first error for later and pretends from then on.

    Zarr writes chunks at the same time and waits for none of the others once one has failed: they would make
    new files in a folder that is being removed.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.error: OSError | None = None

    async def set(self, key: str, value: Any) -> None:
        """Write a chunk or metadata."""
        if self.error is not None:
            return
        try:
            await super().set(key, value)
        except OSError as error:
            self.error = self.error or error
