"""Wet and observed pixels of the blocks of a frame: what windows are chosen by, without reading frames.

`build_archive` counts them once and keeps them in the archive: `WET` and `OBSERVED`, ``(time, block_y,
block_x)``, for squares of `BLOCK` pixels from the first row and column on; pixels that fill no square are
left out. Squares of any multiple of `BLOCK` are sums of these. They lie in a group below the series', as
MLCast asks of all arrays beside the rain that they be rain, too.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ssldm.radar.store_urls import zarr_store
from ssldm.radar.units import WET_MM_PER_HOUR

BLOCK = 32
COUNTS = "block_counts"
WET, OBSERVED = "wet_pixels", "observed_pixels"
COUNT_DIMENSIONS = ("time", "block_y", "block_x")
DESCRIPTIONS = {
    WET: f"pixels of a block of {BLOCK}x{BLOCK} at or above {WET_MM_PER_HOUR:g} mm h-1",
    OBSERVED: f"observed pixels of a block of {BLOCK}x{BLOCK}",
}
# Blocks of the frames of a chunk: four mebibytes.
_CHUNK = 1 << 21
# So many are fetched at the same time.
_CHUNKS_AT_ONCE = 4
_URL, _GROUP = "archive", "archive_group"

Shares = tuple[NDArray[np.float32], NDArray[np.float32]]


def count_blocks(frame: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Wet and observed pixels ``(2, block_y, block_x)`` of the blocks of a frame ``(y, x)`` in mm/h."""
    rows, columns = (size // BLOCK for size in frame.shape)
    whole = frame[: rows * BLOCK, : columns * BLOCK]
    masks = np.stack([whole >= WET_MM_PER_HOUR, np.isfinite(whole)])
    blocks = masks.reshape(2, rows, BLOCK, columns, BLOCK)
    return np.asarray(blocks.sum(axis=(2, 4)), np.uint16)


def frames_per_chunk(rows: int, columns: int) -> int:
    """How many frames' counts make a chunk of an archive: a power of two."""
    return 1 << max((_CHUNK // max(rows * columns, 1)).bit_length() - 1, 0)


def remember_archive(data: xr.DataArray, url: str, group: str | None) -> None:
    """Note which archive a series is of, so that `KeptCounts` finds its counts; parts of it keep the note."""
    data.encoding |= {_URL: url, _GROUP: group}


def group_of(data: xr.DataArray) -> str:
    """Group of a series in the archive that it is of; empty for the root."""
    return data.encoding.get(_GROUP) or ""


@dataclass(frozen=True)
class BlockCounts:
    """The counts that an archive keeps of the frames of a series, or of a part of it.

    Attributes:
        wet, observed: of all frames of the archive.
        frames: which of them are the series'.
    """

    wet: "_Counts"
    observed: "_Counts"
    frames: NDArray[np.intp]

    def shares(self, first: int, last: int, block: int) -> Shares:
        """Wet and observed share of blocks of ``block`` pixels, a multiple of `BLOCK`.

        Args:
            first, last: which frames of the series; the last is left out.

        Returns:
            ``(time, rows, columns)`` each.
        """
        some = self.frames[first:last]
        counts = (_sums(each.of(some), block // BLOCK) for each in (self.wet, self.observed))
        wet, seen = ((count / block**2).astype(np.float32) for count in counts)
        return wet, seen


class _Counts:
    """An array of an archive, of which what was read last is kept: the next frames begin where others end."""

    def __init__(self, array: Any) -> None:
        self.array = array
        self.length = _CHUNKS_AT_ONCE * array.chunks[0]
        self._held: dict[int, NDArray[np.uint16]] = {}

    def of(self, frames: NDArray[np.intp]) -> NDArray[np.uint16]:
        """Counts of some frames, which rise."""
        pieces, places = np.divmod(frames, self.length)
        numbers, firsts = np.unique(pieces, return_index=True)
        parts = zip(numbers.tolist(), np.split(places, firsts[1:]), strict=True)
        return np.concatenate([self._piece(number)[some] for number, some in parts])

    def _piece(self, number: int) -> NDArray[np.uint16]:
        if number not in self._held:
            while len(self._held) > 1:
                del self._held[min(self._held)]
            self._held[number] = np.asarray(self.array[number * self.length : (number + 1) * self.length])
        return self._held[number]


class KeptCounts:
    """Finds the counts that archives keep, and opens each archive once."""

    def __init__(self) -> None:
        self._opened: dict[tuple[str, str], _ArchiveCounts | None] = {}

    def of(self, data: xr.DataArray) -> BlockCounts | None:
        """The counts of a series, or of a part of one; None where its archive has none of all its frames."""
        if (url := data.encoding.get(_URL)) is None:
            return None
        place = url, group_of(data)
        if place not in self._opened:
            self._opened[place] = _open_counts(*place)
        if (held := self._opened[place]) is None:
            return None
        wanted = data["time"].values
        frames = np.searchsorted(held.times, wanted)
        if not (frames < len(held.times)).all() or not np.array_equal(held.times[frames], wanted):
            return None
        return BlockCounts(held.wet, held.observed, frames)


@dataclass(frozen=True)
class _ArchiveCounts:
    wet: _Counts
    observed: _Counts
    times: NDArray[np.datetime64]


def _open_counts(url: str, group: str) -> _ArchiveCounts | None:
    import zarr

    node = zarr.open_group(zarr_store(url), path=group, mode="r")
    if COUNTS not in node:
        return None
    wet, observed = (node[f"{COUNTS}/{name}"] for name in (WET, OBSERVED))
    times = xr.open_zarr(zarr_store(url), group=group or None, chunks=None)["time"].values
    if not len(times) == wet.shape[0] == observed.shape[0]:
        return None
    return _ArchiveCounts(_Counts(wet), _Counts(observed), times)


def _sums(counts: NDArray[np.uint16], times: int) -> NDArray[np.uint32]:
    """Sums over squares of ``times`` blocks; those that fill no square are left out."""
    frames, rows, columns = counts.shape[0], counts.shape[1] // times, counts.shape[2] // times
    squares = counts[:, : rows * times, : columns * times].reshape(frames, rows, times, columns, times)
    total = np.zeros((frames, rows, columns), np.uint32)
    for row in range(times):
        for column in range(times):
            total += squares[:, :, row, :, column]
    return total
