"""Training windows: where in the archives it rains, how to draw them by their rain, and how to read them."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ssldm.errors import ObservationError
from ssldm.radar.observations import pixel_size
from ssldm.radar.regrid import coarsen
from ssldm.radar.times import is_step, usual_step
from ssldm.radar.units import WET_MM_PER_HOUR

_BLOCK = 64


@dataclass(frozen=True)
class Window:
    """One window.

    Attributes:
        series, start: which series and its frame that the window begins with.
        row, column: of its upper left corner, on the coarsened grid.
        coarsening: side of the blocks of pixels that were averaged, see `ssldm.radar.regrid.coarsen`.
        number: its place in the index, or, where it was drawn, that of the one that it lies around.
        frames: how many frames there are; any more are unobserved.
        every: takes so many-th frame of the series.
    """

    series: int
    start: int
    row: int
    column: int
    coarsening: float
    number: int
    frames: int
    every: int = 1

    @property
    def times(self) -> range:
        """Its frames in the series."""
        return range(self.start, self.start + self.frames * self.every, self.every)


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
        windows: all of them.
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
        windows: list[Window] = []
        weights: list[float] = []
        pixel_sizes: list[float] = []
        for number, data in enumerate(series):
            step = step_minutes_of(data) if rescaled and frames > 1 else step_minutes
            every, factor = rescaling(step, step_minutes)
            runs = gap_free_runs(data["time"].values, step, frames, every, least_frames or frames)
            for coarsening in (factor * c for c in coarsenings):
                wet, seen = self._block_shares(number, coarsening)
                found = _fitting(wet, seen, runs, size, observed)
                if found:
                    pixel_sizes.append(pixel_size(data) * coarsening * step_minutes / (every * step))
                for times, row, column, wet_share in found:
                    windows.append(
                        Window(number, times[0], row, column, coarsening, len(windows), len(times), every)
                    )
                    weights.append(wet_share + dry_weight)
        if not windows:
            raise ObservationError(
                f"expected gap-free windows of {frames} frames and {size}×{size} pixels, found none"
            )
        self.windows = windows
        self.pixel_sizes = round(min(pixel_sizes)), round(max(pixel_sizes))
        self.probability = self._balanced(np.asarray(weights))
        self._cumulative = np.cumsum(self.probability)

    def _block_shares(
        self, number: int, coarsening: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Wet and observed share ``(time, rows, columns)`` of blocks of 64 coarsened pixels."""
        data, block = self.series[number], round(_BLOCK * coarsening)
        shape = (data.sizes["time"], data.sizes["y"] // block, data.sizes["x"] // block)
        wet, seen = np.zeros(shape), np.zeros(shape)
        for i in range(shape[0] if 0 not in shape else 0):
            (frame,) = self._frames.read(number, [i])
            wet[i] = coarsen((frame >= WET_MM_PER_HOUR).astype(np.float32), block)
            seen[i] = coarsen(np.isfinite(frame).astype(np.float32), block)
        return wet, seen

    def _balanced(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities: each product gets the same share, or the largest domain would drown the others."""
        group = np.asarray([self._product(window) for window in self.windows])
        totals = np.bincount(group, weights)
        return np.asarray(weights / totals[group] / len(totals))

    def __len__(self) -> int:
        return len(self.windows)

    def draw(self, rng: np.random.Generator) -> Window:
        """One window, drawn by importance, then moved at random by half a block of 64 pixels at most."""
        position = np.searchsorted(self._cumulative, rng.random(), side="right")
        window = self.windows[min(int(position), len(self) - 1)]
        data = self.series[window.series]

        def moved(first: int, pixels: int) -> int:
            place = first + int(rng.integers(-_BLOCK // 2, _BLOCK // 2 + 1))
            return min(max(place, 0), int(pixels // window.coarsening) - self.size)

        row, column = moved(window.row, data.sizes["y"]), moved(window.column, data.sizes["x"])
        return replace(window, row=row, column=column)

    def _product(self, window: Window) -> int:
        """Number of the product that a window is of."""
        return self._products[window.series]

    def correction(self, window: Window) -> float:
        """Weight of a window in a loss that is to be that of windows drawn evenly: 1 / (n p), 1 on average.

        Windows drawn by their rain make a network rain too much; see Horvitz and Thompson (1952).
        """
        return float(1.0 / (len(self) * self.probability[window.number]))

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

    def read(self, series: int, times: Sequence[int]) -> list[NDArray[np.float32]]:
        """Some frames of a series, ``(h, w)`` each."""
        keys = [(series, time) for time in times]
        missing = [time for _, time in (key for key in keys if key not in self.frames)]
        found = {key: self.frames[key] for key in keys if key in self.frames}
        if missing:
            for time, values in zip(missing, self.series[series][missing].values, strict=True):
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
    return [run[0] for run in gap_free_runs(times, step_minutes, frames, every=1, least=frames)]


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
) -> list[range]:
    """Frames of each window in time: as many of ``frames`` as follow without a gap, if at least ``least``."""
    regular = is_step(np.diff(times), np.timedelta64(round(step_minutes * 60), "s"))
    gaps = np.flatnonzero(np.append(~regular, True))
    ends = gaps[np.searchsorted(gaps, np.arange(len(times)))] + 1
    runs = (range(start, end, every)[:frames] for start, end in enumerate(ends.tolist()))
    return [run for run in runs if len(run) >= least]


def _fitting(
    wet: NDArray[np.float64],
    seen: NDArray[np.float64],
    runs: Sequence[range],
    size: int,
    observed: float,
) -> list[tuple[range, int, int, float]]:
    """Frames, row, column and wet share of each window that is observed well enough."""
    blocks = -(-size // _BLOCK)
    found = []
    for times in runs:
        taken = slice(times.start, times.stop, times.step)
        wet_mean, seen_mean = wet[taken].mean(axis=0), seen[taken].mean(axis=0)
        for i in range(wet_mean.shape[0] - blocks + 1):
            for j in range(wet_mean.shape[1] - blocks + 1):
                tile = np.s_[i : i + blocks, j : j + blocks]
                if seen_mean[tile].mean() >= observed:
                    found.append((times, i * _BLOCK, j * _BLOCK, float(wet_mean[tile].mean())))
    return found
