"""A Zarr store at a URL, to read: every request is repeated where it fails for a moment."""

import os
from collections.abc import Iterable
from typing import Any

from zarr.storage import FsspecStore, WrapperStore

from ssldm.radar.patience import awaited_patiently


class PatientStore(WrapperStore):  # type: ignore[misc]
    """The store at a URL that fsspec opens.

    Each process opens it for itself: connections do not outlive a fork, and workers of a data loader are
    forks.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._inner: tuple[int, Any] = (0, None)

    @property
    def _store(self) -> Any:
        process, store = self._inner
        if process != os.getpid():
            store = FsspecStore.from_url(self.url, read_only=True)
            self._inner = os.getpid(), store
        return store

    def _with_store(self, store: Any) -> "PatientStore":  # noqa: ARG002 - there is one for each process
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {"url": self.url, "_inner": (0, None)}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PatientStore) and self.url == other.url

    def __hash__(self) -> int:
        return hash(self.url)

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        return await awaited_patiently(lambda: self._store.get(key, prototype, byte_range))

    async def get_partial_values(self, prototype: Any, key_ranges: Iterable[Any]) -> list[Any]:
        wanted = list(key_ranges)
        found: list[Any] = await awaited_patiently(lambda: self._store.get_partial_values(prototype, wanted))
        return found

    async def exists(self, key: str) -> bool:
        return bool(await awaited_patiently(lambda: self._store.exists(key)))
