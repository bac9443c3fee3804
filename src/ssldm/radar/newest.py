"""The newest frames of a source: only the files that hold them are read, and only these frames are kept."""

import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

import numpy as np
import xarray as xr

from ssldm.errors import InputRepaired, NoDataError, ObservationError
from ssldm.radar.context import SOURCE_FILE
from ssldm.radar.formats.protocol import ReadOptions
from ssldm.radar.joining import join, not_yet_in
from ssldm.radar.open import read_item
from ssldm.radar.sources import Item, Source, resolve

# Stamps in file names, to the minute: with a year of four digits, of two, or the day of the year.
_STAMPS = (
    (re.compile(r"(?<!\d)(\d{4})\D?(\d\d)\D?(\d\d)\D?(\d\d)\D?(\d\d)"), "%Y %m %d %H %M"),
    (re.compile(r"(?<!\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)"), "%y %m %d %H %M"),
    (re.compile(r"(?<!\d)(\d\d)(\d{3})(\d\d)(\d\d)"), "%y %j %H %M"),
)
_FIRST_YEAR, _LAST_YEAR = 1980, 2100
_DAY = np.timedelta64(1, "D")

Read = Callable[[Item], list[xr.DataArray]]


@dataclass(frozen=True)
class Wanted:
    """Which frames of a source are wanted.

    Attributes:
        frames: so many, the newest; fewer where there are no more.
        until: none after this time.
        skip_damaged: pass over what cannot be read and what comes twice, with a note.
    """

    frames: int
    until: np.datetime64 | None = None
    skip_damaged: bool = False


def read_newest(
    source: Source,
    wanted: Wanted,
    options: ReadOptions | None = None,
    format: str | None = None,  # noqa: A002
    *,
    read: Read | None = None,
) -> xr.DataArray:
    """The newest frames of radar files, in memory.

    Where all names hold a time, files are read from the newest backwards, until there are enough frames;
    else all are read. Each frame's file stands in the coordinate `SOURCE_FILE`.

    Args:
        source: what `open_radar` takes of files.
        wanted: how many, and until when.
        options, format: see `open_radar`.
        read: reads one file; `read_item` where None.

    Raises:
        NoDataError: no frame up to that time.
        ObservationError: what `open_radar` raises.
    """
    kept = _Kept(wanted)
    for item, stamp in _newest_first(resolve(source), kept):
        try:
            pieces = list(read_item(item, options, format)) if read is None else read(item)
            for piece in pieces:
                kept.add(item, piece, stamp)
        except ObservationError as error:
            if not wanted.skip_damaged:
                raise
            kept.refused.append(str(error))
            warnings.warn(f"skipped {error}", InputRepaired, stacklevel=2)
    return kept.joined()


class _Kept:
    """The newest frames of those that were read."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.pieces: list[xr.DataArray] = []
        self.refused: list[str] = []
        # How much later than the stamps in the files' names their first and their last frames are; a day
        # before, until a file has told.
        self.first_after, self.last_after = -_DAY, -_DAY
        self._told = False

    def add(self, item: Item, piece: xr.DataArray, stamp: np.datetime64 | None) -> None:
        """Take what is wanted of a piece, and let go of what is older than all that is wanted."""
        if stamp is not None:
            first, last = piece["time"].values[[0, -1]] - stamp
            self.first_after = min(self.first_after, first) if self._told else first
            self.last_after = max(self.last_after, last)
            self._told = True
        part = piece.sel(time=slice(None, self.wanted.until)).isel(time=slice(-self.wanted.frames, None))
        if not part.sizes["time"]:
            return
        names = np.full(part.sizes["time"], item.name)
        part = part.load().assign_coords({SOURCE_FILE: ("time", names)})
        if self.wanted.skip_damaged:
            part = not_yet_in(self.pieces, part, item.name)
        self.pieces.append(part)
        oldest = self.oldest
        if oldest is not None:
            newer = (each.sel(time=slice(oldest, None)) for each in self.pieces)
            self.pieces = [each.copy() for each in newer if each.sizes["time"]]

    @property
    def oldest(self) -> np.datetime64 | None:
        """The oldest frame wanted of those that are there; None while there are too few."""
        times = np.unique(
            np.concatenate([each["time"].values for each in self.pieces] or [np.empty(0, "M8[ns]")])
        )
        if len(times) < self.wanted.frames:
            return None
        oldest: np.datetime64 = times[-self.wanted.frames]
        return oldest

    def joined(self) -> xr.DataArray:
        """All frames as one series.

        Raises:
            NoDataError: there are none.
        """
        pieces = [each for each in self.pieces if each.sizes["time"]]
        if pieces:
            return join(pieces)
        if self.refused:
            raise ObservationError(self.refused[0])
        until = (
            ""
            if self.wanted.until is None
            else f" until {np.datetime_as_string(self.wanted.until, unit='m')}"
        )
        raise NoDataError(f"expected radar frames{until}, found none")


def _newest_first(items: Sequence[Item], kept: _Kept) -> Iterator[tuple[Item, np.datetime64 | None]]:
    """Items and the stamps in their names, the newest first, as long as they may hold a wanted frame."""
    stamps = [stamp_of(item.name) for item in items]
    if None in stamps:
        yield from ((item, None) for item in items)
        return
    order = np.argsort(np.array(stamps, "datetime64[ns]"), kind="stable")[::-1]
    until = kept.wanted.until
    for i in order:
        stamp = cast(np.datetime64, stamps[i])
        # A stamp may be the start of an hour's frames, or local time, but not that of a later reprocessing.
        if kept.first_after >= -_DAY:
            if until is not None and stamp + kept.first_after > until:
                continue
            if (oldest := kept.oldest) is not None and stamp + kept.last_after < oldest:
                return
        yield items[i], stamp


def stamp_of(name: str) -> np.datetime64 | None:
    """The time that a file's name holds, to the minute; None where it holds none, or what may be several."""
    for pattern, form in _STAMPS:
        for match in pattern.finditer(name):
            try:
                time = datetime.strptime(" ".join(match.groups()), form)
            except ValueError:
                continue
            if _FIRST_YEAR <= time.year <= _LAST_YEAR:
                return np.datetime64(time, "ns")
    return None
