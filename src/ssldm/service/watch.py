"""The newest frames of a domain's files; each file is read once, in a process that may crash."""

import logging
import warnings
from collections.abc import Hashable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import xarray as xr

from ssldm.errors import NoDataError, ObservationError
from ssldm.radar.formats.protocol import ReadOptions
from ssldm.radar.isolation import crash_of, pieces_of, process_pool
from ssldm.radar.newest import Wanted, read_newest
from ssldm.radar.open import read_options
from ssldm.radar.sources import Item
from ssldm.service.config import DomainConfig

_log = logging.getLogger(__name__)


class Watch:
    """Files of a domain, looked at again and again.

    A file that changes is read again; one that cannot be read is passed over until it does.

    Args:
        domain: what to watch.
        frames: how many frames back.
    """

    def __init__(self, domain: DomainConfig, frames: int) -> None:
        self._domain = domain
        self._frames = frames
        self._options = read_options(domain.zr, domain.max_rate)
        self._reader = _Reader()
        self._known: dict[Hashable, list[xr.DataArray] | ObservationError] = {}
        self._used: set[Hashable] = set()
        self._told: set[str] = set()

    def look(self, until: np.datetime64) -> xr.DataArray | None:
        """Frames up to a time, ``(time, y, x)`` in mm/h, in memory; None where there are none.

        Raises:
            ObservationError: files, of which none can be read.
        """
        self._used = set()
        wanted = Wanted(self._frames, until, skip_damaged=True)
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            try:
                frames = read_newest(
                    list(self._domain.watch), wanted, self._options, self._domain.format, read=self._read
                )
            except NoDataError:
                frames = None
        self._tell({str(each.message) for each in found if each.category.__module__.startswith("ssldm")})
        self._known = {key: self._known[key] for key in self._used}
        return frames

    def close(self) -> None:
        """End the process that reads."""
        self._reader.close()

    def _read(self, item: Item) -> list[xr.DataArray]:
        key = _state_of(item)
        if key not in self._known:
            try:
                self._known[key] = self._reader.read(item, self._options, self._domain.format)
            except ObservationError as error:
                if item.remote:  # which may be the network's fault, and has no date: tried again
                    raise
                self._known[key] = error
        self._used.add(key)
        found = self._known[key]
        if isinstance(found, ObservationError):
            raise found
        return found

    def _tell(self, notes: set[str]) -> None:
        """Each note once, for as long as it holds."""
        for note in sorted(notes - self._told):
            _log.warning(note, extra={"domain": self._domain.name})
        self._told = notes


class _Reader:
    """One process that reads files; another takes its place when a file crashes it."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None

    def read(self, item: Item, options: ReadOptions, form: str | None) -> list[xr.DataArray]:
        """All frames of a file.

        Raises:
            ObservationError: it cannot be read, or crashes its reader.
        """
        if self._pool is None:
            self._pool = process_pool(1, fresh=True)
        try:
            return self._pool.submit(pieces_of, item, options, form).result()
        except BrokenProcessPool as error:
            self.close()
            raise crash_of(item.url) from error

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None


def _state_of(item: Item) -> Hashable:
    """What tells whether a file is still the one that was read: what is not local is taken for unchanged."""
    if item.remote:
        return item.url
    try:
        found = Path(item.url).stat()
    except OSError:
        return item.url, None
    return item.url, found.st_ino, found.st_size, found.st_mtime_ns
