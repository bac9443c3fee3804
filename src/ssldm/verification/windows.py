"""Verification windows: which stretches of an archive are forecast, and to which event each belongs."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ssldm.errors import ObservationError
from ssldm.radar.splits import EVENT_GAP, Event, events
from ssldm.radar.windows import gap_free_starts

Progress = Callable[[Iterable[Any], int], Iterable[Any]]

_LONGEST_EVENT = np.timedelta64(24, "h")
# Bins of rain rate for percentiles: half a percent wide.
_EDGES = np.geomspace(0.01, 1000.0, round(5.0 * np.log(10.0) / 0.005))


@dataclass(frozen=True)
class Window:
    """One forecast to be made and its observation.

    Attributes:
        name: unique among the windows, fit for a file.
        series: which of the series it lies in.
        start: its first frame.
        rows, columns: of the tile.
        event: the event it belongs to.
    """

    name: str
    series: int
    start: int
    rows: tuple[int, int]
    columns: tuple[int, int]
    event: str

    def of(self, series: Sequence[xr.DataArray], frames: int) -> xr.DataArray:
        """The frames ``(time, y, x)`` of the window, lazily."""
        return series[self.series].isel(
            time=slice(self.start, self.start + frames), y=slice(*self.rows), x=slice(*self.columns)
        )


def windows(
    series: Sequence[xr.DataArray],
    *,
    frames: int,
    size: int | None = None,
    every: int | None = None,
    observed: float = 0.5,
    progress: Progress = lambda items, _: items,
) -> list[Window]:
    """Gap-free windows of ``frames`` frames; disjoint tiles of ``size`` pixels, or whole domains.

    Reads every frame once, one after the other.

    Args:
        series: observations ``(time, y, x)``.
        frames: context and lead frames together.
        size: side of a tile.
        every: frames between starts; disjoint in time where None.
        observed: least share of observed pixels.
        progress: shows how many frames of a series have been read.

    Raises:
        ObservationError: no windows.
    """
    found: list[Window] = []
    names: Counter[str] = Counter()
    event_of = _events_by_product(series)
    for number, data in enumerate(series):
        tiles = list(_tiles(data, size))
        shares = _observed_shares(data, tiles, progress)
        for start in starts(data["time"].values, frames, every or frames):
            time = data["time"].values[start]
            for tile, share in zip(tiles, shares[start : start + frames].mean(axis=0), strict=True):
                if share >= observed:
                    rows, columns = tile
                    name = _name(data, time, rows, columns)
                    names[name] += 1
                    unique = name if names[name] == 1 else f"{name}_{names[name]}"
                    event = event_of[str(data.attrs.get("product", "unknown"))](time)
                    found.append(Window(unique, number, start, rows, columns, event))
    if not found:
        shapes = {"{time} frames, {y}×{x} pixels".format_map(data.sizes) for data in series}
        asked = "whole domains" if size is None else f"{size}×{size} pixels"
        raise ObservationError(
            f"expected gap-free windows of {frames} frames, {asked}, at least {observed:.0%} observed, "
            f"found none in series of {' or '.join(sorted(shapes))}"
        )
    return found


def starts(times: NDArray[np.datetime64], frames: int, every: int) -> Iterator[int]:
    """First frames of stretches without a gap, at least ``every`` frames apart.

    Args:
        times: of a series, in order.
        frames: of a stretch.
        every: in frames of the series.
    """
    if len(times) < max(frames, 2):
        return
    step_minutes = float(np.median(np.diff(times)) / np.timedelta64(1, "m"))
    last: int | None = None
    for start in gap_free_starts(times, frames, step_minutes):
        if last is None or start >= last + every:
            yield (last := start)


def observed_quantiles(
    fields: Iterable[NDArray[np.floating]], probabilities: Sequence[float]
) -> list[float | None]:
    """Rain rates in mm/h that the observed pixels of some fields exceed with probability 1 - p.

    From a histogram with bins half a percent wide, rounded to three digits; None where the quantile lies
    below 0.1 mm/h, in what counts as dry.
    """
    counts = np.zeros(len(_EDGES) + 1, np.int64)
    for field in fields:
        known = field[np.isfinite(field)]
        counts += np.bincount(np.searchsorted(_EDGES, known, side="right"), minlength=len(counts))
    if not counts.any():
        return [None for _ in probabilities]
    share = counts.cumsum() / counts.sum()
    rates = [float(_EDGES[max(int(np.searchsorted(share, p)) - 1, 0)]) for p in probabilities]
    return [float(f"{rate:.3g}") if rate >= 0.1 else None for rate in rates]


def _tiles(data: xr.DataArray, size: int | None) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Rows and columns (first, end) of disjoint tiles, centred in the domain."""
    height, width = data.sizes["y"], data.sizes["x"]
    if size is None:
        yield (0, height), (0, width)
        return
    rows, columns = height // size, width // size
    top, left = (height - rows * size) // 2, (width - columns * size) // 2
    for i, j in product(range(rows), range(columns)):
        yield (top + i * size, top + (i + 1) * size), (left + j * size, left + (j + 1) * size)


def _observed_shares(
    data: xr.DataArray, tiles: Sequence[tuple[tuple[int, int], tuple[int, int]]], progress: Progress
) -> NDArray[np.float64]:
    """Observed share ``(time, tile)``."""
    shares = np.zeros((data.sizes["time"], len(tiles)))
    if tiles:
        for i in progress(range(len(shares)), len(shares)):
            known = np.isfinite(data[i].values)
            shares[i] = [known[slice(*rows), slice(*columns)].mean() for rows, columns in tiles]
    return shares


class _EventOf:
    """Names of the events of a product; a stretch of more than a day is cut every 24 hours."""

    def __init__(self, product: str, found: Sequence[Event]) -> None:
        self.product = product
        self.found = found

    def __call__(self, time: np.datetime64) -> str:
        event = next(event for event in self.found if event.start <= time <= event.end)
        begin = event.start + (time - event.start) // _LONGEST_EVENT * _LONGEST_EVENT
        return f"{self.product} {np.datetime_as_string(begin, unit='m').replace('T', ' ')}"


def _events_by_product(series: Sequence[xr.DataArray]) -> dict[str, _EventOf]:
    groups: dict[str, list[xr.DataArray]] = {}
    for data in series:
        groups.setdefault(str(data.attrs.get("product", "unknown")), []).append(data)
    return {name: _EventOf(name, events(group, EVENT_GAP)) for name, group in groups.items()}


def _name(data: xr.DataArray, time: np.datetime64, rows: tuple[int, int], columns: tuple[int, int]) -> str:
    what = "-".join(filter(None, (data.attrs.get("product", ""), data.attrs.get("place", ""))))
    slug = re.sub(r"[^a-z0-9]+", "-", what.lower()).strip("-")[:40] or "observations"
    stamp = np.datetime_as_string(time, unit="m").replace("-", "").replace(":", "")
    return f"{slug}_{stamp}_{rows[0]}_{columns[0]}"
