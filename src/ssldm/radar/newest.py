"""The newest frames of a source: only the files that hold them are read, and only these frames are kept."""

import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ssldm.errors import InputRepaired, NoDataError, ObservationError
from ssldm.radar.archive_store import series_key
from ssldm.radar.context import SOURCE_FILE
from ssldm.radar.formats.protocol import ReadOptions
from ssldm.radar.joining import join, not_yet_in
from ssldm.radar.open import loaded, read_item
from ssldm.radar.sources import Item, Source, resolve

# Stamps in file names, to the minute: with a year of four digits, of two, or the day of the year.
_STAMPS = (
    (re.compile(r"(?<!\d)(\d{4})\D?(\d\d)\D?(\d\d)\D?(\d\d)\D?(\d\d)"), "%Y %m %d %H %M"),
    (re.compile(r"(?<!\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)"), "%y %m %d %H %M"),
    (re.compile(r"(?<!\d)(\d\d)(\d{3})(\d\d)(\d\d)"), "%y %j %H %M"),
)
_FIRST_YEAR, _LAST_YEAR = 1980, 2100
_DAY, _HOUR = np.timedelta64(1, "D"), np.timedelta64(1, "h")

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
            for piece in read_item(item, options, format) if read is None else read(item):
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
        part = loaded(part, item).assign_coords({SOURCE_FILE: ("time", names)})
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
        """All frames as one series; ``notes`` among the attributes tells of files that were skipped.

        Raises:
            NoDataError: there are none.
        """
        pieces = [each for each in self.pieces if each.sizes["time"]]
        if self.wanted.skip_damaged:
            pieces = _on_the_usual_grid(pieces)
        if pieces:
            skipped = {"notes": f"{len(self.refused)} damaged files skipped"} if self.refused else {}
            return join(pieces).assign_attrs(skipped)
        if self.refused:
            raise ObservationError(self.refused[0])
        until = ""
        if self.wanted.until is not None:
            until = f" until {np.datetime_as_string(self.wanted.until, unit='m')}"
        raise NoDataError(f"expected radar frames{until}, found none")


def _on_the_usual_grid(pieces: list[xr.DataArray]) -> list[xr.DataArray]:
    """Of each product and place, the pieces on the grid that most frames have; a note tells of the rest."""
    keys = [series_key(piece) for piece in pieces]
    frames: dict[tuple[Any, ...], Counter[str]] = {}
    for piece, key in zip(pieces, keys, strict=True):
        frames.setdefault(_product(piece), Counter())[key] += piece.sizes["time"]
    kept = []
    for piece, key in zip(pieces, keys, strict=True):
        if key == frames[_product(piece)].most_common(1)[0][0]:
            kept.append(piece)
        else:
            name = piece[SOURCE_FILE].values[0]
            warnings.warn(f"skipped {name}: it lies on another grid", InputRepaired, stacklevel=2)
    return kept


def _product(piece: xr.DataArray) -> tuple[Any, ...]:
    return piece.attrs.get("product"), piece.attrs.get("place")


def _newest_first(items: Sequence[Item], kept: _Kept) -> Iterator[tuple[Item, np.datetime64 | None]]:
    """Items and the stamps in their names, the newest first, as long as they may hold a wanted frame."""
    stamps = _telling_stamps([item.name for item in items])
    if stamps is None:
        yield from ((item, None) for item in items)
        return
    order = np.argsort(stamps, kind="stable")[::-1]
    until = kept.wanted.until
    for i in order:
        stamp = stamps[i]
        # A stamp may be the start of an hour's frames, or local time, but not that of a later reprocessing.
        if kept.first_after >= -_DAY:
            # Files of one product are not all equally late.
            if until is not None and stamp + kept.first_after - _HOUR > until:
                continue
            if (oldest := kept.oldest) is not None and stamp + kept.last_after < oldest:
                return
        yield items[i], stamp


def _telling_stamps(names: Sequence[str]) -> NDArray[np.datetime64] | None:
    """Of the times in files' names, the first that tells the files apart; None where none does."""
    found = [stamps_of(name) for name in names]
    for place in range(min(map(len, found), default=0)):
        stamps = np.array([each[place] for each in found], "datetime64[ns]")
        if len(np.unique(stamps)) == len(stamps):
            return stamps
    return None


def stamps_of(name: str) -> list[np.datetime64]:
    """The times that a file's name holds, to the minute, in the first of the usual forms that it has."""
    for pattern, form in _STAMPS:
        found: list[np.datetime64] = []
        for match in pattern.finditer(name):
            try:
                time = datetime.strptime(" ".join(match.groups()), form)
            except ValueError:
                continue
            if _FIRST_YEAR <= time.year <= _LAST_YEAR:
                found.append(np.datetime64(time, "ns"))
        if found:
            return found
    return []
