"""Training windows: where in the archives it rains, how to draw them by their rain, and how to read them."""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import accumulate
from math import ceil

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ssldm.errors import ObservationError
from ssldm.radar.block_counts import BLOCK as COUNTED
from ssldm.radar.block_counts import KeptCounts, Shares
from ssldm.radar.observations import pixel_size
from ssldm.radar.regrid import coarsen
from ssldm.radar.times import is_step, usual_step
from ssldm.radar.units import WET_MM_PER_HOUR
from ssldm.radar.window_parts import BLOCK, Runs, Window, WindowPart, Windows, parts_of


class WindowIndex:
    """All windows of gap-free frames in some series; importance within a product is the wet share.

    Args:
        series: lazily opened archives ``(time, y, x)``.
        frames: length of a window.
        size: side of a window in (coarsened) pixels.
        step_minutes: time step the windows must have.
        coarsenings: factors by which a series may be block-averaged first.
        rescaled: take series of another time step too, thinned or coarsened until rain moves as many pixels
            a frame as at ``step_minutes``, within a quarter: 10 minutes and 2 km for 5 minutes and 1 km.
        least_frames: windows may be so short, for want of frames; what they lack is unobserved.
        observed: least share of observed pixels.
        dry_weight: importance of a window without rain; that of a wet one is its wet share plus this.
        cache_bytes: decoded frames kept in memory, so that windows that share frames cost no second reading.

    Attributes:
        windows: all of them, each made when it is asked for.
        pixel_sizes: smallest and largest pixel in metres, rescaled to ``step_minutes``.

    Raises:
        ObservationError: no window fits.
    """

    def __init__(
        self,
        series: Sequence[xr.DataArray],
        *,
        frames: int,
        size: int,
        step_minutes: float,
        coarsenings: Sequence[float] = (1,),
        rescaled: bool = False,
        least_frames: int | None = None,
        observed: float = 0.5,
        dry_weight: float = 0.02,
        cache_bytes: int = 3 << 30,
    ) -> None:
        self.series = series
        self._frames = _FrameCache(series, cache_bytes)
        names = [str(data.attrs.get("product")) for data in series]
        self._products = [sorted(set(names)).index(name) for name in names]
        self.frames = frames
        self.size = size
        parts: list[WindowPart] = []
        pixel_sizes: list[float] = []
        kept = KeptCounts()
        for number, data in enumerate(series):
            step = step_minutes_of(data) if rescaled and frames > 1 else step_minutes
            every, factor = rescaling(step, step_minutes)
            runs = gap_free_runs(data["time"].values, step, frames, every, least_frames or frames)
            for coarsening in (factor * c for c in coarsenings):
                found = list(self._parts(number, coarsening, runs, observed, kept))
                if found:
                    pixel_sizes.append(pixel_size(data) * coarsening * step_minutes / (every * step))
                parts += found
        if not parts:
            raise ObservationError(
                f"expected gap-free windows of {frames} frames and {size}×{size} pixels, found none"
            )
        self.windows = Windows(parts)
        self.pixel_sizes = round(min(pixel_sizes)), round(max(pixel_sizes))
        self._balance(dry_weight)
        # Summed window by window, as over all at once: what is drawn is the same to the bit.
        self._ends = list(accumulate(parts, lambda end, part: _summed(end, part.weight), initial=0.0))

    def _parts(
        self, number: int, coarsening: float, runs: Runs, observed: float, kept: KeptCounts
    ) -> Iterator[WindowPart]:
        """The windows of one series at one coarsening; none where the domain is smaller than they are."""
        block = round(BLOCK * coarsening)
        sides = (self.series[number].sizes[axis] // block * BLOCK for axis in "yx")
        if len(runs) == 0 or min(sides) < self.size:
            return iter(())
        counts = kept.of(self.series[number])
        if counts is None or block % COUNTED:
            shares_of = partial(self._shares_of_pixels, number, block)
        else:
            shares_of = partial(counts.shares, block=block)
        return parts_of(number, coarsening, runs, shares_of, size=self.size, observed=observed)

    def _shares_of_pixels(self, number: int, block: int, first: int, last: int) -> Shares:
        """Wet and observed share ``(time, rows, columns)`` of blocks, from the frames themselves."""
        found = []
        for i in range(first, last):
            (frame,) = self._frames.read(number, range(i, i + 1))
            masks = np.stack([frame >= WET_MM_PER_HOUR, np.isfinite(frame)])
            found.append(coarsen(masks.astype(np.float32), block))
        wet, seen = np.stack(found, axis=1)
        return wet, seen

    def _balance(self, dry_weight: float) -> None:
        """Turn wet shares into probabilities: products are alike, or large domains would drown others."""
        totals = [0.0] * len(self.series)
        for part in self.windows.parts:
            part.weight[:] += dry_weight
            product = self._products[part.series]
            totals[product] = _summed(totals[product], part.weight)
        products = len({self._products[part.series] for part in self.windows.parts})
        for part in self.windows.parts:
            part.weight[:] /= totals[self._products[part.series]]
            part.weight[:] /= products

    @property
    def probability(self) -> NDArray[np.float64]:
        """Of each window, in one array that is made anew each time."""
        return np.concatenate([part.weight for part in self.windows.parts])

    def __len__(self) -> int:
        return len(self.windows)

    def draw(self, rng: np.random.Generator) -> Window:
        """One window, drawn by importance, then moved at random by half a block of 64 pixels at most."""
        drawn = rng.random()
        number = min(bisect_right(self._ends, drawn, lo=1) - 1, len(self.windows.parts) - 1)
        sums = np.cumsum(np.append(self._ends[number], self.windows.parts[number].weight))[1:]
        position = min(int(np.searchsorted(sums, drawn, side="right")), len(sums) - 1)
        window = self.windows.at(number, position)
        data = self.series[window.series]

        def moved(first: int, pixels: int) -> int:
            place = first + int(rng.integers(-BLOCK // 2, BLOCK // 2 + 1))
            return min(max(place, 0), int(pixels // window.coarsening) - self.size)

        row, column = moved(window.row, data.sizes["y"]), moved(window.column, data.sizes["x"])
        return replace(window, row=row, column=column)

    def correction(self, window: Window) -> float:
        """Weight of a window in a loss that is to be that of windows drawn evenly: 1 / (n p), 1 on average.

        Windows drawn by their rain make a network rain too much; see Horvitz and Thompson (1952).
        """
        part, position = self.windows.place(window.number)
        return float(1.0 / (len(self) * part.weight[position]))

    def read(self, window: Window) -> NDArray[np.float32]:
        """Rain rate ``(t, h, w)`` in mm/h of a window, NaN where unobserved."""
        factor, size = window.coarsening, self.size
        rate = np.full((self.frames, size, size), np.nan, np.float32)
        # Where a window of coarsening 1.5 begins within a pixel, with all of it.
        rows, columns = (
            slice(int(first * factor), int(first * factor) + ceil(size * factor))
            for first in (window.row, window.column)
        )
        frames = self._frames.read(window.series, window.times)
        rate[: len(frames)] = coarsen(np.stack([frame[rows, columns] for frame in frames]), factor)
        return rate


class _FrameCache:
    """The frames read last, whole: an archive's chunk is a frame, so a crop costs as much as all of it."""

    def __init__(self, series: Sequence[xr.DataArray], size: int) -> None:
        self.series = series
        self.size = size
        self.used = 0
        self.frames: OrderedDict[tuple[int, int], NDArray[np.float32]] = OrderedDict()

    def read(self, series: int, times: range) -> list[NDArray[np.float32]]:
        """Some frames of a series, ``(h, w)`` each."""
        keys = [(series, time) for time in times]
        missing = [time for _, time in (key for key in keys if key not in self.frames)]
        found = {key: self.frames[key] for key in keys if key in self.frames}
        if missing:
            # By a slice, from the first to the last: a list of frames takes Zarr half as long again.
            span = self.series[series][missing[0] : missing[-1] + 1 : times.step].values
            for time, values in zip(range(missing[0], missing[-1] + 1, times.step), span, strict=True):
                # A copy, or one frame would keep all those read with it in memory.
                found[series, time] = np.array(values, np.float32)
        for key in keys:
            self._keep(key, found[key])
        return [found[key] for key in keys]

    def _keep(self, key: tuple[int, int], frame: NDArray[np.float32]) -> None:
        if key in self.frames:
            self.frames.move_to_end(key)
            return
        self.frames[key] = frame
        self.used += frame.nbytes
        while self.used > self.size and self.frames:
            self.used -= self.frames.popitem(last=False)[1].nbytes


def turn(rate: NDArray[np.float32], symmetry: int) -> NDArray[np.float32]:
    """One of the eight symmetries (0 to 7) of a square ``(..., h, h)``: rotations, then a flip."""
    turned = np.rot90(rate, symmetry % 4, axes=(-2, -1))
    return np.ascontiguousarray(np.flip(turned, -1) if symmetry >= 4 else turned)


def gap_free_starts(times: NDArray[np.datetime64], frames: int, step_minutes: float) -> list[int]:
    """Where stretches of so many frames begin that follow each other by the time step."""
    runs = gap_free_runs(times, step_minutes, frames, every=1, least=frames)
    return [int(start) for start in runs.starts]


def rescaling(step_minutes: float, wanted_minutes: float) -> tuple[int, int]:
    """Every so many-th frame, and the coarsening, that make a time step like another in pixels a frame.

    Raises:
        ObservationError: none does within a quarter.
    """
    for factor in range(1, 13):
        for every in range(1, 13):
            if 0.8 <= every * step_minutes / (factor * wanted_minutes) <= 1.25:
                return every, factor
    raise ObservationError(f"frames of {step_minutes:g} min cannot stand for those of {wanted_minutes:g} min")


def step_minutes_of(data: xr.DataArray) -> float:
    """Minutes between most frames."""
    return float(usual_step(data["time"].values) / np.timedelta64(1, "m"))


def gap_free_runs(
    times: NDArray[np.datetime64], step_minutes: float, frames: int, every: int, least: int
) -> Runs:
    """Frames of each window in time: as many of ``frames`` as follow without a gap, if at least ``least``."""
    regular = is_step(np.diff(times), np.timedelta64(round(step_minutes * 60), "s"))
    gaps = np.flatnonzero(np.append(~regular, True))
    starts = np.arange(len(times))
    ends = gaps[np.searchsorted(gaps, starts)] + 1
    counts = np.minimum(-((starts - ends) // every), frames)
    enough = counts >= least
    return Runs(starts[enough], counts[enough], every)


def _summed(start: float, values: NDArray[np.float64]) -> float:
    """A sum that goes on from another, one value after the other."""
    return float(np.cumsum(np.append(start, values))[-1])
