"""Hindcasts of every contestant on the same windows, and their statistics."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ssldm.errors import ObservationError
from ssldm.verification.case import Case
from ssldm.verification.statistics import Protocol, merge, statistics_of

# From the context to members (m, t_out, y, x) in mm/h, NaN where there is no forecast.
Contestant = Callable[[xr.DataArray], NDArray[np.float32]]


def windows(
    series: Sequence[xr.DataArray],
    *,
    frames: int,
    size: int | None = None,
    every: int | None = None,
    observed: float = 0.5,
) -> Iterator[xr.DataArray]:
    """Gap-free windows of ``frames`` frames; disjoint tiles of ``size`` pixels, or whole domains.

    Args:
        series: observations ``(time, y, x)``.
        frames: context and lead frames together.
        size: side of a tile.
        every: frames between starts; disjoint in time where None.
        observed: least share of observed pixels.
    """
    for data in series:
        steps = np.diff(data["time"].values)
        step = np.median(steps)
        for start in range(0, data.sizes["time"] - frames + 1, every or frames):
            if (steps[start : start + frames - 1] != step).any():
                continue
            for tile in _tiles(data, size):
                window = data.isel(time=slice(start, start + frames), y=tile[0], x=tile[1]).load()
                if float(np.isfinite(window).mean()) >= observed:
                    yield window


def _tiles(data: xr.DataArray, size: int | None) -> Iterator[tuple[slice, slice]]:
    """Disjoint tiles, centred in the domain."""
    height, width = data.sizes["y"], data.sizes["x"]
    if size is None:
        yield slice(0, height), slice(0, width)
        return
    rows, columns = height // size, width // size
    for i in range(rows):
        for j in range(columns):
            top, left = (height - rows * size) // 2 + i * size, (width - columns * size) // 2 + j * size
            yield slice(top, top + size), slice(left, left + size)


def verify(
    contestants: Mapping[str, Contestant],
    observations: Iterable[xr.DataArray],
    *,
    context_frames: int,
    lead_frames: int,
    protocol: Protocol | None = None,
) -> dict[str, xr.Dataset]:
    """Statistics of some contestants on the same windows, see `ssldm.verification.statistics`.

    A pixel counts where it is observed and every contestant has a forecast.

    Raises:
        ObservationError: no windows.
    """
    protocol = protocol or Protocol()
    merged: dict[str, xr.Dataset] = {}
    for window in observations:
        truth = window.values[context_frames:]
        forecasts = {
            name: forecast(window.isel(time=slice(0, context_frames)))
            for name, forecast in contestants.items()
        }
        valid = np.isfinite(truth)
        for members in forecasts.values():
            valid &= np.isfinite(members).all(axis=0)
        for name, members in forecasts.items():
            part = statistics_of(Case.of(members, truth, valid), protocol, _generator(window))
            merged[name] = merge([merged[name], part]) if name in merged else part
    if not merged:
        raise ObservationError(f"expected windows of {context_frames} + {lead_frames} frames, found none")
    return merged


def _generator(window: xr.DataArray) -> np.random.Generator:
    """Random numbers of a window: the same in whatever order, and by whomever, windows are processed."""
    digest = hashlib.sha256(window.values.tobytes() + window["time"].values.tobytes()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))
